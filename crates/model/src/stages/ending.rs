//! How stages end that are to end, and what follows the last of them: the descent
//! that every PID 1 has ([`crate::descent`]).

use alloc::string::String;
use alloc::vec::Vec;

use super::{Action, End, Job, Message, Phase, STOP_GRACE, Stage, Stages, Wish};
use crate::descent::{Descent, Due, KILL_GRACE};
use crate::process::Pid;
use crate::time::Instant;

impl Stages {
    /// Stages 1 and 2 end because the machine is to go down: they get TERM. Stage 3 ends
    /// because its time is over, and gets KILL. Returns false if nothing can be done yet.
    pub(super) fn end_stage(
        &mut self,
        stage: Stage,
        job: Job,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        match job {
            Job::Resting(_) => self.after(stage, now, out),
            Job::Starting => return false,
            Job::Running(pid) if stage == Stage::Three => {
                out.push(Action::Say(Message::TooLong(stage)));
                out.push(Action::KillGroup(pid));
                self.phase = killing(stage, pid, now);
            }
            Job::Running(pid) => {
                out.push(Action::Say(Message::TermStage(stage)));
                out.push(Action::Term(pid));
                self.phase = Phase::Ending {
                    stage,
                    pid,
                    until: now.plus(STOP_GRACE),
                    killed: false,
                };
            }
        }
        true
    }

    /// It goes on after TERM, or even after KILL.
    pub(super) fn stage_does_not_end(
        &mut self,
        stage: Stage,
        pid: Pid,
        killed: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if killed {
            return self.after(stage, now, out);
        }
        out.push(Action::Say(Message::KillStage(stage)));
        out.push(Action::Kill(pid));
        self.phase = killing(stage, pid, now);
    }

    /// After stage 3 comes the end; after one that was to end, stage 3, but for single-user mode.
    pub(super) fn after(&mut self, stage: Stage, now: Instant, out: &mut Vec<Action>) {
        if stage == Stage::Three {
            out.push(Action::LookAtReboot);
        } else if !self.is_single() {
            return self.enter(Stage::Three, now, out);
        }
        out.extend([
            Action::Say(Message::SendTerm),
            Action::TermAll,
            Action::Sync,
        ]);
        self.phase = Phase::Last(Descent::begin(now, self.grace));
    }

    pub(super) fn settle_descent(&mut self, descent: Descent, now: Instant, out: &mut Vec<Action>) {
        let Some((next, due)) = descent.next(now) else {
            return;
        };
        self.phase = Phase::Last(next);
        match due {
            Due::Kill => out.extend([Action::Say(Message::SendKill), Action::KillAll]),
            Due::End if self.is_single() => self.start_shell(out),
            Due::End => {
                out.push(Action::Sync);
                self.ask_for(self.fate(), out);
            }
        }
    }

    pub(super) fn no_process_is_left(&mut self, now: Instant) {
        if let Phase::Last(descent) = &mut self.phase {
            *descent = descent.no_process_is_left(now);
        }
    }

    pub(super) fn refused(&mut self, reason: String, out: &mut Vec<Action>) {
        let fate = self.fate();
        let instead = match fate {
            End::Poweroff => Some(End::Halt),
            End::Kexec => Some(End::Reboot),
            End::Halt | End::Reboot => None,
        };
        let Phase::Last(descent) = &mut self.phase else {
            return;
        };
        let Some(next) = descent.refused(instead.is_some()) else {
            return;
        };
        *descent = next;
        out.push(Action::Say(Message::Refused { fate, reason }));
        match instead {
            Some(other) => self.ask_for(other, out),
            None => out.push(Action::Exit),
        }
    }

    /// From here on nothing else changes how the machine ends.
    fn ask_for(&mut self, fate: End, out: &mut Vec<Action>) {
        self.wish = Some(Wish::For(fate));
        out.extend([Action::Say(Message::Request(fate)), Action::End(fate)]);
    }

    pub(super) fn fate(&self) -> End {
        match self.wish {
            Some(Wish::For(fate)) => fate,
            _ if self.reboot => End::Reboot,
            _ => End::Poweroff,
        }
    }
}

/// A stage that has got KILL; not even that ends a process that hangs in the kernel.
fn killing(stage: Stage, pid: Pid, now: Instant) -> Phase {
    Phase::Ending {
        stage,
        pid,
        until: now.plus(KILL_GRACE),
        killed: true,
    }
}
