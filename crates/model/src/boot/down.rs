//! The shutdown of the machine: its commands, and then the descent that every PID 1 has
//! ([`crate::descent`]).

use alloc::string::String;
use alloc::vec::Vec;

use super::slot::{Job, Slot};
use super::{Action, Fate, Id, Machine, Message, Phase, STAGE3, STAGE3_SINGLE};
use crate::descent::{Descent, Due, KILL_GRACE};
use crate::format::inittab;
use crate::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Down {
    /// The commands of the shutdown run in turn.
    Commands { current: Option<Current> },
    /// They have run.
    Last(Descent),
}

/// The command of the shutdown whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Current {
    pub(super) id: Id,
    pub(super) until: Instant,
    killed: bool,
}

impl Down {
    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Commands { current } => current.map(|c| c.until),
            Self::Last(descent) => descent.deadline(),
        }
    }
}

/// Its command.
pub(super) const fn stage3(is_single: bool) -> &'static [u8] {
    if is_single { STAGE3_SINGLE } else { STAGE3 }
}

impl Machine {
    /// Begins, with an end or, without one, for single-user mode. The first end wins.
    pub(super) fn go_down(&mut self, fate: Option<Fate>) {
        let is_single = fate.is_none();
        let current = match &self.phase {
            // Stage 3 is at work already.
            Phase::Down(None, Down::Commands { current }) => *current,
            _ => None,
        };
        self.phase = Phase::Down(fate, Down::Commands { current });
        if let Some(slot) = self.slot(Id::STAGE3).filter(|s| !s.job.has_process()) {
            slot.entry.command = stage3(is_single).to_vec();
            if slot.job == Job::Idle {
                slot.job = Job::Ready;
            }
        }
        if !is_single {
            self.ask_for(inittab::Action::Shutdown);
        }
    }

    pub(super) fn no_process_is_left(&mut self, now: Instant) {
        if let Phase::Down(_, Down::Last(descent)) = &mut self.phase {
            *descent = descent.no_process_is_left(now);
        }
    }

    /// If the restart or the kexec is impossible, the machine reboots: a device without an
    /// operator must come up again. If any other end is impossible, there is nothing left to do.
    pub(super) fn refused(&mut self, reason: String, out: &mut Vec<Action>) {
        let Phase::Down(Some(fate), Down::Last(descent)) = &mut self.phase else {
            return;
        };
        let reboots_instead = matches!(fate, Fate::Restart(_) | Fate::Kexec);
        let Some(next) = descent.refused(reboots_instead) else {
            return;
        };
        *descent = next;
        let told = fate.clone();
        out.push(Action::Say(Message::Refused { fate: told, reason }));
        if reboots_instead {
            *fate = Fate::Reboot;
            out.push(Action::Say(Message::Requesting(Fate::Reboot)));
            out.push(Action::End(Fate::Reboot));
        } else {
            out.push(Action::Exit);
        }
    }

    /// Takes one step of the shutdown after another, until one must wait.
    pub(super) fn settle_down(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Phase::Down(fate, down) = &self.phase {
            let (fate, down) = (fate.clone(), down.clone());
            let next = match down {
                Down::Commands {
                    current: Some(current),
                } => self.command_goes_on(current, now, out),
                Down::Commands { current: None } => {
                    Some(self.next_command(fate.is_none(), now, out))
                }
                Down::Last(descent) => match (descent.next(now), &fate) {
                    (Some((_, Due::End)), None) => return self.be_single(),
                    (Some((next, Due::End)), Some(fate)) => {
                        Self::end(fate, out);
                        Some(Down::Last(next))
                    }
                    (Some((next, Due::Kill)), _) => {
                        out.extend([Action::KillAll, Action::Say(Message::SentKill)]);
                        Some(Down::Last(next))
                    }
                    (None, _) => None,
                },
            };
            let Some(next) = next else { return };
            self.phase = Phase::Down(fate, next);
        }
    }

    fn end(fate: &Fate, out: &mut Vec<Action>) {
        out.push(Action::Sync);
        if !matches!(fate, Fate::Restart(_)) {
            out.push(Action::Say(Message::Requesting(fate.clone())));
        }
        out.push(Action::End(fate.clone()));
    }

    /// The next command of the shutdown, or TERM for everybody after the last.
    fn next_command(&mut self, is_single: bool, now: Instant, out: &mut Vec<Action>) -> Down {
        let is_next =
            |s: &&mut Slot| s.entry.action == inittab::Action::Shutdown && s.job != Job::Idle;
        let Some(slot) = self.slots.iter_mut().find(is_next) else {
            let goal = if is_single {
                Message::GoingSingle
            } else {
                Message::GoingDown
            };
            out.extend([
                Action::Say(goal),
                Action::TermAll,
                Action::Say(Message::SentTerm),
                Action::Sync,
            ]);
            return Down::Last(Descent::begin(now, self.grace));
        };
        if slot.job.is_due(Instant::MAX) {
            slot.start(out);
        }
        let until = now.plus(slot.limit());
        let current = Current {
            id: slot.id,
            until,
            killed: false,
        };
        Down::Commands {
            current: Some(current),
        }
    }

    /// What happens to the current command; `None`: continue to wait.
    fn command_goes_on(
        &mut self,
        current: Current,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Option<Down> {
        let over = Some(Down::Commands { current: None });
        let Some(slot) = self.slot(current.id).filter(|s| s.job != Job::Idle) else {
            return over;
        };
        if now < current.until {
            if slot.job.is_due(now) {
                slot.start(out);
            }
            return None;
        }
        match slot.job {
            Job::Running { pid, .. } if !current.killed => {
                out.push(Action::Say(Message::TooLong {
                    command: slot.entry.command.clone(),
                    limit: slot.limit(),
                }));
                out.push(Action::KillGroup(pid));
                let current = Current {
                    until: now.plus(KILL_GRACE),
                    killed: true,
                    ..current
                };
                Some(Down::Commands {
                    current: Some(current),
                })
            }
            // It cannot be killed, or cannot be started: go on without it.
            _ => {
                slot.job = Job::Idle;
                over
            }
        }
    }
}
