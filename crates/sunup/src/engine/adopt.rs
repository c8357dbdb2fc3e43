//! Taking over what an earlier supervisor left: the evidence about its processes
//! (which [`model::adoption`] judges), and the pipe between a service and its
//! logger.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use model::adoption::{self, Evidence, Inheritance, Seen};
use model::format::adopt::{Record, World};
use model::format::proc_stat;
use model::service::{Exit, Role, Want};
use model::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::supervise::{self, Supervise};
use super::{foreign, late_exit};
use crate::machine::world::{above, single_user_began};
use crate::sys::clock;
use crate::sys::descriptors::aside;
use crate::sys::shortage::{look, unless_short};

/// A process that goes on, with its record.
pub type Adopted = (OwnedFd, Record);

/// Looks at a locked supervise directory. `default` is what is wanted of a
/// service that no earlier supervisor held; `None`: none did, as far as it counts. Fails as
/// [`unless_short`] does.
pub fn inherit(
    home: BorrowedFd,
    supervise: &Supervise,
    world: Option<&World>,
    role: Role,
    default: Want,
) -> io::Result<Option<(Inheritance, Option<Adopted>)>> {
    let status = supervise::status(home)?;
    let at = clock::now();
    let mut record = supervise.record()?;
    record = record.filter(|record| adoption::counts(record, world, at));
    let mut process = record.as_ref().map(look_at).transpose()?.flatten();
    let seen = process.as_ref().map(|(_, seen)| *seen);
    let lives = record
        .as_ref()
        .zip(seen)
        .is_some_and(|(record, seen)| adoption::is_it(record, seen));
    // Another supervisor may have come after the one that left the record.
    if let (Some(world), Some((status, true)), false) = (world, status, lives)
        && record.as_ref().is_none_or(|r| r.pid != status.pid)
        && let Some(foreign) = foreign::record(home, world, role, status)?
    {
        process = look_at(&foreign)?;
        record = Some(foreign);
    }
    let Some(record) = record else {
        return Ok(None);
    };
    let seen = process.as_ref().map(|(_, seen)| *seen);
    let gone = Some(&record).filter(|r| seen.is_none_or(|seen| !adoption::is_it(r, seen)));
    let exit = gone.and_then(|r| late_exit::told(late_exit::sighting(r), world?));
    let evidence = Evidence {
        role,
        default,
        since: single_user_began(),
        world,
        record: Some(&record),
        status: status.as_ref().map(|(status, _)| status),
        seen,
        exit: exit.map_or(Exit::Unknown, Exit::of_status),
    };
    let found = adoption::judge(&evidence, clock::moment());
    let process = process.filter(|_| found.adopted).map(|(fd, _)| fd);
    let adopted = process.map(|fd| (fd, record));
    Ok(Some((found, adopted)))
}

/// The state without an earlier supervisor.
pub fn nothing_found(world: Option<&World>, role: Role, default: Want) -> Inheritance {
    let evidence = Evidence {
        role,
        default,
        since: Instant(0),
        world,
        record: None,
        status: None,
        seen: None,
        exit: Exit::Unknown,
    };
    adoption::judge(&evidence, clock::moment())
}

/// The process that has the recorded pid now.
fn look_at(record: &Record) -> io::Result<Option<(OwnedFd, Seen)>> {
    let Some(pid) = i32::try_from(record.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let above = above()?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).and_then(aside);
    let pidfd = unless_short(pidfd)?;
    // The descriptor pins the process, so what is read now is about it or fails.
    let stat = look(fs::read(format!("/proc/{}/stat", record.pid)))?;
    let stat = stat.as_deref().and_then(proc_stat::decode);
    Ok(pidfd.zip(stat).map(|(fd, stat)| {
        let seen = Seen {
            started: Instant(stat.started.saturating_mul(clock::tick_ns())),
            grain_ns: clock::tick_ns(),
            is_above: above.contains(&record.pid),
        };
        (fd, seen)
    }))
}

/// The pipe from a service to its logger.
pub struct LogPipe {
    /// The logger's standard input. Where descriptors are short it is opened only when
    /// the logger starts, or the other end is closed.
    read: Option<OwnedFd>,
    /// The service's standard output, open for reading too (where /proc is), so
    /// that a service whose logger and supervisor are both dead meets a full pipe
    /// at worst, not SIGPIPE. Closed to end the logger.
    pub write: Option<OwnedFd>,
}

impl LogPipe {
    /// The pipe that one of the adopted processes (logger first) still holds, else a new
    /// one. Bytes that were written while no supervisor lived are in the old pipe; so a
    /// lack of descriptors is no reason to give it up.
    pub fn take_over(records: &[Record]) -> io::Result<Self> {
        for (record, fd) in records.iter().flat_map(|r| [(r, 0), (r, 1), (r, 2)]) {
            if let Some(pipe) = Self::open(record, fd)? {
                return Ok(pipe);
            }
        }
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let read = aside(read)?;
        let both = reopen(&format!("/proc/self/fd/{}", read.as_raw_fd()), OFlags::RDWR)?;
        let write = Some(both.map_or_else(|| aside(write), Ok)?);
        Ok(Self::again(Some(read), write))
    }

    /// As a predecessor in this process left it.
    pub const fn again(read: Option<OwnedFd>, write: Option<OwnedFd>) -> Self {
        Self { read, write }
    }

    /// The pipe's inode, for the records; 0 if the kernel does not tell.
    pub fn inode(&self) -> u64 {
        let found = self.any().map(rustix::fs::fstat);
        found.map_or(0, |found| found.map_or(0, |found| found.st_ino))
    }

    /// One of its ends.
    pub fn any(&self) -> Option<BorrowedFd<'_>> {
        self.read().or(self.write.as_ref().map(AsFd::as_fd))
    }

    /// The logger's end, if it is open.
    pub fn read(&self) -> Option<BorrowedFd<'_>> {
        self.read.as_ref().map(AsFd::as_fd)
    }

    /// Opens the logger's end, before the logger starts or the other end is closed.
    pub fn begin(&mut self) {
        if let (None, Some(write)) = (&self.read, &self.write) {
            let path = format!("/proc/self/fd/{}", write.as_raw_fd());
            // Without it the logger cannot start now; it is tried again later.
            self.read = reopen(&path, OFlags::RDONLY).ok().flatten();
        }
    }

    /// Descriptors are short, and this end is not in use: closes it, because the other
    /// end is enough to open it again by /proc.
    pub fn rest(&mut self) {
        if self.write.is_some() {
            self.read = None;
        }
    }

    fn open(record: &Record, fd: u32) -> io::Result<Option<Self>> {
        let path = format!("/proc/{}/fd/{fd}", record.pid);
        // By now the process may have another pipe there; only the recorded one is ours.
        let ours = format!("pipe:[{}]", record.pipe);
        if look(fs::read_link(&path))?.is_none_or(|link| link.as_os_str() != ours.as_str()) {
            return Ok(None);
        }
        let ends = reopen(&path, OFlags::RDONLY)?.zip(reopen(&path, OFlags::RDWR)?);
        Ok(ends.map(|(read, write)| Self::again(Some(read), Some(write))))
    }
}

/// Opens a pipe anew by its link in /proc. Non-blocking is only for the open, which must
/// not wait for the other end. Fails as [`unless_short`] does.
fn reopen(path: &str, access: OFlags) -> io::Result<Option<OwnedFd>> {
    let open = || {
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags - OFlags::NONBLOCK)?;
        aside(fd)
    };
    unless_short(open())
}
