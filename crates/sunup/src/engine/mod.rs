//! The supervisor: one loop for any number of services.
//!
//! wait -> events -> [`model::service`] decides -> actions -> state files. There
//! is no thread and no polling: control fifos, child deaths, processes of an
//! earlier supervisor and changes of the scan directory are all descriptors in
//! one epoll set, and its timeout is the next deadline. State files are written
//! after all events of a round have been acted upon, so starting a thousand
//! services is not held up by writing a thousand files.
//!
//! `runsv DIR` is this engine with one service ([`Engine::supervise_one`]),
//! `runsvdir DIR` with those of a scan directory ([`Engine::supervise_all`]).

mod adopt;
mod drive;
mod foreign;
mod half;
mod keeper;
mod launch;
mod notice;
mod roster;
mod scandir;
mod supervise;
mod title;
mod unit;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use model::command::Sig;
use model::scan::Identity;
use model::service::{Pid, Role};
use model::time::Instant;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::say;
use crate::sys::signal::{self, SignalFd};
use crate::sys::spawn::Session;
use launch::Launcher;
use notice::Notice;
use roster::Waiting;
use scandir::ScanDir;
use title::Title;
use unit::Unit;

/// Ready descriptors taken from the kernel at a time.
const EVENTS_MAX: usize = 256;
/// Delay before state files that could not be written are tried again (ms).
const REWRITE_MS: u64 = 1000;

/// The shortest log argument of runsvdir that is taken (runsvdir(8)).
pub use title::BYTES_MIN as TITLE_BYTES_MIN;

/// Number of a unit; never used twice.
type UnitId = u64;

/// A service or its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id {
    unit: UnitId,
    role: Role,
}

/// Whose child a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// `./run` or `./finish`.
    Process(Id),
    /// `./control/u`.
    Prepare(Id),
    /// `./control/LETTER` for the process.
    Script(Id, Sig, Pid),
    /// `./control/d` or `./control/x`.
    Epilogue(Id),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A service's own deadline.
    Service(Id),
    /// State files that could not be written.
    Rewrite,
    /// A service directory that could not be opened.
    Admit(Identity),
    /// A look at the scan directory.
    Scan,
    /// What still runs is left to a keeper.
    Leave,
    /// The keeper need not wait for further commands.
    Linger,
    /// The process title gets a dot.
    Dot,
}

/// What a ready descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Signals,
    ScanDir,
    Title,
    Control(Id),
    Pidfd(Id),
}

impl Token {
    fn encode(self) -> u64 {
        let id = |id: Id, kind: u64| id.unit << 2 | u64::from(id.role == Role::Log) << 1 | kind;
        match self {
            Self::Signals => 0,
            Self::ScanDir => 1,
            Self::Title => 2,
            Self::Control(of) => id(of, 0),
            Self::Pidfd(of) => id(of, 1),
        }
    }

    fn decode(bits: u64) -> Self {
        let role = if bits & 2 == 0 { Role::Main } else { Role::Log };
        let id = Id {
            unit: bits >> 2,
            role,
        };
        match bits {
            0 => Self::Signals,
            1 => Self::ScanDir,
            2 => Self::Title,
            _ if bits & 1 == 0 => Self::Control(id),
            _ => Self::Pidfd(id),
        }
    }
}

/// How the supervision is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Not at all.
    No,
    /// When everything is down: nothing is started any more (TERM to runsvdir).
    Retire,
    /// As `Retire`, but in the keeper (see [`keeper`]), and not before the moment.
    Keep(Instant),
    /// When everything is gone: all was told to exit. The code is the exit code.
    Exit(u8),
}

/// The supervisor.
pub struct Engine {
    who: &'static str,
    epoll: OwnedFd,
    signals: SignalFd,
    launcher: Launcher,
    units: BTreeMap<UnitId, Unit>,
    next_unit: UnitId,
    by_identity: HashMap<Identity, UnitId>,
    waiting: BTreeMap<Identity, Waiting>,
    owners: HashMap<Pid, Owner>,
    alarms: BTreeSet<(Instant, Alarm)>,
    dirty: Vec<Id>,
    scan_dir: Option<ScanDir>,
    title: Option<Title>,
    notice: Option<Notice>,
    ending: Ending,
}

impl Engine {
    /// Prepares the loop; `who` is the applet, for messages. From here on TERM,
    /// HUP and CHLD arrive through the loop, and inherited ignored signals have
    /// their default action again, for the services' sake.
    pub fn new(who: &'static str, session: Session) -> io::Result<Self> {
        signal::reset_all();
        signal::ignore_pipe();
        let signals = SignalFd::new(&[signal::SIGTERM, signal::SIGHUP, signal::SIGCHLD])?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let engine = Self {
            who,
            epoll,
            signals,
            launcher: Launcher::new(session)?,
            units: BTreeMap::new(),
            next_unit: 1,
            by_identity: HashMap::new(),
            waiting: BTreeMap::new(),
            owners: HashMap::new(),
            alarms: BTreeSet::new(),
            dirty: Vec::new(),
            scan_dir: None,
            title: None,
            notice: None,
            ending: Ending::No,
        };
        engine.watch(engine.signals.as_fd(), Token::Signals)?;
        if engine.launcher.world.is_none() {
            say::offer(
                who,
                "/proc is not mounted: if this supervisor is killed, its services cannot be taken over",
            );
        }
        Ok(engine)
    }

    /// Supervises one service directory until it was told to exit; the result is the exit code.
    pub fn supervise_one(mut self, dir: &[u8]) -> u8 {
        if let Err(complaint) = self.admit_one(dir) {
            say::offer(self.who, complaint);
            return 111;
        }
        self.run()
    }

    /// Supervises the services of a scan directory; the result is the exit code.
    pub fn supervise_all(mut self, dir: &[u8]) -> u8 {
        match ScanDir::new(dir) {
            Ok(scan_dir) => {
                let watched = scan_dir
                    .descriptor()
                    .map(|fd| self.watch(fd, Token::ScanDir));
                if let Some(Err(e)) = watched {
                    say::offer(self.who, format_args!("watch the scan directory: {e}"));
                    return 111;
                }
                self.scan_dir = Some(scan_dir);
            }
            Err(e) => {
                say::offer(
                    self.who,
                    format_args!("{}: {e}; name a directory of services", dir.escape_ascii()),
                );
                return 100;
            }
        }
        self.scan();
        self.run()
    }

    /// Shows standard error in the process title from now on. The last argument
    /// of the process is the place for it.
    pub fn log_to_title(&mut self) {
        match Title::new() {
            Ok(title) => {
                drop(self.watch(title.descriptor(), Token::Title));
                self.title = Some(title);
                self.set_alarm(adopt::now().plus_ms(title::DOT_MS), Alarm::Dot);
            }
            Err(e) => say::offer(
                self.who,
                format_args!("show the log in the process title: {e}"),
            ),
        }
    }

    fn dot(&mut self) {
        if let Some(title) = &mut self.title {
            title.scroll(b".");
            self.set_alarm(adopt::now().plus_ms(title::DOT_MS), Alarm::Dot);
        }
    }

    fn run(&mut self) -> u8 {
        let mut ready = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.write_state();
            if let Some(code) = self.exit_code() {
                return code;
            }
            let timeout = self.alarms.first().map(|(at, _)| until(*at));
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Cannot happen with valid arguments; ending lets init start a successor.
                Err(e) => {
                    say::offer(self.who, format_args!("wait for events: {e}"));
                    return 111;
                }
            }
            for event in ready.drain(..) {
                self.dispatch(Token::decode(event.data.u64()));
            }
            self.ring();
        }
    }

    fn dispatch(&mut self, token: Token) {
        match token {
            Token::Signals => self.take_signals(),
            Token::ScanDir => self.scan_dir_changed(),
            Token::Title => {
                if let Some(title) = &mut self.title {
                    title.take();
                }
            }
            Token::Control(id) => self.obey(id),
            Token::Pidfd(id) => self.adopted_ended(id),
        }
    }

    fn take_signals(&mut self) {
        while let Some(delivered) = self.signals.next() {
            match delivered.signal {
                signal::SIGCHLD => self.reap(),
                signal => self.signalled(signal),
            }
        }
    }

    /// TERM: runsv acts as on `x`; runsvdir starts nothing more and leaves. As
    /// PID 1, or when told twice, it stops everything first.
    fn told_to_end(&mut self) {
        if self.scan_dir.is_none() || std::process::id() == 1 || self.ending != Ending::No {
            self.exit_all(0);
        } else {
            self.retire();
        }
    }

    fn exit_code(&self) -> Option<u8> {
        match self.ending {
            Ending::Exit(code) => self.units.is_empty().then_some(code),
            Ending::Retire => self.units.values().all(Unit::is_down).then_some(0),
            Ending::Keep(until) => {
                (until <= adopt::now() && self.units.values().all(Unit::is_down)).then_some(0)
            }
            Ending::No => (self.scan_dir.is_none() && self.units.is_empty()).then_some(0),
        }
    }

    /// Acts on the deadlines that have come.
    fn ring(&mut self) {
        let now = adopt::now();
        while let Some((at, alarm)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, alarm));
            match alarm {
                Alarm::Service(id) => self.deadline(id),
                Alarm::Rewrite => self.mark_stale(),
                Alarm::Admit(identity) => self.admit_again(identity),
                Alarm::Scan => self.scan(),
                Alarm::Leave => self.leave(),
                Alarm::Linger => self.wind_up_all(),
                Alarm::Dot => self.dot(),
            }
        }
    }

    /// A look at the scan directory at the moment, or before if that is set already.
    fn scan_by(&mut self, at: Instant) {
        let set = self.alarms.iter().find(|(_, a)| *a == Alarm::Scan).copied();
        if let Some(later) = set.filter(|(old, _)| *old > at) {
            self.alarms.remove(&later);
        }
        if set.is_none_or(|(old, _)| old > at) {
            self.set_alarm(at, Alarm::Scan);
        }
    }

    fn set_alarm(&mut self, at: Instant, alarm: Alarm) {
        self.alarms.insert((at, alarm));
    }

    fn watch(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        Ok(epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?)
    }
}

/// The time from now until a moment.
fn until(at: Instant) -> Timespec {
    let ns = at.0.saturating_sub(adopt::now().0);
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        let ids = [Role::Main, Role::Log].map(|role| Id { unit: 77, role });
        let tokens = ids
            .into_iter()
            .flat_map(|id| [Token::Control(id), Token::Pidfd(id)]);
        for token in tokens.chain([Token::Signals, Token::ScanDir, Token::Title]) {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
