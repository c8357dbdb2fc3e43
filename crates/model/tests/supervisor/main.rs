//! A supervisor in a world where every effect succeeds at once: how it restarts services
//! that end soon, what it does for loggers at the end, how it gives orders to all of
//! them, and how it ends itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ending;
mod orders;
mod rest;
mod restart;
mod waits;
mod world;
