//! lab hosts: it builds images of sunup on a workstation, boots them in QEMU or
//! in namespaces, and hands the machine to a person or to a test.
//!
//! [`boot::Options`] says which machine; [`boot::start`] gives a running
//! [`machine::Machine`], which is a console, a port for results and an end.

pub mod apt;
pub mod arch;
pub mod bench;
pub mod boot;
pub mod busybox;
pub mod chart;
pub mod debian;
pub mod disk;
pub mod docs;
pub mod enter;
pub mod foreign;
pub mod image;
pub mod inside;
pub mod kernel;
pub mod known;
pub mod kvm;
pub mod machine;
pub mod modules;
pub mod moment;
pub mod oci;
pub mod package;
pub mod picture;
pub mod qemu;
pub mod reference;
pub mod release;
pub mod report;
pub mod rootfs;
pub mod runner;
pub mod suite;
pub mod sys;
pub mod terminal;
pub mod tree;
pub mod under_test;
pub mod workspace;
