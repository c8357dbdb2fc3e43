//! Behaviour, shown with real processes: one binary, one module per subject.

mod common;

mod chpst;
mod cli;
mod getty;
mod init;
mod mdev;
mod runsv;
mod sv;
mod svlogd;
