//! How the supervision ends: everything is told to exit, or what runs is left
//! to a keeper (`docs/decisions/0006-keeper.md`).

use alloc::vec::Vec;

use super::{Action, Alarm, Job, Scope, Supervisor, UnitId};
use crate::command::Command;
use crate::service::{Event, Pid};
use crate::time::Instant;

/// How long services may take to end before they are left to a keeper (ms). A
/// machine that goes down sends TERM to all of them as well.
const LEAVE_MS: u64 = 200;
/// How long a keeper that was given a command waits for another (ms), so that
/// `sv` finds out what became of the last one.
const LINGER_MS: u64 = 2000;
/// Delay before a keeper that could not be made is tried again (ms).
const LEAVE_AGAIN_MS: u64 = 2000;

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
}

impl Supervisor {
    /// TERM: runsv acts as on `x`; runsvdir starts nothing more and leaves. As
    /// PID 1, or when told twice, it stops everything first.
    pub(super) fn terminate(&mut self) {
        match (self.scope, self.ending) {
            (Scope::One, _) => self.drive_all(Event::Command(Command::Exit)),
            (Scope::All { init: false }, Ending::No) => self.retire(),
            (Scope::All { .. }, _) => self.exit_all(0),
        }
    }

    /// HUP: runsvdir(8); runsv takes no notice.
    pub(super) fn hang_up(&mut self) {
        if self.scope != Scope::One {
            self.exit_all(111);
        }
    }

    fn exit_all(&mut self, code: u8) {
        self.ending = Ending::Exit(code);
        self.stop_admitting();
        self.drive_all(Event::Command(Command::Exit));
    }

    /// Nothing is started any more; what runs goes on.
    fn retire(&mut self) {
        self.ending = Ending::Retire;
        self.stop_admitting();
        let at = self.now.at.plus_ms(LEAVE_MS);
        self.alarms.set(Alarm::Leave, Some(at));
        self.drive_all(Event::Retire);
    }

    /// Whether everything was told to exit.
    pub(super) const fn is_stopping(&self) -> bool {
        matches!(self.ending, Ending::Exit(_))
    }

    /// Whether a logger ends when its service is down.
    pub(super) fn is_retiring(&self) -> bool {
        match self.ending {
            Ending::Retire => true,
            // A restart may be under way: its second half wants the logger.
            Ending::Keep(until) => until <= self.now.at,
            Ending::No | Ending::Exit(_) => false,
        }
    }

    /// Leaves what runs to a keeper.
    pub(super) fn leave(&mut self) {
        if self.ending == Ending::Retire {
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
    }

    pub(super) fn not_left(&mut self) {
        let at = self.now.at.plus_ms(LEAVE_AGAIN_MS);
        self.alarms.set(Alarm::Leave, Some(at));
    }

    /// The keeper's life begins. It is not the parent of what runs: processes
    /// are watched by descriptor, and scripts are waited for no longer, so their
    /// signals are sent.
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
    }

    /// A command came to a keeper: another may follow.
    pub(super) fn keep_on(&mut self) {
        if let Ending::Keep(_) = self.ending {
            let until = self.now.at.plus_ms(LINGER_MS);
            self.ending = Ending::Keep(until);
            self.alarms.set(Alarm::Linger, Some(until));
        }
    }

    /// A keeper lets go of a unit as it is; a successor takes it over.
    pub(super) fn release(&mut self, unit: UnitId) {
        if matches!(self.ending, Ending::Keep(_)) && self.forget(unit).is_some() {
            self.push(Action::Release(unit));
        }
    }
}
