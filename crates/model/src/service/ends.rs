//! How a run ends: by itself, or as a logger with its pipe; and the rest before the next.

use super::{Action, Actions, LOG_DRAIN_MS, Next, Role, Service, State, Want};
use crate::process::{Exit, Pid};
use crate::restart::{GAP_MS, Streak};
use crate::settings::{Look, Settings};
use crate::time::Instant;

impl Service {
    pub(super) fn finish_if_there(&mut self, found: &Settings, exit: Exit, actions: &mut Actions) {
        let State::EndingRun {
            not_before,
            finish_ms,
            child: None,
        } = &mut self.state
        else {
            return;
        };
        if found.finish {
            *finish_ms = found.timeout_finish;
            actions.push(Action::StartFinish(exit));
        } else {
            self.state = State::Down {
                not_before: *not_before,
            };
        }
    }

    pub(super) fn exited(&mut self, pid: Pid, exit: Exit, now: Instant, actions: &mut Actions) {
        match self.state {
            State::Run(r) if r.pid == pid => {
                let short = now.ms_since(r.since) < GAP_MS;
                let not_before = if short { now.plus_ms(GAP_MS) } else { now };
                if !short {
                    self.streak = Streak::NONE;
                }
                let grows = short && !r.got_term && self.died_young(exit);
                self.end_run(exit, grows, not_before, actions);
            }
            State::Finish {
                pid: p, not_before, ..
            } if p == pid => {
                self.state = State::Down { not_before };
            }
            _ => {}
        }
    }

    /// A run ended, though nobody asked for that, before it had lived for a second;
    /// returns whether the delay may grow.
    pub(super) fn died_young(&mut self, exit: Exit) -> bool {
        self.streak = self.streak.and(exit);
        self.streak.may_grow() && self.want == Want::Up
    }

    pub(super) fn back_off(&mut self, longest_s: Option<u32>, now: Instant) {
        if let State::EndingRun { not_before, .. } | State::Down { not_before } = &mut self.state
            && self.streak.may_grow()
        {
            self.streak.ask(longest_s);
            let delay = self.streak.delay_ms(longest_s);
            *not_before = (*not_before).max(now.plus_ms(delay));
        }
    }

    /// The run is over. The look comes before `./finish`: the gap begins with the end
    /// of the run.
    pub(super) fn end_run(
        &mut self,
        exit: Exit,
        grows: bool,
        not_before: Instant,
        actions: &mut Actions,
    ) {
        self.state = match self.role {
            Role::Main => State::EndingRun {
                not_before,
                finish_ms: None,
                child: None,
            },
            Role::Log => State::Down { not_before },
        };
        // A logger has nothing to finish.
        if grows || self.role == Role::Main {
            actions.push(Action::Look(Look::End { exit, grows }));
        }
    }

    /// The pipe's writers are gone: the logger reads to the end and exits. One
    /// that was about to be restarted is, for the pipe may hold lines.
    pub(super) fn drain(&mut self, now: Instant, actions: &mut Actions) {
        let wanted = core::mem::replace(&mut self.want, Want::Exit);
        self.resumes |= wanted == Want::Up;
        match &mut self.state {
            State::Run(r) => r.ultimatum = Some((now.plus_ms(LOG_DRAIN_MS), Next::Stop)),
            State::Down { .. } if wanted == Want::Up => self.start(actions),
            _ => {}
        }
    }

    pub(super) fn tick(&mut self, now: Instant, actions: &mut Actions) {
        if let State::Run(r) = self.state
            && now.ms_since(r.since) >= GAP_MS
        {
            self.streak = Streak::NONE;
        }
        self.end_overdue(now, actions);
    }
}
