//! sunup in the place of Debian's runit: a tree of Debian's packages, with their
//! service directories, their daemons and their boot, as they are.
//!
//! Each check runs on two machines in namespaces. On one our binary has taken
//! the place of runit's programs, by the commands in docs/compatibility.md; the
//! other has Debian's own, which shows that the check is right. Only root can
//! make the tree, because its files have many owners.
// A test may panic; clippy knows that of `#[test]` functions alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ends;
mod guest;
mod order;
mod ours;
mod packages;
mod readers;
mod root;
#[path = "../seat/mod.rs"]
mod seat;
mod services;
mod syslog;
mod up;
