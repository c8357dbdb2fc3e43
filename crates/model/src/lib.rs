//! What sunup decides, as pure code: state machines and file formats.
//!
//! No clock, no descriptor and no system call can be reached from here: the
//! crate has no dependencies, no `std` and no `unsafe`. Time and the outcome of
//! every effect come in as arguments; what is to be done goes out as values.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod access;
pub mod adoption;
pub mod boot;
pub mod boot_summary;
pub mod chpst;
pub mod command;
pub mod container;
pub mod control;
pub mod descent;
pub mod device;
pub mod facts;
pub mod format;
pub mod getty;
pub mod glob;
pub mod graph;
pub mod guess;
pub mod kind;
pub mod lines;
pub mod lint;
pub mod log;
pub mod losses;
pub mod moment;
pub mod options;
pub mod pid1;
pub mod process;
pub mod restart;
pub mod rests;
pub mod rotate;
pub mod scan;
pub mod select;
pub mod service;
pub mod service_script;
pub mod settings;
pub mod shutdown;
pub mod signal;
pub mod signal_names;
pub mod snapshot;
pub mod sorted;
pub mod stage1;
pub mod stages;
pub mod sulogin;
pub mod supervisor;
pub mod time;
pub mod unmount;
pub mod ward;
pub mod watchdog;
