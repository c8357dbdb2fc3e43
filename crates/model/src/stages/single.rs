//! Single-user mode: root's shell on the console, between stage 2 and stage 2.

use alloc::vec::Vec;

use super::{Action, Job, Message, Phase, Script, Stage, Stages, Wish};
use crate::descent::{Descent, Due};
use crate::time::Instant;

impl Stages {
    pub(super) fn is_single(&self) -> bool {
        self.wish == Some(Wish::Single)
    }

    /// Stage 2 is over.
    pub(super) fn leave_to_shell(&mut self, now: Instant, out: &mut Vec<Action>) {
        out.extend([
            Action::Say(Message::SendTerm),
            Action::TermAll,
            Action::Sync,
        ]);
        self.phase = Phase::ToShell(Descent::begin(now, self.grace));
    }

    /// Does what is due now; returns whether something more may be.
    pub(super) fn settle_single(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        if !self.is_single() {
            self.enter(Stage::Three, now, out);
            return true;
        }
        match self.phase {
            Phase::ToShell(descent) => match descent.next(now) {
                Some((next, Due::Kill)) => {
                    out.extend([Action::Say(Message::SendKill), Action::KillAll]);
                    self.phase = Phase::ToShell(next);
                    false
                }
                Some((_, Due::End)) => {
                    self.phase = Phase::Shell(Job::Resting(now));
                    true
                }
                None => false,
            },
            Phase::Shell(Job::Resting(until)) if until <= now => {
                out.extend([Action::Say(Message::Single), Action::Start(Script::Shell)]);
                self.phase = Phase::Shell(Job::Starting);
                false
            }
            _ => false,
        }
    }

    pub(super) fn shell_is_over(&mut self, now: Instant, out: &mut Vec<Action>) {
        // A wish for an end goes first; it is looked at next.
        if self.is_single() {
            self.wish = None;
            self.enter(Stage::Two, now, out);
        }
    }
}
