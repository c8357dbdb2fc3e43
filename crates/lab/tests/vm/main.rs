//! The machine at work, with its own files and our binaries: the same checks in
//! QEMU, with a real kernel, and in namespaces without QEMU.
// A test may panic; clippy knows that of `#[test]` functions alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_files;
mod bad_roots;
mod broken;
mod devices;
mod disk;
mod ends;
mod entered;
mod guest;
mod guide;
mod hotplug;
mod kills;
mod measure;
mod ports;
mod scale;
#[path = "../seat/mod.rs"]
mod seat;
mod services;
mod stage1;
mod up;
mod watchdog;
