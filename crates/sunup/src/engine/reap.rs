//! Children that have ended: a bounded number of them in each turn.
//!
//! A zombie that waits for its turn is not alive, so this time must not count as life.
//! Nobody says when exactly a child ended. But while no zombie is left over, the kernel
//! wakes the supervisor at each end. So a child that is found while zombies are left over
//! counts as ended when the first of them was seen. If this is wrong, its life counts as
//! too short, which costs one restart gap.

use model::service::{Exit, Pid};
use model::supervisor::Input;
use model::time::Instant;
use rustix::process::{WaitOptions, WaitStatus, waitpid};

use super::Engine;
use crate::machine;

/// Whether children may wait to be reaped, and since when.
pub struct Zombies {
    are_left: bool,
    first_seen: Instant,
}

impl Zombies {
    /// No look so far: children may have ended.
    pub const fn new() -> Self {
        Self {
            are_left: false,
            first_seen: Instant(0),
        }
    }

    /// The kernel was asked for events at this moment.
    pub const fn seen(&mut self, now: Instant) {
        if !self.are_left {
            self.first_seen = now;
        }
    }

    /// There may be some.
    pub const fn may_be_left(&mut self) {
        self.are_left = true;
    }

    /// Whether there may be some.
    pub const fn are_left(&self) -> bool {
        self.are_left
    }
}

impl Engine {
    /// Reaps the child that a signal names. To find any other ended child the kernel
    /// searches all children, and takes longest if there is none. So this child is reaped
    /// first, and that search is made once for many signals.
    pub(super) fn reap_named(&mut self, pid: u32) {
        // PID 1 leaves word before it reaps.
        if std::process::id() != 1
            && let Some(pid) = rustix::process::Pid::from_raw(pid as i32)
            && self.may_be_taken(pid)
            && let Ok(Some(ended)) = waitpid(Some(pid), WaitOptions::NOHANG)
        {
            self.child_ended(ended);
        }
    }

    /// Reaps a bounded number of dead children, known or not.
    pub(super) fn reap(&mut self) {
        self.budget = super::Budget::new();
        while self.zombies.are_left && self.may_go_on() {
            let Ok(Some((pid, status))) = machine::last_word::next() else {
                self.zombies.are_left = false;
                return;
            };
            // If its start failed, handling that has reaped it.
            if self.may_be_taken(pid)
                && let Ok(Some(ended)) = machine::last_word::take(pid, status)
            {
                self.child_ended(ended);
            }
        }
    }

    /// Finishes what must precede reaping a child; returns whether the zombie still
    /// exists.
    fn may_be_taken(&mut self, pid: rustix::process::Pid) -> bool {
        // Only the answer of its start tells whose it is. And commands that it was sent
        // may start other children.
        self.may_be_reaped(pid) && (!self.hear_last_words(pid) || self.may_be_reaped(pid))
    }

    /// Obeys the commands that were sent to a service before it ended, perhaps by itself,
    /// before its end is handled: one of them may say not to start it again. While it is
    /// a zombie, a signal that follows from such a command cannot hit another process.
    /// Returns whether there was a command.
    fn hear_last_words(&mut self, pid: rustix::process::Pid) -> bool {
        let id = self.core.whose(pid.as_raw_pid() as Pid);
        id.is_some_and(|id| self.obey(id))
    }

    fn child_ended(&mut self, (pid, status): (rustix::process::Pid, WaitStatus)) {
        let pid = pid.as_raw_pid() as Pid;
        let exit = Exit::of_status(status.as_raw());
        // This comes first: what follows from the others may start a child with this pid.
        let known = self.guard.is_none() || self.core.is_known(pid);
        self.feed(Input::ChildEnded(pid, exit, self.zombies.first_seen));
        self.contained_child_ended(pid, exit, known);
        self.signal_script_ended(pid);
        self.trial_ended(pid, status.as_raw());
    }
}
