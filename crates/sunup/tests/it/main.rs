//! Behaviour, shown with real processes: one binary, one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

mod bad_input;
mod boot_record;
mod chpst;
mod cli;
mod closed;
mod crash_loop;
mod exits;
mod file_size;
mod getty;
mod handover;
mod hints;
mod init;
mod lease;
mod machine;
mod manual;
mod mdev;
mod memory;
mod personality;
mod pristine;
mod reference;
mod runit;
mod runsv;
mod runsvchdir;
mod runsvdir;
mod runsvdir_script;
mod scale;
mod scan_dir;
mod shutdown;
mod stage1;
mod started;
mod sv;
mod svc;
mod svlogd;
mod switch_root;
mod tidy;
mod torture;
mod trust;
mod turns;
mod upgrade;
mod utmpset;
mod waiting;
mod ward;
