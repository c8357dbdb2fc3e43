//! How a run ends: by itself, or as a logger with its pipe; and the rest before the next.

use super::group::Finish;
use super::ready::Leaves;
use super::{Action, Actions, LOG_DRAIN_MS, Next, Role, Running, Service, State, Want};
use crate::format::adopt::Mark;
use crate::format::kill::Kill;
use crate::process::{Exit, Pid, Program};
use crate::restart::{Cause, GAP_MS, GaveUp, Report, STAY_DOWN, Streak};
use crate::settings::{Look, Settings};
use crate::time::Instant;

/// What `./finish` is told if there was no run.
const NOT_STARTED: Exit = Exit::Code(111);

impl Running {
    /// Whether this is a short life, or counts as one.
    fn is_short(self, now: Instant) -> bool {
        self.is_overdue() || now.ms_since(self.since) < GAP_MS
    }

    /// When the next one may start if it ends now.
    pub(super) fn next_start(self, now: Instant) -> Instant {
        if self.is_short(now) {
            now.plus_ms(GAP_MS)
        } else {
            now
        }
    }

    const fn cause(self) -> Cause {
        match self.leaves {
            Leaves::Overdue => Cause::Timeout,
            _ if self.was_told => Cause::Command,
            Leaves::No | Leaves::Said => Cause::Itself,
        }
    }
}

impl Service {
    /// What the directory says of the end of a run, or of `./setup`.
    pub(super) fn end_looked(
        &mut self,
        (exit, cause, grows): (Exit, Cause, bool),
        found: &Settings,
        now: Instant,
        actions: &mut Actions,
    ) {
        if grows {
            self.back_off(found.backoff, now);
        }
        let State::EndingRun { ended, child, .. } = &mut self.state else {
            return;
        };
        let ended = ended.take();
        if child.is_some() {
            return;
        }
        let report = Report::of(exit, cause, self.streak, found);
        if self.want == Want::Up
            && let Some(why) = GaveUp::of(exit, cause, self.streak, found)
        {
            self.give_up(why);
        }
        let is_asked = matches!(cause, Cause::Command | Cause::Undone);
        self.finish_decides = found.finish && found.restart.is_some() && !is_asked;
        if cause == Cause::Undone && !found.finish && self.want == Want::Exit {
            self.left = Mark::Done;
        }
        // `./finish` is told of a start that failed as runsv(8) has it.
        let exit = match cause {
            Cause::Setup => NOT_STARTED,
            _ => exit,
        };
        if let (Kill::Group, Some(group)) = (found.kill, ended) {
            let finish = found.finish.then_some(Finish {
                exit,
                report,
                time_ms: found.timeout_finish,
            });
            return self.clear(group, finish, found, now, actions);
        }
        self.finish_if_there(found, exit, report, actions);
    }

    /// As if it had been told to be down.
    const fn give_up(&mut self, why: GaveUp) {
        self.want = Want::Down;
        self.gave_up = Some(why);
    }

    /// `./finish` ended.
    fn finish_said(&mut self, exit: Exit) {
        let decides = core::mem::take(&mut self.finish_decides);
        if decides && exit == STAY_DOWN && self.want == Want::Up {
            self.give_up(GaveUp::Finish);
        }
    }

    fn finish_if_there(
        &mut self,
        found: &Settings,
        exit: Exit,
        report: Option<Report>,
        actions: &mut Actions,
    ) {
        let State::EndingRun {
            not_before,
            finish_ms,
            child: None,
            ..
        } = &mut self.state
        else {
            return;
        };
        if found.finish {
            *finish_ms = found.timeout_finish;
            actions.push(Action::StartFinish(exit, report));
        } else {
            self.state = State::Down {
                not_before: *not_before,
            };
        }
    }

    pub(super) fn exited(&mut self, pid: Pid, exit: Exit, now: Instant, actions: &mut Actions) {
        let before = self.state;
        match self.state {
            State::Run(r) if r.pid == pid && r.program == Program::Setup => {
                self.set_up(r, exit, now, actions);
            }
            State::Run(r) if r.pid == pid => {
                let short = r.is_short(now);
                if !short {
                    self.streak = Streak::NONE;
                }
                let grows = short && (!r.got_term || r.is_overdue()) && self.died_young(exit);
                self.end_run(exit, r.cause(), grows, r.next_start(now), actions);
            }
            State::Finish {
                pid: p, not_before, ..
            } if p == pid => {
                self.state = State::Down { not_before };
                self.finish_said(exit);
            }
            _ => {}
        }
        if matches!(before, State::Run(r) if r.pid == pid)
            && let State::EndingRun { ended, .. } = &mut self.state
        {
            *ended = Some(pid);
        }
    }

    /// The program could not be started, or `./setup` failed.
    pub(super) fn failed_to_start(
        &mut self,
        exit: Exit,
        cause: Cause,
        now: Instant,
        actions: &mut Actions,
    ) {
        let grows = self.died_young(exit);
        self.end_run(exit, cause, grows, now.plus_ms(GAP_MS), actions);
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
        cause: Cause,
        grows: bool,
        not_before: Instant,
        actions: &mut Actions,
    ) {
        self.state = match self.role {
            Role::Main => State::EndingRun {
                not_before,
                ended: None,
                finish_ms: None,
                child: None,
            },
            Role::Log => State::Down { not_before },
        };
        // A logger has nothing to finish.
        if grows || self.role == Role::Main {
            actions.push(Action::Look(Look::End { exit, cause, grows }));
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
            State::Done { .. } => self.undo(actions),
            _ => {}
        }
    }

    pub(super) fn tick(&mut self, now: Instant, actions: &mut Actions) {
        if let State::Run(r) = self.state
            && r.ready.is_some()
            && r.program == Program::Run
            && !r.is_short(now)
        {
            self.streak = Streak::NONE;
        }
        self.end_overdue(now, actions);
    }
}
