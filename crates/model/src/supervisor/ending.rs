//! How the supervision ends: everything is told to exit, or what runs is left
//! to a keeper (`docs/decisions/0006-keeper.md`).
//!
//! A service may take its time, or ignore TERM. The supervisor reports every few seconds
//! which services it waits for. If it gets the same signal again, it stops waiting: it
//! leaves running services to a keeper, or as PID 1, whose end is the end of all, sends
//! KILL.
//!
//! ```text
//!        TERM             TERM                 TERM
//! No ----------> Retire --------> Exit(0) ---------------> Abandon
//!  |  (PID 1: to Exit(0))
//!  +------------------- HUP ----> Exit(111) --- HUP -----> Abandon
//! ```

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::order::Order;
use super::{Action, Alarm, Id, Job, Scope, Supervisor, UnitId};
use crate::service::{Pid, Role};
use crate::signal::Signal;
use crate::time::Instant;

/// How long services may take to end before they are left to a keeper (ms). A
/// machine that goes down sends TERM to all of them as well.
const LEAVE_MS: u64 = 200;
/// How long a keeper that was given a command waits for another (ms), so that
/// `sv` finds out what became of the last one.
const LINGER_MS: u64 = 2000;
/// Delay before a keeper that could not be made is tried again (ms).
const LEAVE_AGAIN_MS: u64 = 2000;
/// How often to report who is waited for (ms).
const REMIND_MS: u64 = 5000;
/// At most so many of them are named.
const NAMED_MAX: usize = 4;
/// Exit code after HUP, and of one that waited no longer.
pub(super) const HUNG_UP: u8 = 111;

/// How the supervision is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not at all.
    No,
    /// When everything is down: nothing is started any more (TERM to runsvdir).
    Retire,
    /// As `Retire`, but in the keeper, and not before the moment.
    Keep(Instant),
    /// When everything is gone: all was told to exit. The code is the exit code.
    Exit(u8),
    /// At once: as `Exit`, but the signal came again, so there is no more waiting.
    Abandon,
}

impl Supervisor {
    /// TERM: runsv acts as on `x`, each time; runsvdir starts nothing more and leaves. As
    /// PID 1, or runsvdir at the second TERM, it stops everything first; at the next one
    /// it waits for nothing.
    pub(super) fn terminate(&mut self) {
        match (self.scope, self.ending) {
            (Scope::One { init: false }, _) => self.order_all(),
            (Scope::All { init: false }, Ending::No) => self.retire(),
            (_, Ending::Exit(0)) => self.abandon(),
            (_, _) => self.exit_all(0),
        }
    }

    /// HUP: see runsvdir(8); runsv ignores it.
    pub(super) fn hang_up(&mut self) {
        match (self.scope, self.ending) {
            (Scope::One { .. }, _) => {}
            (_, Ending::Exit(HUNG_UP)) => self.abandon(),
            (_, _) => self.exit_all(HUNG_UP),
        }
    }

    fn exit_all(&mut self, code: u8) {
        if self.ending == Ending::Abandon {
            return;
        }
        self.ending = Ending::Exit(code);
        let at = self.now.at.plus_ms(REMIND_MS);
        self.alarms.set(Alarm::Remind, Some(at));
        self.stop_admitting();
        self.order_all();
    }

    /// Stops waiting for services that were told to exit.
    fn abandon(&mut self) {
        self.ending = Ending::Abandon;
        if !self.scope.is_init() {
            return self.push(Action::Leave);
        }
        let rest: Vec<_> = self.processes().collect();
        for (id, pid) in rest {
            self.push(Action::Signal(id, pid, Signal::KILL));
        }
        self.left();
    }

    /// Reports who is waited for, and how to stop waiting.
    pub(super) fn remind(&mut self) {
        let Ending::Exit(code) = self.ending else {
            return;
        };
        let at = self.now.at.plus_ms(REMIND_MS);
        self.alarms.set(Alarm::Remind, Some(at));
        // A logger waits for its service itself.
        let is_waited_for = |id: &Id| {
            let main = Id {
                role: Role::Main,
                ..*id
            };
            id.role == Role::Main || !self.busy.contains(&main)
        };
        let waited: Vec<Id> = self.busy.iter().copied().filter(is_waited_for).collect();
        if waited.is_empty() {
            return;
        }
        let named = waited
            .iter()
            .take(NAMED_MAX)
            .filter_map(|id| self.in_words(*id));
        let named = named.collect::<Vec<String>>().join(", ");
        let more = match waited.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let again = if code == HUNG_UP { "HUP" } else { "TERM" };
        let then = if self.scope.is_init() {
            "kills them"
        } else {
            "leaves them to end by themselves"
        };
        self.push(Action::Say(format!(
            "waiting for the end of {named}{more}; another {again} {then}"
        )));
    }

    fn in_words(&self, id: Id) -> Option<String> {
        let name = self.name(id.unit)?.escape_ascii();
        let log = if id.role == Role::Log { "/log" } else { "" };
        let (_, pid) = self.service(id)?.phase();
        Some(match pid {
            0 => format!("{name}{log}"),
            _ => format!("{name}{log} (pid {pid})"),
        })
    }

    /// Nothing is started any more; what runs goes on.
    fn retire(&mut self) {
        self.ending = Ending::Retire;
        self.stop_admitting();
        let at = self.now.at.plus_ms(LEAVE_MS);
        self.alarms.set(Alarm::Leave, Some(at));
        self.retire_all();
    }

    /// Whether everything was told to exit.
    pub(super) const fn is_stopping(&self) -> bool {
        matches!(self.ending, Ending::Exit(_) | Ending::Abandon)
    }

    /// Whether a logger ends when its service is down.
    pub(super) fn is_retiring(&self) -> bool {
        match self.ending {
            Ending::Retire => true,
            // A restart may be under way; then its second half needs the logger.
            Ending::Keep(until) => until <= self.now.at,
            Ending::No | Ending::Exit(_) | Ending::Abandon => false,
        }
    }

    /// Leaves what runs to a keeper.
    pub(super) fn leave(&mut self) {
        if matches!(self.ending, Ending::Retire | Ending::Abandon) {
            self.push(Action::Leave);
        }
    }

    /// Its units are the keeper's now: they are forgotten, not stopped.
    pub(super) fn left(&mut self) {
        self.units.clear();
        self.owners.clear();
        self.starts.clear();
        self.queue.clear();
        self.busy.clear();
        self.untold.clear();
        self.order = Order::default();
    }

    pub(super) fn not_left(&mut self) {
        let at = self.now.at.plus_ms(LEAVE_AGAIN_MS);
        self.alarms.set(Alarm::Leave, Some(at));
    }

    /// The keeper's life begins. It is not the parent of running processes: it watches
    /// them by pidfd. It does not wait for control scripts, so their signals are sent.
    pub(super) fn kept(&mut self) {
        self.ending = Ending::Keep(self.now.at);
        let (processes, scripts): (Vec<_>, Vec<(Pid, Job)>) = core::mem::take(&mut self.owners)
            .into_iter()
            .partition(|(_, job)| job.is_process());
        for (_, job) in &processes {
            if let Some(half) = self.half_mut(job.id()) {
                half.held = true;
            }
        }
        self.owners.extend(processes);
        for (_, job) in scripts {
            self.script_over(job, false);
        }
        self.order_kept();
    }

    /// A command came to a keeper: another may follow.
    pub(super) fn keep_on(&mut self) {
        if let Ending::Keep(_) = self.ending {
            let until = self.now.at.plus_ms(LINGER_MS);
            self.ending = Ending::Keep(until);
            self.alarms.set(Alarm::Linger, Some(until));
        }
    }

    /// No command came to a keeper for some time.
    pub(super) fn linger_over(&mut self) {
        self.order_released();
        self.wind_up_all();
    }

    /// A keeper lets go of a unit as it is; a successor takes it over.
    pub(super) fn release(&mut self, unit: UnitId) {
        if matches!(self.ending, Ending::Keep(_)) {
            self.order_releases(unit);
            if self.forget(unit).is_some() {
                self.push(Action::Release(unit));
            }
        }
    }
}
