//! Taking over what an earlier supervisor left: its processes, what it wanted,
//! and the pipe between a service and its logger.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use model::format::adopt::{Record, World};
use model::format::proc_stat;
use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use model::service::{Event, Exit, Role, Service, Want};
use model::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{foreign, supervise};
use crate::sys::clock;

/// What was found in a supervise directory.
pub struct Inheritance {
    /// The service in the state it is in.
    pub service: Service,
    /// Its process, alive and identified.
    pub process: Option<(OwnedFd, Record)>,
    /// When it came into that state, if that is known.
    pub changed: Option<Tai64n>,
    /// What happened while no supervisor lived.
    pub missed: Option<Event>,
}

/// Where this supervisor's pids count; `None` without /proc. Fails as
/// [`supervise::unless_short`] does.
pub fn world() -> io::Result<Option<World>> {
    let boot_id = look(fs::read_to_string("/proc/sys/kernel/random/boot_id"))?;
    let namespace = look(fs::metadata("/proc/self/ns/pid"))?;
    Ok(boot_id.zip(namespace).map(|(boot_id, namespace)| World {
        boot_id: boot_id.trim().into(),
        pid_namespace: namespace.ino(),
    }))
}

/// [`supervise::unless_short`] for what std looks at.
pub fn look<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    supervise::unless_short(looked.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)))
}

/// Looks at a locked supervise directory. `default` is what is wanted of a
/// service that no earlier supervisor held. Fails as [`supervise::unless_short`] does.
pub fn inherit(
    home: BorrowedFd,
    world: Option<&World>,
    role: Role,
    default: Want,
) -> io::Result<Inheritance> {
    let fresh = Inheritance {
        service: Service::new(role, default),
        process: None,
        changed: None,
        missed: None,
    };
    let status = supervise::status(home)?;
    let mut record = supervise::record(home)?.filter(|r| world == Some(&r.world));
    // Another supervisor may have come after the one that left the record.
    if let (Some(world), Some(status)) = (world, status)
        && record.as_ref().is_none_or(|r| r.pid != status.pid)
        && let Some(foreign) = foreign::record(home, world, role, status)?
        && record.as_ref().map(alive).transpose()?.flatten().is_none()
    {
        record = Some(foreign);
    }
    let Some(record) = record else {
        return Ok(fresh);
    };
    let want = match status {
        Some(s) if s.want_up => Want::Up,
        Some(_) => Want::Down,
        None => default,
    };
    let ours = status.filter(|s| s.pid == record.pid);
    Ok(match alive(&record)? {
        Some(pidfd) => {
            let changed = Some(ours.map_or_else(|| label(record.at), |s| s.changed));
            let service = running(role, want, &record, ours);
            Inheritance {
                service,
                process: Some((pidfd, record)),
                changed,
                missed: None,
            }
        }
        // The end of the run was not seen: the finish script is still due.
        None if record.phase == Phase::Run && status.is_none_or(|s| s.pid != 0) => Inheritance {
            service: Service::adopt_run(role, want, record.pid, record.at, false, false),
            missed: Some(Event::Exited(record.pid, Exit::Unknown)),
            ..fresh
        },
        None => Inheritance {
            service: Service::new(role, want),
            changed: status.map(|s| s.changed),
            ..fresh
        },
    })
}

fn running(role: Role, want: Want, record: &Record, status: Option<Status>) -> Service {
    if record.phase == Phase::Finish {
        return Service::adopt_finish(want, record.pid, now());
    }
    let (paused, got_term) = status.map_or((false, false), |s| (s.paused, s.got_term));
    Service::adopt_run(role, want, record.pid, record.at, paused, got_term)
}

/// A descriptor of the recorded process, if it is still that process.
fn alive(record: &Record) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(record.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let pidfd = supervise::unless_short(pidfd_open(pid, PidfdFlags::empty()))?;
    // The descriptor pins the process, so what is read now is about it or fails.
    let stat = look(fs::read(format!("/proc/{}/stat", record.pid)))?;
    let stat = stat.as_deref().and_then(proc_stat::decode);
    let is_it = |fd: &OwnedFd| {
        stat.is_some_and(|s| s.lives && s.started <= record.at.0 / tick_ns()) && !has_ended(fd)
    };
    Ok(pidfd.filter(is_it))
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )
    .unwrap_or(0)
        > 0
}

/// What /proc counts times in (ns).
pub fn tick_ns() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// The moment, on the boot clock.
pub fn now() -> Instant {
    Instant(clock::boot_ns())
}

/// The wall-clock label of a past moment. This is the one place that relates
/// the clocks: the label was never written, because its writer was killed.
fn label(at: Instant) -> Tai64n {
    let wall = clock::wall();
    let ago_s = now().ms_since(at) / 1000;
    Tai64n::from_unix(
        wall.unix_seconds().saturating_sub_unsigned(ago_s),
        wall.nanos(),
    )
}

/// The pipe from a service to its logger.
pub struct LogPipe {
    /// The logger's standard input.
    pub read: OwnedFd,
    /// The service's standard output, open for reading too (where /proc is), so
    /// that a service whose logger and supervisor are both dead meets a full pipe
    /// at worst, not SIGPIPE. Closed to end the logger.
    pub write: Option<OwnedFd>,
}

impl LogPipe {
    /// The pipe that one of the adopted processes (logger first) still holds,
    /// else a new one. Bytes that were written while no supervisor lived are in
    /// the old one.
    pub fn take_over(records: &[Record]) -> std::io::Result<Self> {
        let held = |record: &Record| [0, 1, 2].into_iter().find_map(|fd| Self::open(record, fd));
        if let Some(pipe) = records.iter().find_map(held) {
            return Ok(pipe);
        }
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let both = reopen(&format!("/proc/self/fd/{}", read.as_raw_fd()), OFlags::RDWR);
        let write = Some(both.unwrap_or(write));
        Ok(Self { read, write })
    }

    /// The pipe's inode, for the records; 0 if the kernel will not say.
    pub fn inode(&self) -> u64 {
        rustix::fs::fstat(&self.read).map_or(0, |s| s.st_ino)
    }

    fn open(record: &Record, fd: u32) -> Option<Self> {
        let path = format!("/proc/{}/fd/{fd}", record.pid);
        // A process may have any pipe there by now; only the recorded one is ours.
        let ours = format!("pipe:[{}]", record.pipe);
        if fs::read_link(&path).ok()?.as_os_str() != ours.as_str() {
            return None;
        }
        let read = reopen(&path, OFlags::RDONLY)?;
        let write = Some(reopen(&path, OFlags::RDWR)?);
        Some(Self { read, write })
    }
}

/// Opens a pipe anew by its link in /proc. Non-blocking is for the opening
/// alone: it must not wait for the other end.
fn reopen(path: &str, access: OFlags) -> Option<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let flags = rustix::fs::fcntl_getfl(&fd).ok()?;
    rustix::fs::fcntl_setfl(&fd, flags - OFlags::NONBLOCK).ok()?;
    Some(fd)
}
