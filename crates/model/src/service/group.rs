//! What is left of the process group of a run that has ended, if `kill` says `group`.
//!
//! The run leads its own group, so the group has the number of its process, which an
//! adoption knows, too. When the run has ended, by a stop or by itself, the rest of the
//! group gets the stop signal and CONT, and KILL when `timeout-kill` is over, or else 5
//! seconds. `./finish` and the next start wait until nothing is left. Nobody tells of the
//! end of a process that is not our child, so the group is looked at, less and less
//! often. What KILL does not end is not waited for any longer than a second.
//!
//! The status shows `finish` without a process meanwhile, as runit does between a run and
//! its `finish`. A successor that finds that begins anew.

use super::{Action, Actions, Exit, Pid, Service, State};
use crate::command::Sig;
use crate::restart::Report;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::time::Instant;

/// How long the rest of a group may take to end if the service does not say (ms).
const KILL_MS: u32 = 5000;
/// How long KILL may take (ms).
const KILLED_MS: u64 = 1000;
/// The first look after the signals comes so soon (ms); each further one takes twice as
/// long,
const LOOK_MS: u64 = 5;
/// up to this many times.
const DOUBLINGS: u8 = 4;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clearing {
    /// The number of the group.
    pub group: Pid,
    /// Carried to `Down`.
    pub not_before: Instant,
    /// When what is left gets KILL, or after that: is given up.
    pub(super) kill_at: Instant,
    pub(super) is_killed: bool,
    /// When to look next.
    pub(super) look_at: Instant,
    /// How many looks there were since the last signal.
    pub(super) looks: u8,
    /// What `./finish` is started with, if it is there.
    pub(super) finish: Option<Finish>,
}

/// How `./finish` is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Finish {
    pub exit: Exit,
    pub report: Option<Report>,
    pub time_ms: Option<u32>,
}

impl Clearing {
    /// When there is something to do.
    pub(super) const fn deadline(&self) -> Instant {
        if self.look_at.0 < self.kill_at.0 {
            self.look_at
        } else {
            self.kill_at
        }
    }
}

impl Service {
    /// A run has ended, and its directory asks for its whole group to end.
    pub(super) fn clear(
        &mut self,
        group: Pid,
        finish: Option<Finish>,
        found: &Settings,
        now: Instant,
        actions: &mut Actions,
    ) {
        let State::EndingRun { not_before, .. } = self.state else {
            return;
        };
        let kill_ms = found.timeout_kill.unwrap_or(KILL_MS);
        let kill_at = now.plus_ms(kill_ms.into());
        self.state = State::Clearing(Clearing {
            group,
            not_before,
            kill_at,
            is_killed: false,
            look_at: kill_at,
            looks: 0,
            finish,
        });
        let signal = found.down_signal.unwrap_or(Signal::TERM);
        actions.push(Action::Group(group, Some(signal)));
    }

    /// Whether anything was left of the group when it was last looked at, or signalled.
    pub(super) fn group_seen(
        &mut self,
        group: Pid,
        is_left: bool,
        now: Instant,
        actions: &mut Actions,
    ) {
        let State::Clearing(clearing) = &mut self.state else {
            return;
        };
        if clearing.group != group {
            return;
        }
        if !is_left {
            return self.cleared(actions);
        }
        if clearing.looks == 0 {
            clearing.looks = 1;
            return actions.push(Action::Group(group, Some(Signal::CONT)));
        }
        clearing.look_at = now.plus_ms(LOOK_MS << clearing.looks.saturating_sub(1));
        clearing.looks = (clearing.looks + 1).min(DOUBLINGS + 1);
    }

    /// A person's signal, while the rest of the group is waited for.
    pub(super) fn signal_group(&self, sig: Sig, actions: &mut Actions) {
        if let State::Clearing(clearing) = self.state {
            actions.push(Action::Group(clearing.group, Some(sig.signal())));
        }
    }

    /// The time for a look, or for KILL, may have come.
    pub(super) fn clear_on(&mut self, now: Instant, actions: &mut Actions) {
        let State::Clearing(clearing) = &mut self.state else {
            return;
        };
        if clearing.kill_at <= now {
            if clearing.is_killed {
                return self.cleared(actions);
            }
            clearing.is_killed = true;
            clearing.kill_at = now.plus_ms(KILLED_MS);
            clearing.looks = 1;
            clearing.look_at = clearing.kill_at;
            actions.push(Action::Group(clearing.group, Some(Signal::KILL)));
        } else if clearing.look_at <= now {
            clearing.look_at = clearing.kill_at;
            actions.push(Action::Group(clearing.group, None));
        }
    }

    fn cleared(&mut self, actions: &mut Actions) {
        let State::Clearing(clearing) = self.state else {
            return;
        };
        let not_before = clearing.not_before;
        self.state = match clearing.finish {
            None => State::Down { not_before },
            Some(finish) => {
                actions.push(Action::StartFinish(finish.exit, finish.report));
                State::EndingRun {
                    not_before,
                    ended: None,
                    finish_ms: finish.time_ms,
                    child: None,
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::format::kill::Kill;
    use crate::service::{Event, Program, Role, Want};
    use crate::settings::Look;
    use alloc::vec;

    const fn at(ms: u64) -> Instant {
        Instant(0).plus_ms(ms)
    }

    /// The run of process 5 was told to end, and ends after a second.
    fn ended(found: Settings) -> (Service, Actions) {
        let (want, since) = (Want::Up, Instant(0));
        let run = Service::adopt_run(Role::Main, want, Program::Run, 5, since, false, false);
        let (run, _) = run.step(at(1000), Event::Command(Command::Down));
        let (ends, asks) = run.step(at(1000), Event::Exited(5, Exit::Code(0)));
        let Some(Action::Look(look @ Look::End { .. })) = asks.first() else {
            return (ends, asks);
        };
        ends.step(at(1000), Event::Looked(*look, found))
    }

    fn found() -> Settings {
        Settings {
            finish: true,
            kill: Kill::Group,
            timeout_kill: Some(100),
            ..Settings::default()
        }
    }

    #[test]
    fn an_empty_group_delays_nothing() {
        let (service, asks) = ended(found());
        assert_eq!(asks, [Action::Group(5, Some(Signal::TERM))]);
        let (_, then) = service.step(at(1000), Event::Group(5, false));
        assert_eq!(then, [Action::StartFinish(Exit::Code(0), None)]);
        let other = Settings {
            finish: false,
            ..found()
        };
        let (service, _) = ended(other);
        assert!(service.step(at(1000), Event::Group(5, false)).0.is_idle());
        // Without the word, nobody asks.
        let other = Settings {
            kill: Kill::Process,
            ..found()
        };
        assert_eq!(ended(other).1, [Action::StartFinish(Exit::Code(0), None)]);
    }

    #[test]
    fn what_does_not_end_gets_kill_once_and_is_given_up() {
        let (mut service, asks) = ended(found());
        assert_eq!(asks, [Action::Group(5, Some(Signal::TERM))]);
        let mut sent = vec![];
        let mut now = at(1000);
        let mut actions = service.step(now, Event::Group(5, true));
        loop {
            service = actions.0;
            match actions.1.as_slice() {
                [Action::Group(5, signal)] => {
                    sent.extend(signal.map(|signal| (now, signal)));
                    actions = service.step(now, Event::Group(5, true));
                }
                [] => {
                    now = service.deadline().unwrap();
                    actions = service.step(now, Event::Tick);
                }
                rest => {
                    assert_eq!(rest, [Action::StartFinish(Exit::Code(0), None)]);
                    break;
                }
            }
        }
        let kill = (at(1100), Signal::KILL);
        assert_eq!(sent, [(at(1000), Signal::CONT), kill]);
        assert_eq!(now, at(2100));
        // Another's answer changes nothing.
        assert_eq!(service.step(now, Event::Group(6, false)).0, service);
    }

    #[test]
    fn a_command_goes_to_the_group_and_the_clock_goes_on() {
        let (service, _) = ended(found());
        let (service, _) = service.step(at(1000), Event::Group(5, true));
        let kill = Event::Command(Command::Signal(Sig::Kill));
        let (killed, sent) = service.step(at(1001), kill);
        assert_eq!(sent, [Action::Group(5, Some(Signal::KILL))]);
        assert_eq!(killed.kill_at(), Some(at(1100)));
        let (up, none) = killed.step(at(1002), Event::Command(Command::Up));
        assert!(none.is_empty() && up.want() == Want::Up);
        let (_, finish) = up.step(at(1003), Event::Group(5, false));
        assert_eq!(finish, [Action::StartFinish(Exit::Code(0), None)]);
    }
}
