//! How a service comes up: from down to a process of its own.

use super::ready::Rise;
use super::{
    Action, Actions, FORK_RETRY_MS_MAX, Failure, LOG_DRAIN_MS, Next, Role, Running, Service, State,
    Want,
};
use crate::format::adopt::Mark;
use crate::process::{Exit, Pid, Program};
use crate::restart::{Cause, GAP_MS};
use crate::settings::{Look, Settings};
use crate::signal::Signal;
use crate::time::Instant;

impl Service {
    pub(super) fn start(&mut self, actions: &mut Actions) {
        self.gates.stop.forget();
        self.rise = Rise::NONE;
        if self.role == Role::Log {
            self.begin(Program::Run, actions);
        } else {
            self.state = State::Preparing;
            actions.push(Action::Look(Look::Start));
        }
    }

    /// The directory was looked at: starts what comes first.
    pub(super) fn start_first(&mut self, found: &Settings, actions: &mut Actions) {
        if found.setup {
            self.begin(Program::Setup, actions);
        } else if found.run {
            self.begin(Program::Run, actions);
        } else if found.check {
            self.state = State::Probe;
        } else if found.milestone {
            self.go_on(found, actions);
        } else {
            // That there is none is told.
            self.begin(Program::Run, actions);
        }
    }

    pub(super) fn begin(&mut self, program: Program, actions: &mut Actions) {
        self.state = State::Starting {
            program,
            stop: false,
            child: None,
        };
        actions.push(match program {
            Program::Setup => Action::StartSetup,
            Program::Run => Action::StartRun(self.rise.announce),
        });
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
        // It has written a record of its own.
        if self.awaits_a_start() {
            self.left = Mark::None;
        }
        match self.state {
            State::Starting { program, stop, .. } => {
                self.fork_failures = 0;
                self.gates.start.forget();
                let mut running = Running::risen(program, pid, now, self.rise);
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
            (State::Starting { program, .. }, Failure::Exec | Failure::Absent) => {
                // As if it had run and exited 111 (runsv(8)); of `./setup` that has a
                // meaning of its own.
                let (exit, cause, left) = match program {
                    Program::Run => (111, Cause::Itself, Mark::None),
                    Program::Setup => (126, Cause::Setup, Mark::Over),
                };
                self.left = left;
                self.failed_to_start(Exit::Code(exit), cause, now, actions);
            }
            (State::EndingRun { not_before, .. }, _) => {
                self.finish_decides = false;
                self.state = State::Down { not_before };
            }
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
