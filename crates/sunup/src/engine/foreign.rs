//! Processes that runit's runsv left: it keeps no record, but its status names
//! the pid and when it was started.
//!
//! We hold the lock, so the writer of the status is gone. A process with that pid is the
//! service if it became an orphan (was handed to an ancestor of ours) and either was
//! started at that time or still works in the service's directory: the wall clock may
//! have been set since, and a machine without a clock of its own may have the same times
//! and pids after each boot. The caller makes sure that nobody else wrote the status
//! (`sys::guarded`). We must be allowed to signal the process, and it must not be one of
//! our ancestors.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use model::format::adopt::{Mark, Part, Record, World};
use model::format::proc_stat::{self, ProcStat};
use model::format::status::{Phase, Status};
use model::service::Role;
use model::time::Instant;
use rustix::process::{Pid, test_kill_process};

use crate::machine::world::above;
use crate::sys::clock;
use crate::sys::shortage::look;

/// How far the time of the status and that of the process may be apart (s): on a busy
/// machine runsv reads its clock some time after the fork.
const APART_S_MAX: u64 = 2;

/// The record that a supervisor of ours would have left, if the status names a
/// process that is the service's. Fails as [`look`] does.
pub fn record(
    home: BorrowedFd,
    world: &World,
    role: Role,
    status: Status,
) -> io::Result<Option<Record>> {
    let part = match status.phase {
        Phase::Run => Part::Run,
        Phase::Finish => Part::Finish,
        Phase::Down => return Ok(None),
    };
    if status.pid <= 1 {
        return Ok(None);
    }
    let Some(stat) = process(status.pid)?.filter(|s| s.lives) else {
        return Ok(None);
    };
    let of = |name: &str| format!("/proc/{}/{name}", status.pid);
    // Its tick may not be over yet, and a record from the future is not believed.
    let tick_end = Instant((stat.started + 1).saturating_mul(clock::tick_ns()));
    let at = tick_end.min(clock::now());
    let began = clock::wall().unix_seconds() - (clock::now().ms_since(at) / 1000) as i64;
    let in_time = began.abs_diff(status.changed.unix_seconds()) <= APART_S_MAX;
    if !is_above_us(stat.parent)?
        || !may_signal(status.pid)
        || !in_time && !works_in(home, &of("cwd"))?
    {
        return Ok(None);
    }
    // A logger reads its pipe; a service may have replaced its output.
    let fds: &[u32] = match role {
        Role::Log => &[0],
        Role::Main => &[1, 2],
    };
    let pipe = fds.iter().find_map(|fd| pipe(&of(&format!("fd/{fd}"))));
    Ok(Some(Record {
        part,
        world: world.clone(),
        pipe: pipe.unwrap_or(0),
        pid: status.pid,
        at,
        mark: Mark::None,
    }))
}

fn process(pid: u32) -> io::Result<Option<ProcStat>> {
    let stat = look(fs::read(format!("/proc/{pid}/stat")))?;
    Ok(stat.as_deref().and_then(proc_stat::decode))
}

/// Whether a process is PID 1 or an ancestor of this one: only these inherit orphans, and
/// we are the parent of our own children.
fn is_above_us(parent: u32) -> io::Result<bool> {
    let is_ancestor = above()?.get(1..).unwrap_or_default().contains(&parent);
    Ok(parent != std::process::id() && (parent == 1 || parent > 1 && is_ancestor))
}

/// Whether we may signal a process: our own service we could.
fn may_signal(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn works_in(home: BorrowedFd, cwd: &str) -> io::Result<bool> {
    let Some(cwd) = look(fs::metadata(cwd))? else {
        return Ok(false);
    };
    Ok(rustix::fs::fstat(home)
        .is_ok_and(|home| (home.st_dev, home.st_ino) == (cwd.dev(), cwd.ino())))
}

/// The inode of the pipe that a link in /proc/PID/fd shows.
fn pipe(link: &str) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?;
    inode.parse().ok()
}
