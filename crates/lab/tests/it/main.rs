//! lab's own behaviour: images that other tools read, machines that end as they should.
// A test may panic; clippy knows that of `#[test]` functions alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

mod bench;
mod chart;
mod disk;
mod docs;
mod image;
mod machine;
mod oci;
mod package;
mod picture;
mod reference;
mod runner;
mod s6;
mod size;
mod terminal;
mod test_service;
