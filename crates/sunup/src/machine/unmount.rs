//! Before the machine ends: swap space is given back and file systems are unmounted, so that
//! none of them has to be repaired, or its journal read, at the next boot.
//!
//! It is done when no process but PID 1 is left, and only by the kernel's first PID 1: the
//! mounts of a container end with it, and may be another machine's. A stage 3 or a `shutdown`
//! entry that has done it already leaves nothing to do. In which order is decided in
//! `model::unmount`; what is in use after all is made read-only.
//!
//! Any of it may hang with a dead disk or server. So a child does each step, for
//! [`STEP_LIMIT`] at most, and [`LIMIT`] bounds the whole.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use model::format::mountinfo::{self, Mount, unescaped};
use model::pid1::End;
use model::unmount::{Step, Way, order, rest};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::{console, own_copy};
use crate::sys::{bounded, clock, file, power};

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// How long everything may take.
const LIMIT: Duration = Duration::from_secs(45);
/// A file system may become free when another one is gone: so often it is tried again.
const PASSES_MAX: usize = 8;
/// The longest list of mounts, or of swap spaces, that is read.
const LIST_BYTES_MAX: usize = 4 << 20;

/// Unmounts what can be unmounted, and says what cannot; `end` is what follows.
pub fn all(end: End) {
    if !is_ours() {
        return;
    }
    // With /proc it is asked again, because then it can be told.
    if !proc_is_there() && (mount_proc().is_err() || !is_ours()) {
        return;
    }
    // A machine in memory has nothing that must be read-only.
    if own_copy::is_due() && !rest(&mounts()).is_empty() {
        own_copy::go_on(end);
    }
    let run = Run {
        until: clock::boot_ns().saturating_add(LIMIT.as_nanos() as u64),
    };
    let mut before = (usize::MAX, usize::MAX);
    for _ in 0..PASSES_MAX {
        let (swaps, mounts) = (swaps(), mounts());
        let now = (swaps.len(), mounts.len());
        if now == before {
            break;
        }
        before = now;
        for swap in swaps {
            let _later = run.bounded(&mut || power::swap_off(Path::new(OsStr::from_bytes(&swap))));
        }
        for step in order(&mounts) {
            let _later = run.perform(&step);
        }
    }
    for step in rest(&mounts()) {
        let at = step.point.escape_ascii();
        match run.perform(&step) {
            Ok(()) if step.point == b"/" => {}
            Ok(()) => console::say(&format!("{at} is in use; it is read-only now")),
            Err(e) => console::say(&format!("make {at} read-only: {e}")),
        }
    }
}

/// What has one limit.
struct Run {
    /// Nanoseconds on the boot clock.
    until: u64,
}

impl Run {
    fn perform(&self, step: &Step) -> io::Result<()> {
        let point = OsStr::from_bytes(&step.point);
        self.bounded(&mut || {
            match step.way {
                Way::Unmount => unmount(point, UnmountFlags::NOFOLLOW),
                Way::Detach => unmount(point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH),
                Way::MakeReadOnly => mount_remount(point, MountFlags::RDONLY, c""),
            }
            .map_err(io::Error::from)
        })
    }

    /// Does it in a child that has a limit.
    fn bounded(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let left = Duration::from_nanos(self.until.saturating_sub(clock::boot_ns()));
        let limit = left.min(STEP_LIMIT);
        if limit.is_zero() {
            return Err(Errno::TIMEDOUT.into());
        }
        bounded::call(limit, &mut |_| {}, work)?
    }
}

fn mounts() -> Vec<Mount> {
    let text = file::read_lines(Path::new("/proc/self/mountinfo"), LIST_BYTES_MAX);
    text.map_or_else(|_| Vec::new(), |(text, _)| mountinfo::decode(&text))
}

/// Where there is swap space: a line each, below a heading.
fn swaps() -> Vec<Vec<u8>> {
    let text = file::read_lines(Path::new("/proc/swaps"), LIST_BYTES_MAX);
    let text = text.map_or_else(|_| Vec::new(), |(text, _)| text);
    let lines = text.split(|b| *b == b'\n').skip(1);
    let names = lines.filter_map(|line| line.split(|b| *b == b' ').next());
    let names = names.filter(|name| !name.is_empty());
    names.map(unescaped).collect()
}

/// Whether what is mounted is this machine's, as far as can be told without /proc.
fn is_ours() -> bool {
    super::is_the_first() || is_wanted_by_a_test()
}

fn proc_is_there() -> bool {
    Path::new("/proc/self").exists()
}

/// Without it nobody knows what is mounted. A `shutdown` entry may have unmounted it, as
/// busybox's `umount -a -r` does.
fn mount_proc() -> io::Result<()> {
    bounded::call(STEP_LIMIT, &mut |_| {}, &mut || {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Ok(mount("proc", "/proc", "proc", flags, None)?)
    })?
}

/// In a build for tests, PID 1 of namespaces unmounts, too, if `SUNUP_TEST_UNMOUNT` is set.
fn is_wanted_by_a_test() -> bool {
    cfg!(debug_assertions) && std::env::var_os("SUNUP_TEST_UNMOUNT").is_some()
}
