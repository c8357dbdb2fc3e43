//! The commands that only sunup's sv has: `sv list` and its like, each in a file of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::common::sunup;

mod completion;
mod enable;
mod health;
mod json;
mod lint;
mod list;
mod log;
mod metrics;
mod new;
mod top;
mod tree;
mod watch;
mod why;

/// Runs `sv` on a scan directory, as our own; no database but the one of the caller.
pub fn sv(scan: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(sunup());
    command
        .arg("sv")
        .args(args)
        .env("SVDIR", scan)
        .env("SUNUP_DB", "")
        .env_remove("SVWAIT")
        .stdin(Stdio::null());
    command
}

/// What it prints; it must succeed, and say nothing on standard error.
pub fn printed(scan: &Path, args: &[&str]) -> String {
    let output = sv(scan, args).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    text(&output)
}

/// Standard output.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
