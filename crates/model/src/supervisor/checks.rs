//! `./check` of services of which nothing else says when they are ready.
//!
//! It is asked only while somebody waits: a service that is held by this one, or for a
//! while `sv`, after the command `u`. The first answer is asked for at once, the next one
//! after [`FIRST_MS`], and then after twice as long each time, up to [`LONGEST_MS`]. There
//! is never a second one at a time; one that hangs is killed with its children.

use alloc::collections::BTreeMap;

use super::roster::main;
use super::unit::{Asks, Unit};
use super::{Action, Alarm, Id, Job, Supervisor, UnitId};
use crate::format::state::ready::Source;
use crate::process::{Pid, Program};
use crate::service::{Announce, Event, Service, State};
use crate::settings::Settings;
use crate::time::Instant;

/// The delay after the first answer (ms).
const FIRST_MS: u64 = 25;
/// The longest delay (ms).
const LONGEST_MS: u64 = 400;
/// One that has not ended after that time hangs (ms).
const HANGS_MS: u64 = 10_000;
/// How long after `u` somebody is taken to wait (ms).
const ASKED_MS: u64 = 7000;

/// How far the question is.
#[derive(Clone, Copy, Debug)]
struct Check {
    delay_ms: u64,
    /// A check is under way, about this process of the service (0: a probe).
    about: Option<Pid>,
    /// Its process.
    child: Option<Pid>,
}

/// Those that are asked.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    of: BTreeMap<UnitId, Check>,
    /// Until when somebody waits who is no service.
    asked: BTreeMap<UnitId, Instant>,
}

impl Unit {
    /// Whether only `./check` can tell when it is ready. A run counts as ready to all but
    /// the services that wait for it.
    pub(super) fn awaits_check(&self) -> bool {
        match self.main.service.state() {
            State::Run(run) => {
                let is_asked = self.check != Asks::No && run.program == Program::Run;
                is_asked && self.check != Asks::Answered(run.pid)
            }
            _ => self.main.service.awaits_check(),
        }
    }
}

impl Supervisor {
    /// Asks, if somebody waits for the answer and nobody has asked yet.
    pub(super) fn check_if_awaited(&mut self, unit: UnitId) {
        if !self.checks.of.contains_key(&unit) && self.is_check_awaited(unit) {
            let check = Check {
                delay_ms: FIRST_MS,
                about: None,
                child: None,
            };
            self.checks.of.insert(unit, check);
            self.alarms.set(Alarm::Check(unit), Some(self.now.at));
        }
    }

    /// Somebody wants to know. Whether a service that does not run is a probe is known when
    /// it is looked at before its start.
    pub(super) fn ask(&mut self, unit: UnitId) {
        let state = self.service(main(unit)).map(Service::state);
        if let Some(State::Probe | State::Preparing | State::Down { .. }) = state {
            let until = self.now.at.plus_ms(ASKED_MS);
            self.checks.asked.insert(unit, until);
            self.check_if_awaited(unit);
        }
    }

    /// The service is about to be started.
    pub(super) fn note_check(&mut self, unit: UnitId, found: &Settings) {
        if found.run || found.setup || !found.check {
            self.checks.asked.remove(&unit);
        }
        if let Some(unit) = self.units.get_mut(&unit) {
            let says = found.notification_fd.is_some() || found.notify.is_some();
            unit.check = if found.check && !says {
                Asks::Yes
            } else {
                Asks::No
            };
        }
    }

    fn awaits_check(&self, unit: UnitId) -> bool {
        self.units
            .get(&unit)
            .is_some_and(|unit| unit.awaits_check())
    }

    fn is_check_awaited(&self, unit: UnitId) -> bool {
        let asked = self.checks.asked.get(&unit);
        let is_asked = asked.is_some_and(|until| *until > self.now.at);
        self.awaits_check(unit) && (is_asked || self.order.is_waited_for(unit)) && !self.is_ending()
    }

    /// It is time for the next question, or the last one has no answer.
    pub(super) fn check_due(&mut self, unit: UnitId) {
        let is_awaited = self.is_check_awaited(unit);
        let about = self.service(main(unit)).map(|service| service.phase().1);
        let Some(check) = self.checks.of.get_mut(&unit) else {
            return;
        };
        if check.about.is_some() {
            if let Some(pid) = check.child {
                self.push(Action::KillCheck(main(unit), pid));
            }
        } else if is_awaited {
            check.about = about;
            self.alarms
                .set(Alarm::Check(unit), Some(self.now.at.plus_ms(HANGS_MS)));
            self.push(Action::Start(Job::Check(main(unit)), Announce::NONE));
        } else {
            self.forget_check(unit);
        }
    }

    /// It was started by a predecessor in this process.
    pub(super) fn resume_check(&mut self, unit: UnitId, pid: Pid) {
        let check = Check {
            delay_ms: FIRST_MS,
            about: self.service(main(unit)).map(|service| service.phase().1),
            child: Some(pid),
        };
        self.checks.of.insert(unit, check);
        let at = self.now.at.plus_ms(HANGS_MS);
        self.alarms.set(Alarm::Check(unit), Some(at));
    }

    pub(super) fn check_started(&mut self, unit: UnitId, pid: Pid) {
        if let Some(check) = self.checks.of.get_mut(&unit) {
            check.child = Some(pid);
        }
    }

    /// It ended, or could not be started.
    pub(super) fn check_over(&mut self, unit: UnitId, is_ready: bool) {
        let about = self.service(main(unit)).map(|service| service.phase().1);
        let Some(check) = self.checks.of.get_mut(&unit) else {
            return;
        };
        check.child = None;
        let is_of_present = check.about.take() == about;
        if let (true, true, Some(pid)) = (is_ready, is_of_present, about) {
            self.forget_check(unit);
            if let Some(unit) = self.units.get_mut(&unit) {
                unit.check = Asks::Answered(pid);
            }
            return self.drive(main(unit), Event::Ready(pid, Source::Check));
        }
        let at = self.now.at.plus_ms(check.delay_ms);
        check.delay_ms = (check.delay_ms * 2).min(LONGEST_MS);
        self.alarms.set(Alarm::Check(unit), Some(at));
    }

    /// Nobody asks any more.
    pub(super) fn forget_check(&mut self, unit: UnitId) {
        self.checks.asked.remove(&unit);
        if self.checks.of.remove(&unit).is_some() {
            self.alarms.set(Alarm::Check(unit), None);
        }
    }

    /// The service has decided: a check may be of use now.
    pub(super) fn checks_settled(&mut self, id: Id) {
        self.check_if_awaited(id.unit);
    }
}
