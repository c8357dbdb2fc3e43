//! Children that have ended: a bounded number of them in each turn.
//!
//! A zombie that has to wait for its turn does not live meanwhile. When each has
//! ended nobody says; but as long as none is left over, the kernel wakes the
//! supervisor at the end of each. So a child that is found while some are left over
//! has ended, as far as is known, when the first of these was seen. A life is then
//! taken for shorter than it was, if it is wrong, which costs a gap.

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
    /// Nobody has looked yet.
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
    /// Takes the child that a signal names. The kernel looks for any other among
    /// all, and takes longest where there is none: so this one is started again
    /// first, and that look comes once for many signals.
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

    /// Takes some dead children, whoever's they are.
    pub(super) fn reap(&mut self) {
        self.budget = super::Budget::new();
        while self.zombies.are_left && self.may_go_on() {
            let Ok(Some((pid, status))) = machine::last_word::next() else {
                self.zombies.are_left = false;
                return;
            };
            // If its start failed, that has taken it.
            if self.may_be_taken(pid)
                && let Ok(Some(ended)) = machine::last_word::take(pid, status)
            {
                self.child_ended(ended);
            }
        }
    }

    /// Before a child is reaped: whether it is there, when all is done that comes first.
    fn may_be_taken(&mut self, pid: rustix::process::Pid) -> bool {
        // Only when its start is answered is it certain whose it is; and what it was
        // told may start others.
        self.may_be_reaped(pid) && (!self.hear_last_words(pid) || self.may_be_reaped(pid))
    }

    /// What a service was told before it ended, by itself perhaps, counts before its
    /// end: it may be that it is not to start again. While it is a zombie, a signal
    /// that follows from that reaches nobody else. Whether there was anything.
    fn hear_last_words(&mut self, pid: rustix::process::Pid) -> bool {
        let id = self.core.whose(pid.as_raw_pid() as Pid);
        id.is_some_and(|id| self.obey(id))
    }

    fn child_ended(&mut self, (pid, status): (rustix::process::Pid, WaitStatus)) {
        let pid = pid.as_raw_pid() as Pid;
        let exit = Exit::of_status(status.as_raw());
        // First, for what follows from the others may start a child with this pid.
        self.feed(Input::ChildEnded(pid, exit, self.zombies.first_seen));
        self.signal_script_ended(pid);
        self.trial_ended(pid, status.as_raw());
    }
}
