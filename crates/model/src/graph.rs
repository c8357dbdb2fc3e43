//! The order of services: who waits for whom.

mod edges;

pub use edges::{EDGES_MAX, Edges, Kind};
