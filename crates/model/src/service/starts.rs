//! How a service comes up: from down to a process of its own.

use super::{
    Action, Actions, Announce, FORK_RETRY_MS_MAX, Failure, LOG_DRAIN_MS, Next, Role, Running,
    Service, State, Want,
};
use crate::process::{Exit, Pid, Program};
use crate::restart::GAP_MS;
use crate::settings::Look;
use crate::signal::Signal;
use crate::time::Instant;

impl Service {
    pub(super) fn start(&mut self, actions: &mut Actions) {
        self.gates.stop.forget();
        if self.role == Role::Log {
            self.start_run(actions);
        } else {
            self.state = State::Preparing;
            actions.push(Action::Look(Look::Start));
        }
    }

    pub(super) fn start_run(&mut self, actions: &mut Actions) {
        self.state = State::Starting {
            program: Program::Run,
            stop: false,
            child: None,
        };
        actions.push(Action::StartRun(Announce::NONE));
    }

    /// The process of a start hangs; it ends by a signal, if by anything.
    pub(super) fn late(&mut self, pid: Pid, actions: &mut Actions) {
        match &mut self.state {
            State::Starting { stop, child, .. } => {
                *child = Some(pid);
                if *stop {
                    end_early(pid, actions);
                }
            }
            State::EndingRun { child, .. } => *child = Some(pid),
            _ => {}
        }
    }

    pub(super) fn started(&mut self, pid: Pid, now: Instant, actions: &mut Actions) {
        match self.state {
            State::Starting { program, stop, .. } => {
                self.fork_failures = 0;
                self.gates.start.forget();
                let mut running = Running::new(program, pid, now);
                if self.role == Role::Log && self.want == Want::Exit {
                    running.ultimatum = Some((now.plus_ms(LOG_DRAIN_MS), Next::Stop));
                }
                self.state = State::Run(running);
                if stop {
                    self.begin_stop(now, actions);
                }
            }
            State::EndingRun {
                not_before,
                finish_ms,
                ..
            } => {
                self.state = State::Finish {
                    pid,
                    paused: false,
                    kill_at: finish_ms.map(|ms| now.plus_ms(ms.into())),
                    not_before,
                };
            }
            _ => {}
        }
    }

    pub(super) fn not_started(&mut self, failure: Failure, now: Instant, actions: &mut Actions) {
        match (self.state, failure) {
            (State::Starting { .. }, Failure::Resources) => {
                let delay = (GAP_MS << self.fork_failures.min(8)).min(FORK_RETRY_MS_MAX);
                self.fork_failures = self.fork_failures.saturating_add(1);
                self.state = State::Down {
                    not_before: now.plus_ms(delay),
                };
            }
            // As if it had run and exited 111 (runsv(8)).
            (State::Starting { .. }, Failure::Exec | Failure::Absent) => {
                let exit = Exit::of_status(111 << 8);
                let grows = self.died_young(exit);
                self.end_run(exit, grows, now.plus_ms(GAP_MS), actions);
            }
            (State::EndingRun { not_before, .. }, _) => self.state = State::Down { not_before },
            _ => {}
        }
    }
}

/// As a stop ends a process that runs. It has not loaded its program yet, so no file says
/// how that wants to be stopped.
pub(super) fn end_early(pid: Pid, actions: &mut Actions) {
    for signal in [Signal::TERM, Signal::CONT] {
        actions.push(Action::Signal(pid, signal));
    }
}
