//! The process that keeps the time until the machine goes down.
//!
//! It holds the lock (flock(2)) of /run/sunup/shutdown, in which its record stands, so others
//! know whether it lives. That file is root's alone: whoever may read it could hold the lock.
//! TERM makes it go, and take back what it did. It sleeps from one mark to the next
//! ([`model::shutdown::MARKS`]) by the clock that the user named: that of the boot for
//! `+MINUTES`, so that a clock that is set changes nothing, and the wall clock for `HH:MM`.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use model::pid1::End;
use model::process::Pid;
use model::shutdown::{NOLOGIN_S, Schedule, next_mark, warning};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::wall;
use crate::machine::ask;
use crate::sys::clock::{boot_ns, timespec};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{file, inherited, local_time, spawn, tty};

const DIR: &str = "/run/sunup";
const RECORD: &str = "/run/sunup/shutdown";
const NOLOGIN: &str = "/run/nologin";
/// How all that [`NOLOGIN`] says begins, if it is ours.
const OPENING: &str = "The system is going down for ";
const RECORD_BYTES_MAX: usize = 256;
/// The name of the process.
const NAME: &std::ffi::CStr = c"shutdown";
/// How long a keeper may take to go (ns).
const GOES_WITHIN: u64 = 2_000_000_000;
/// No more descriptors of the caller are looked for.
const INHERITED_MAX: i32 = 1024;
const SECOND: u64 = 1_000_000_000;

/// When the end is.
#[derive(Clone, Copy)]
pub enum Moment {
    /// On the boot clock (ns).
    Boot(u64),
    /// On the wall clock (s).
    Wall(i64),
}

impl Moment {
    fn left_s(self) -> u64 {
        match self {
            Self::Boot(ns) => ns.saturating_sub(boot_ns()).div_ceil(SECOND),
            Self::Wall(s) => s.saturating_sub(local_time::unix_now()).max(0) as u64,
        }
    }

    /// When that is by the wall clock, as it goes now.
    pub fn wall_s(self) -> i64 {
        local_time::unix_now().saturating_add(self.left_s() as i64)
    }

    /// Waits until so much is left; `false` if a signal came first.
    fn wait_for(self, left_s: u64, signals: &SignalFd) -> rustix::io::Result<bool> {
        let (clock, at) = match self {
            Self::Boot(ns) => (TimerfdClockId::Boottime, ns.saturating_sub(left_s * SECOND)),
            Self::Wall(s) => {
                let at = s.saturating_sub(left_s as i64).max(0) as u64;
                (TimerfdClockId::Realtime, at.saturating_mul(SECOND))
            }
        };
        let timer = timerfd_create(clock, TimerfdFlags::CLOEXEC)?;
        let at = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(at.max(1)),
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &at)?;
        let mut fds = [
            PollFd::new(&timer, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        poll(&mut fds, None)?;
        Ok(fds[1].revents().is_empty())
    }
}

/// What is to be kept.
pub struct Plan {
    /// How it ends.
    pub end: End,
    /// When.
    pub at: Moment,
    /// What the user has to say.
    pub message: String,
    /// Whether anybody is told.
    pub tells: bool,
    /// Whether PID 1 is asked at the end.
    pub is_serious: bool,
}

/// Starts the process; the one that keeps another time goes first.
pub fn start(plan: &Plan) -> Result<(), String> {
    let record = take_over()?;
    let keeper = spawn::fork(|| keep(plan)).map_err(|e| format!("start a process: {e}"))?;
    let schedule = Schedule {
        pid: keeper as Pid,
        end: plan.end,
        at_s: plan.at.wall_s(),
    };
    let text = schedule.encode();
    record.write_all_at(text.as_bytes(), 0).map_err(|e| {
        drop(signal::kill(schedule.pid, signal::SIGTERM));
        format!("{RECORD}: {e}")
    })
}

/// What is planned, if a process keeps the time of it.
pub fn planned() -> Result<Option<Schedule>, String> {
    let file = match file::open(Path::new(RECORD), OFlags::RDONLY) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(told)?,
    };
    let is_free = flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
    Ok(schedule_in(&file).filter(|_| !is_free))
}

/// Ends what is planned; `false`: nothing was. What a keeper left that was killed is
/// taken back, too.
pub fn cancel() -> Result<bool, String> {
    let is_planned = planned()?.is_some();
    if is_planned || Path::new(RECORD).exists() {
        take_over()?;
        lift();
    }
    Ok(is_planned)
}

/// The record's file, empty and locked by this process and its children.
fn take_over() -> Result<File, String> {
    match rustix::fs::mkdirat(CWD, DIR, Mode::from_raw_mode(0o755)) {
        Err(e) if !Path::new(DIR).is_dir() => {
            return Err(format!("make {DIR}: {e}{}", ask::advice()));
        }
        _ => {}
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = file::open_at(CWD, Path::new(RECORD), flags, mode)
        .map(File::from)
        .map_err(told)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let keeper =
            schedule_in(&file).ok_or_else(|| format!("{RECORD}: another process has it"))?;
        end(keeper.pid)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(told)?;
    }
    file.set_len(0).map_err(told)?;
    Ok(file)
}

fn told(e: impl Into<io::Error>) -> String {
    let e = e.into();
    format!("{RECORD}: {e}{}", ask::advice())
}

fn schedule_in(file: &File) -> Option<Schedule> {
    let mut bytes = [0; RECORD_BYTES_MAX];
    let n = file.read_at(&mut bytes, 0).ok()?;
    Schedule::decode(bytes.get(..n)?)
}

/// Ends the keeper of that pid, and waits until it is gone.
fn end(pid: Pid) -> Result<(), String> {
    let name = std::fs::read(format!("/proc/{pid}/comm"));
    if name.is_ok_and(|name| name != b"shutdown\n") {
        return Err(format!("{RECORD}: process {pid} is no shutdown"));
    }
    let number = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let Some(pidfd) = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return Ok(()); // It is gone already.
    };
    for signal in [signal::SIGTERM, signal::SIGKILL] {
        drop(signal::kill(pid, signal));
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        if poll(&mut fds, Some(&timespec(GOES_WITHIN))) != Ok(0) {
            return Ok(());
        }
    }
    Err(format!("process {pid} does not end"))
}

/// The life of the process.
fn keep(plan: &Plan) -> u8 {
    let signals = SignalFd::new(&[signal::SIGTERM, signal::SIGINT, signal::SIGHUP]);
    signal::ignore_of_writes();
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(NAME);
    drop(std::env::set_current_dir("/"));
    // Whatever the caller has open, for example a lock, is not held until then.
    (3..INHERITED_MAX).for_each(|number| drop(inherited::claim(number)));
    if let Ok(null) = file::open(Path::new("/dev/null"), OFlags::RDWR) {
        drop(tty::put_on_stdio(&null.into()));
    }
    let done = signals
        .map_err(|e| e.to_string())
        .and_then(|signals| keep_time(plan, &signals).map_err(|e| e.to_string()))
        .and_then(|is_over| {
            let is_asked = is_over && plan.is_serious;
            if is_asked {
                ask::ask(plan.end)?;
            }
            Ok(is_asked)
        });
    if let Err(trouble) = &done {
        wall::say(&["The shutdown has failed:", trouble]);
    }
    if done != Ok(true) {
        lift();
    }
    u8::from(done.is_err())
}

/// Warns until the time has come; `false`: it was cancelled.
fn keep_time(plan: &Plan, signals: &SignalFd) -> rustix::io::Result<bool> {
    let mut left = plan.at.left_s();
    loop {
        let warning = warning(plan.end, left);
        if left <= NOLOGIN_S {
            keep_out(&warning, &plan.message);
        }
        if plan.tells {
            wall::say(&[&plan.message, &warning]);
        }
        if left == 0 {
            return Ok(true);
        }
        if !plan.at.wait_for(next_mark(left), signals)? {
            return Ok(false);
        }
        left = plan.at.left_s();
    }
}

/// Keeps users from logging in, as pam_nologin(8) and login(1) do where the file is. Without
/// space for what it says nobody is kept out: [`lift`] would not know it for ours.
fn keep_out(warning: &str, message: &str) {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(NOLOGIN);
    if let Ok(mut file) = file {
        let said = format!("{}\n{}\n", warning, wall::plain(message));
        if file.write_all(said.as_bytes()).is_err() {
            drop(std::fs::remove_file(NOLOGIN));
        }
    }
}

/// Takes back what [`keep_out`] did; what somebody else wrote stays.
fn lift() {
    let said = file::read(Path::new(NOLOGIN), 64 * 1024).unwrap_or_default();
    if said.starts_with(OPENING.as_bytes()) {
        drop(std::fs::remove_file(NOLOGIN));
    }
}
