//! How a process ended that is not our child, but an earlier supervisor's or a keeper's
//! (`docs/decisions/0015-exit-statuses.md`).
//!
//! Its pidfd is readable as soon as it has ended. At that moment its parent has not
//! reaped it yet, and most likely nobody knows how it ended. There are three sources,
//! asked in turn: waitid(2), because as PID 1 we inherit orphans; the kernel
//! (`PIDFD_GET_INFO`), once the process is reaped; and the file that our PID 1 writes
//! before it reaps (`crate::machine::last_word`). While one of the last two may still
//! answer, the service waits for the first of these: a change of the file, the hang-up by
//! which a pidfd shows that the process was reaped (Linux 6.9), or the end of
//! [`PATIENCE_MS`]. The file is watched only while somebody waits, so that PID 1's other
//! children do not wake us.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::format::adopt::{Record, World};
use model::format::exits::{self, Sighting, Word};
use model::service::{Exit, Role};
use model::supervisor::{Id, Input};
use model::time::Instant;
use rustix::event::epoll;
use rustix::fs::{CWD, inotify};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::{Engine, Token};
use crate::sys::clock;
use crate::sys::{guarded, pidfd};

/// How long to wait for an exit status (ms). The full time passes only if the heir of
/// orphans does not reap them.
const PATIENCE_MS: u64 = 1000;

/// Ended processes whose exit status is still to come.
#[derive(Default)]
pub struct Late {
    until: BTreeMap<Id, Instant>,
    /// Watches PID 1's file for changes.
    watch: Option<OwnedFd>,
}

impl Late {
    /// When to give up the first of them.
    pub fn deadline(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }
}

/// What is known about the end of a process.
enum Answer {
    Told(i32),
    /// The kernel will know it once the process is reaped.
    NotYet,
    Unknown,
}

impl Engine {
    /// The descriptor of an adopted process is ready: it ended, or, when its exit
    /// status is late, it was reaped.
    pub(super) fn adopted_ended(&mut self, id: Id) {
        let was_reaped = self.late.until.contains_key(&id);
        self.look_for_exit(id, was_reaped);
    }

    /// PID 1's file has changed.
    pub(super) fn ask_again(&mut self) {
        if let Some(watch) = &self.late.watch {
            // The event itself does not say which record changed.
            let _told = rustix::io::read(watch, &mut [0_u8; 4096]);
        }
        let late: Vec<Id> = self.late.until.keys().copied().collect();
        for id in late {
            self.look_for_exit(id, false);
        }
    }

    /// Gives up those whose time is over: nobody knows how they ended.
    pub(super) fn give_up_late(&mut self, now: Instant) {
        let due = self.late.until.iter().filter(|(_, until)| **until <= now);
        let due: Vec<Id> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.look_for_exit(id, true);
        }
    }

    /// `at_last`: this is the last attempt; do not wait further.
    fn look_for_exit(&mut self, id: Id, at_last: bool) {
        let exit = match self.ask(id) {
            // Another process has taken its place.
            None => return self.not_late(id),
            Some(Answer::Told(status)) => Exit::of_status(status),
            // No finish script needs a logger's exit status, and its pipe needs the next
            // logger soon.
            Some(_) if at_last || id.role == Role::Log => Exit::Unknown,
            Some(answer) => match self.wait_for_exit(id, &answer) {
                None => return,
                Some(exit) => exit,
            },
        };
        if let Some(half) = self.half(id) {
            half.pidfd = None;
        }
        self.not_late(id);
        self.feed(Input::AdoptedEnded(id, exit));
    }

    fn ask(&self, id: Id) -> Option<Answer> {
        let half = self.units.get(&id.unit)?.half(id.role)?;
        let fd = half.pidfd.as_ref()?.as_fd();
        if let Some(status) = own_child(fd) {
            return Some(Answer::Told(status));
        }
        let by_kernel = pidfd::exit_status(fd);
        if let Ok(Some(status)) = by_kernel {
            return Some(Answer::Told(status));
        }
        let seen = half.sighting.zip(self.launcher.world.as_ref());
        if let Some(status) = seen.and_then(|(seen, world)| told(seen, world)) {
            return Some(Answer::Told(status));
        }
        Some(by_kernel.map_or(Answer::Unknown, |_| Answer::NotYet))
    }

    /// Waits for an answer if one may still come; returns the answer if none can come, or
    /// if it came meanwhile.
    fn wait_for_exit(&mut self, id: Id, answer: &Answer) -> Option<Exit> {
        if self.late.until.contains_key(&id) {
            return None;
        }
        let is_written = self.watch_exits();
        if !is_written && matches!(answer, Answer::Unknown) || !self.expect_hang_up(id) {
            return Some(Exit::Unknown);
        }
        // Watch first, then look, so that nothing written in between is missed.
        if let Some(Answer::Told(status)) = self.ask(id) {
            return Some(Exit::of_status(status));
        }
        let until = clock::now().plus_ms(PATIENCE_MS);
        self.late.until.insert(id, until);
        None
    }

    /// Whether PID 1 writes such a file. If it cannot be watched, it is read when the
    /// pidfd hangs up, or at the end of the time.
    fn watch_exits(&mut self) -> bool {
        let is_there = open().is_some();
        if is_there && self.late.watch.is_none() {
            self.late.watch = self.new_watch().ok();
        }
        is_there
    }

    fn new_watch(&self) -> std::io::Result<OwnedFd> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::DONT_FOLLOW;
        let watch = inotify::init(flags)?;
        inotify::add_watch(&watch, exits::PATH, events)?;
        self.watch(&watch, Token::Exits)?;
        Ok(watch)
    }

    /// The pidfd stays readable; from here on we wait only for its hang-up, which epoll
    /// always reports.
    fn expect_hang_up(&self, id: Id) -> bool {
        let half = self.units.get(&id.unit).and_then(|u| u.half(id.role));
        let data = epoll::EventData::new_u64(Token::Pidfd(id).encode());
        half.and_then(|half| half.pidfd.as_ref()).is_some_and(|fd| {
            epoll::modify(&self.epoll, fd, data, epoll::EventFlags::empty()).is_ok()
        })
    }

    fn not_late(&mut self, id: Id) {
        self.late.until.remove(&id);
        if self.late.until.is_empty() {
            self.late.watch = None;
        }
    }
}

/// The raw wait status of our own child, which is reaped.
fn own_child(fd: BorrowedFd) -> Option<i32> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status: WaitIdStatus = waitid(WaitId::PidFd(fd), options).ok()??;
    let dumped = if status.dumped() { 0x80 } else { 0 };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some((code & 0xff) << 8),
        (None, signal) => Some(signal? | dumped),
    }
}

/// The process that a record is about.
pub const fn sighting(record: &Record) -> Sighting {
    Sighting {
        pid: record.pid,
        at: record.at,
    }
}

/// The raw wait status that our PID 1 recorded for a process.
pub fn told(seen: Sighting, world: &World) -> Option<i32> {
    let mut bytes = [0; exits::BYTES];
    let n = rustix::io::pread(open()?, &mut bytes, exits::offset(seen.pid)).ok()?;
    let ended = Word::decode(&bytes, world).filter(|ended| n == bytes.len() && ended.was(seen))?;
    Some(ended.status)
}

/// PID 1's file. We believe it if only root, or our own user, can write to it.
fn open() -> Option<OwnedFd> {
    let found = guarded::to_read(CWD, exits::PATH).ok()?;
    found.is_ours.then_some(found.file)
}
