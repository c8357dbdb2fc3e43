//! PID 1 leaves word of how processes ended, for supervisors whose children they
//! were not (`docs/decisions/0015-exit-statuses.md`).
//!
//! Of each child that has ended, orphans included, it writes a record into
//! /run/sunup/exits (`model::format::exits`), and reaps it only then. So a supervisor
//! that sees by a pidfd that a process has been reaped, or that the file has changed,
//! finds the record, unless its slot was used again. Nobody waits for an answer, and PID
//! 1 does not wait for anybody.
//!
//! The file is made where /run is a tmpfs, and only there (`sys::run_file`); elsewhere there are
//! no records. Nothing is kept between two ends, so the file may be removed, or /run mounted
//! over it, at any time.

use std::fs;
use std::sync::OnceLock;

use model::format::adopt::World;
use model::format::exits::{self, Word};
use model::format::proc_stat;
use model::time::Instant;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use crate::sys::{child, clock, run_file};

/// As wait(2) with `WNOHANG`: takes the next child that has ended, as [`take`] does.
///
/// # Errors
/// There are no children at all (`ECHILD`).
pub fn wait_next() -> rustix::io::Result<Option<(Pid, WaitStatus)>> {
    match next()? {
        Some((pid, status)) => take(pid, status),
        None => Ok(None),
    }
}

/// The next child that has ended, with its status; it stays as it is.
///
/// # Errors
/// There are no children at all (`ECHILD`).
pub fn next() -> rustix::io::Result<Option<(Pid, i32)>> {
    let ended = child::ended().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(ended.and_then(|(pid, status)| Some((Pid::from_raw(pid)?, status))))
}

/// Reaps a child that [`next`] returned. PID 1 writes its record first.
///
/// # Errors
/// Somebody took it meanwhile (`ECHILD`).
pub fn take(pid: Pid, status: i32) -> rustix::io::Result<Option<(Pid, WaitStatus)>> {
    if std::process::id() == 1 {
        leave_word(pid.as_raw_pid(), status);
    }
    waitpid(Some(pid), WaitOptions::NOHANG)
}

/// Without a place for the file, or without /proc, no record is written.
fn leave_word(pid: i32, status: i32) -> Option<()> {
    let file = run_file::open(exits::PATH, OFlags::WRONLY)?;
    let world = world()?;
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let ended = Word {
        pid: u32::try_from(pid).ok()?,
        started: Instant(
            proc_stat::decode(&stat)?
                .started
                .saturating_mul(clock::tick_ns()),
        ),
        ended: Instant(clock::boot_ns()),
        status,
    };
    let at = exits::offset(ended.pid);
    rustix::io::pwrite(file, &ended.encode(world), at)
        .ok()
        .map(drop)
}

/// Which world this is does not change, once /proc is mounted.
fn world() -> Option<&'static World> {
    static WORLD: OnceLock<World> = OnceLock::new();
    if WORLD.get().is_none()
        && let Ok(Some(world)) = super::world::world()
    {
        drop(WORLD.set(world));
    }
    WORLD.get()
}
