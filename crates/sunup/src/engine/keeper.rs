//! What runsvdir leaves behind when it is told to go while services run.
//!
//! runit's runsvdir exits on TERM at once, and each service's runsv stays: stage
//! 3 then stops the services with `sv`. Here the supervisor is one process, so
//! it forks when it leaves: the *keeper* goes on supervising what runs, by the
//! same means by which the processes of a killed supervisor are adopted, starts
//! nothing anew, and ends when all is down. A successor asks it for a service
//! with a control byte of its own, and the keeper lets go of the lock.

use std::os::fd::AsFd;
use std::path::Path;

use model::command::Sig;
use model::service::{Event, Pid, Role};
use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Alarm, Ending, Engine, Id, Owner, Token, UnitId, adopt};
use crate::say;
use crate::sys::signal::{self, SignalFd};
use crate::sys::spawn;

/// The control byte that asks a keeper to let go; every other supervisor, and
/// runit's, takes no notice of it.
pub const RELEASE: u8 = b'!';

/// How long services may take to end before they are left to a keeper (ms). A
/// machine that goes down sends TERM to all of them as well.
const LEAVE_MS: u64 = 200;
/// How long a keeper that was given a command waits for another (ms), so that
/// `sv` finds out what became of the last one.
const LINGER_MS: u64 = 2000;

/// Asks whoever keeps the service directory to let go of it.
pub fn ask_for(home: &Path) {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for dir in [home.to_owned(), home.join("log")] {
        // Nobody reads where nobody supervises: ENXIO, or no fifo at all.
        if let Ok(fifo) = rustix::fs::open(dir.join("supervise/control"), flags, Mode::empty()) {
            let _unread = rustix::io::write(fifo, &[RELEASE]);
        }
    }
}

impl Engine {
    /// Nothing is started any more; what runs goes on.
    pub(super) fn retire(&mut self) {
        self.ending = Ending::Retire;
        self.waiting.clear();
        self.set_alarm(adopt::now().plus_ms(LEAVE_MS), Alarm::Leave);
        self.drive_all(Event::Retire);
    }

    /// Leaves what runs to a keeper.
    pub(super) fn leave(&mut self) {
        if self.ending != Ending::Retire {
            return;
        }
        self.end_scripts();
        self.hold_processes();
        match spawn::fork(|| self.keep()) {
            // Its units are the keeper's now: they are forgotten, not stopped.
            Ok(_) => self.units.clear(),
            Err(e) => {
                say::offer(
                    self.who,
                    format_args!("fork a keeper for the running services: {e}; trying again"),
                );
                self.set_alarm(adopt::now().plus_ms(LINGER_MS), Alarm::Leave);
            }
        }
    }

    /// Waits for scripts no longer, since the keeper will not be their parent:
    /// their signals are sent. What that starts in turn is dealt with as well.
    fn end_scripts(&mut self) {
        let is_script = |_: &Pid, owner: &mut Owner| !matches!(owner, Owner::Process(_));
        loop {
            let scripts: Vec<Owner> = self.owners.extract_if(is_script).map(|s| s.1).collect();
            if scripts.is_empty() {
                return;
            }
            for script in scripts {
                self.end_script(script);
            }
        }
    }

    fn end_script(&mut self, script: Owner) {
        match script {
            Owner::Process(_) => {}
            Owner::Prepare(id) => self.drive(id, Event::Prepared),
            Owner::Script(id, sig, pid) => {
                let handled = sig == Sig::Cont;
                self.drive(id, Event::ScriptEnded { sig, pid, handled });
            }
            Owner::Epilogue(id) => {
                if let Some(half) = self.half(id) {
                    half.epilogue = false;
                }
            }
        }
    }

    /// Watches each child by a descriptor, for the same reason.
    fn hold_processes(&mut self) {
        let processes: Vec<(Pid, Id)> = self
            .owners
            .iter()
            .filter_map(|(pid, owner)| match owner {
                Owner::Process(id) => Some((*pid, *id)),
                _ => None,
            })
            .collect();
        for (pid, id) in processes {
            self.hold(id, pid);
        }
    }

    fn hold(&mut self, id: Id, pid: Pid) {
        let Some(half) = self.half(id).filter(|h| h.pidfd.is_none()) else {
            return;
        };
        let Some(raw) = rustix::process::Pid::from_raw(pid as i32) else {
            return;
        };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => {
                half.pidfd = Some(fd);
                if let Some(fd) = self
                    .units
                    .get(&id.unit)
                    .and_then(|u| u.half(id.role)?.pidfd.as_ref())
                {
                    drop(self.watch(fd.as_fd(), Token::Pidfd(id)));
                }
            }
            Err(e) => say::offer(self.who, format_args!("watch process {pid}: {e}")),
        }
    }

    /// The keeper's life, in the forked process.
    fn keep(&mut self) -> u8 {
        signal::ignore_pipe();
        let signals = match SignalFd::new(&[signal::SIGTERM, signal::SIGHUP, signal::SIGCHLD]) {
            Ok(signals) => std::mem::replace(&mut self.signals, signals),
            Err(e) => {
                say::offer(self.who, format_args!("keep the running services: {e}"));
                return 111;
            }
        };
        let _gone = rustix::event::epoll::delete(&self.epoll, signals);
        drop(self.watch(self.signals.as_fd(), Token::Signals));
        // It was the title of the process that left.
        self.title = None;
        self.ending = Ending::Keep(adopt::now());
        self.run()
    }

    /// A command came: another may follow.
    pub(super) fn keep_on(&mut self) {
        let until = adopt::now().plus_ms(LINGER_MS);
        self.ending = Ending::Keep(until);
        self.set_alarm(until, Alarm::Linger);
    }

    /// No further command came: what is down stays down.
    pub(super) fn wind_up_all(&mut self) {
        let units: Vec<UnitId> = self.units.keys().copied().collect();
        for unit in units {
            self.wind_up(unit);
        }
    }

    /// Lets go of a unit as it is; a successor takes it over.
    pub(super) fn release(&mut self, unit: UnitId) {
        for role in [Role::Main, Role::Log] {
            self.write_one(Id { unit, role });
        }
        self.units.remove(&unit);
    }
}
