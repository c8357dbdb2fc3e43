//! Which services there are: opening them, closing them, and the scan of their directory.

use crate::sorted::gather;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::unit::{Asks, Half, Rest, Unit};
use super::{Action, Alarm, Ending, Id, Job, Opened, Supervisor, UnitId};
use crate::graph::Level;
use crate::scan::{Change, Identity, Name, diff};
use crate::service::{Event, Exit, Program, Role, State};
use crate::time::Instant;

/// First and longest delay before a directory that could not be opened is tried again (ms).
const ADMIT_MS: u64 = 10;
const ADMIT_MS_MAX: u64 = 5000;
/// After this delay (ms) the reason is reported: before that, a dying supervisor may
/// still hold the lock.
const ADMIT_SAY_MS: u64 = 100;
/// From this delay (ms) on, nobody waits for what such a directory says of others: a keeper
/// has had the time to let go of it.
const ADMIT_MS_LONG: u64 = 1000;
/// Delay before a scan directory that could not be read is looked at again (ms).
const RESCAN_MS: u64 = 5000;
/// Delay before a service that was told to exit is supervised again, because
/// its entry is still there (ms); as runsvdir restarts runsv.
const REVIVE_MS: u64 = 1000;

/// A service directory that is not open yet.
#[derive(Clone, Debug)]
pub struct Waiting {
    name: Name,
    delay_ms: u64,
    complaint: String,
}

impl Waiting {
    /// The entry's name.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Whether others wait for what it says of them.
    pub const fn is_new(&self) -> bool {
        self.delay_ms < ADMIT_MS_LONG
    }
}

impl Supervisor {
    pub(super) fn scan(&mut self) {
        if self.ending == Ending::No && !self.scope.is_one() {
            self.push(Action::Scan);
        }
    }

    pub(super) fn not_scanned(&mut self) {
        self.scan_by(self.now.at.plus_ms(RESCAN_MS));
    }

    /// A look at the scan directory at the moment, or before if that is set already.
    fn scan_by(&mut self, at: Instant) {
        if self.ending == Ending::No && !self.scope.is_one() {
            self.alarms.set_by(Alarm::Scan, at);
        }
    }

    /// Compares the scan directory with the roster and acts on the difference.
    pub(super) fn scanned(&mut self, entries: &[(Name, Identity)], next_look: Option<Instant>) {
        if let Some(at) = next_look {
            self.scan_by(at);
        }
        let known = gather(self.known());
        let removed = self.units.values().filter(|u| u.removed);
        let mut leaving: BTreeSet<Name> = gather(removed.map(|u| u.name.clone()));
        let changes = diff(&known, entries).into_iter();
        let is_removal = |change: &Change| matches!(change, Change::Remove(_));
        let (removals, others): (Vec<_>, Vec<_>) = changes.partition(is_removal);
        for change in removals.into_iter().chain(others) {
            self.apply(change, &mut leaving);
        }
        let is_first = core::mem::replace(&mut self.is_first_look, false);
        if (is_first || self.has_order()) && self.arrivals.len() > 1 {
            let named = |i: &Identity| Some((self.waiting.get(i)?.name.clone(), *i));
            let arrivals = self.arrivals.iter().filter_map(named).collect();
            self.push(Action::LookForLiving(arrivals));
        }
    }

    /// Running services are opened before those that are to be started, and so is the main one:
    /// the others must not leave it without descriptors.
    pub(super) fn living_first(&mut self, living: &[Identity]) {
        let is_main = |(_, waiting): &(&_, &Waiting)| self.is_main(&waiting.name);
        let main = self.waiting.iter().filter(is_main).map(|(i, _)| i);
        let early: BTreeSet<Identity> = gather(living.iter().chain(main).copied());
        let arrivals = core::mem::take(&mut self.arrivals).into_iter();
        let (first, then): (Vec<_>, Vec<_>) = arrivals.partition(|i| early.contains(i));
        self.arrivals = first.into_iter().chain(then).collect();
    }

    /// Opens the next candidate, unless it has gone.
    pub(super) fn arrive(&mut self) {
        if let Some(identity) = self.arrivals.pop_front() {
            self.admit(identity);
        }
        if self.arrivals.is_empty() {
            self.order_is_read();
        }
    }

    /// Admits the new ones of a few entries. If one of them has gone or changed, all
    /// entries are looked at, because its service may have another name, too.
    pub(super) fn noticed(
        &mut self,
        found: &[(Name, Option<Identity>)],
        next_look: Option<Instant>,
    ) {
        if self.ending != Ending::No || self.scope.is_one() {
            return;
        }
        if let Some(at) = next_look {
            self.scan_by(at);
        }
        let is_as_known = |(name, identity): &(Name, Option<Identity>)| {
            let known = self.known().find(|(_, known)| *known == name);
            known.is_none_or(|(known, _)| Some(known) == *identity)
        };
        if !found.iter().all(is_as_known) {
            return self.scan();
        }
        let mut leaving = BTreeSet::new();
        for (name, identity) in found {
            let is_known =
                |i: &Identity| self.by_identity.contains_key(i) || self.waiting.contains_key(i);
            if let Some(identity) = identity.filter(|i| !is_known(i)) {
                self.apply(Change::Add(identity, name.clone()), &mut leaving);
            }
        }
    }

    /// Every service that is open or waits for it.
    fn known(&self) -> impl Iterator<Item = (Identity, &Name)> {
        let open = self.units.values().map(|unit| (unit.identity, &unit.name));
        open.chain(self.waiting.iter().map(|(i, waiting)| (*i, &waiting.name)))
    }

    fn apply(&mut self, change: Change, leaving: &mut BTreeSet<Name>) {
        match change {
            Change::Remove(identity) => {
                self.stop_waiting(identity);
                if let Some(unit) = self.by_identity.get(&identity).copied() {
                    leaving.extend(self.remove(unit));
                }
            }
            // A directory that replaces another waits until that one has stopped, and a
            // look follows.
            Change::Rename(identity, name) | Change::Add(identity, name)
                if leaving.contains(&name) && !self.by_identity.contains_key(&identity) =>
            {
                self.stop_waiting(identity);
            }
            Change::Rename(identity, name) => self.rename(identity, &name),
            Change::Add(identity, name) => {
                self.order_entry(&name, Level::Opening);
                let waiting = Waiting {
                    name,
                    delay_ms: ADMIT_MS,
                    complaint: String::new(),
                };
                self.waiting.insert(identity, waiting);
                self.arrivals.push_back(identity);
            }
        }
    }

    fn rename(&mut self, identity: Identity, name: &Name) {
        let unit = self
            .by_identity
            .get(&identity)
            .and_then(|id| self.units.get_mut(id));
        if let Some(unit) = unit {
            unit.name.clone_from(name);
            if let Some(unit) = self.by_identity.get(&identity).copied() {
                self.order_renamed(unit, name);
            }
        } else if let Some(waiting) = self.waiting.get_mut(&identity) {
            let before = core::mem::replace(&mut waiting.name, name.clone());
            self.order_entry(&before, Level::Absent);
            self.order_entry(name, Level::Opening);
        }
    }

    /// Tells a unit to exit; returns its name until it has done so.
    fn remove(&mut self, unit_id: UnitId) -> Option<Name> {
        let unit = self.units.get_mut(&unit_id)?;
        if !core::mem::replace(&mut unit.removed, true) {
            self.order(unit_id);
        }
        self.units.get(&unit_id).map(|u| u.name.clone())
    }

    /// Tries to open a directory that waits for it.
    pub(super) fn admit(&mut self, identity: Identity) {
        if let Some(waiting) = self.waiting.get(&identity) {
            let (unit, name) = (self.next_unit, waiting.name.clone());
            self.next_unit += 1;
            self.push(Action::Open {
                unit,
                name,
                identity,
            });
        }
    }

    pub(super) fn not_opened(&mut self, identity: Identity, obstacle: Option<String>) {
        // A change in the meantime has its own event.
        let Some(text) = obstacle else {
            self.stop_waiting(identity);
            // Another name may lead there, and no event would report that.
            return self.scan_by(self.now.at.plus_ms(REVIVE_MS));
        };
        let Some(waiting) = self.waiting.get_mut(&identity) else {
            return;
        };
        let name = waiting.name.clone();
        let at = self.now.at.plus_ms(waiting.delay_ms);
        let says = waiting.delay_ms >= ADMIT_SAY_MS && text != waiting.complaint;
        waiting.delay_ms = (waiting.delay_ms * 2).min(ADMIT_MS_MAX);
        if says {
            waiting.complaint.clone_from(&text);
            self.order_entry(&name, Level::Broken);
            let next = if self.principal_not_opened(&name) {
                ""
            } else {
                "; trying again"
            };
            self.push(Action::Say(text + next));
        }
        self.push(Action::Ask(name));
        self.alarms.set(Alarm::Admit(identity), Some(at));
    }

    fn stop_waiting(&mut self, identity: Identity) {
        if let Some(waiting) = self.waiting.remove(&identity) {
            self.order_entry(&waiting.name, Level::Absent);
        }
        self.alarms.set(Alarm::Admit(identity), None);
    }

    /// Opens nothing more.
    pub(super) fn stop_admitting(&mut self) {
        let waiting: Vec<Identity> = self.waiting.keys().copied().collect();
        self.arrivals.clear();
        for identity in waiting {
            self.stop_waiting(identity);
        }
    }

    /// A unit was opened: first it gets the events that it missed, then a tick.
    pub(super) fn opened(&mut self, opened: Opened) {
        self.stop_waiting(opened.identity);
        if self.ending != Ending::No {
            return self.push(Action::Release(opened.unit));
        }
        let wall = self.now.wall;
        let mut unit = Unit {
            name: opened.name,
            identity: opened.identity,
            main: Half::new(&opened.main, wall),
            log: opened
                .log
                .as_ref()
                .map(|log| Box::new(Half::new(log, wall))),
            piped: opened.log.is_some(),
            rest: Rest::default(),
            log_seen_at: self.now.at,
            log_obstacle: String::new(),
            sheds_log: false,
            removed: false,
            check: Asks::No,
            lines_until: None,
        };
        unit.lines_until = unit.lines_wait(self.now.at);
        self.next_unit = self.next_unit.max(opened.unit.saturating_add(1));
        self.by_identity.insert(opened.identity, opened.unit);
        self.units.insert(opened.unit, Box::new(unit));
        self.order_opened(opened.unit, &opened.edges, opened.main.stops_again());
        let log = opened.log.map(|found| (Role::Log, found));
        for (role, found) in log.into_iter().chain([(Role::Main, opened.main)]) {
            let unit = opened.unit;
            self.begin(Id { unit, role }, found.missed);
        }
        self.principal_opened(opened.unit);
    }

    pub(super) fn begin(&mut self, id: Id, missed: Option<Event>) {
        if self.half(id).is_some_and(|half| half.held) {
            self.own(id);
        }
        if let Some(event) = missed {
            self.order_missed(id, event);
            self.drive(id, event);
        }
        self.wait_for_logger(id);
        self.write_first(id);
        self.drive(id, Event::Tick);
    }

    /// Notes the owner of the process with which a service was found or handed over.
    pub(super) fn own(&mut self, id: Id) {
        let Some(service) = self.half(id).map(|half| half.service) else {
            return;
        };
        let (_, pid) = service.phase();
        let job = match service.state() {
            State::Finish { .. } => Job::Finish(id, Exit::Unknown, None),
            State::Run(run) if run.program == Program::Setup => Job::Setup(id),
            _ => Job::Run(id),
        };
        if pid != 0 {
            self.owners.insert(pid, job);
        }
    }

    /// If a service has no process and will get none, its logger is ended; if nothing of
    /// a unit is left, it is closed.
    pub(super) fn wind_up(&mut self, unit_id: UnitId) {
        self.revive_logger(unit_id);
        let retiring = self.is_retiring();
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        if matches!(unit.rest, Rest::Asked(_)) {
            return;
        }
        let gone = unit.main.service.is_gone();
        if !gone && (!retiring || !unit.main.service.is_idle()) {
            return;
        }
        if core::mem::replace(&mut unit.piped, false) {
            self.push(Action::ClosePipe(unit_id));
            self.drive(log(unit_id), Event::Drain);
        } else if gone && unit.log.as_ref().is_none_or(|log| log.service.is_gone()) {
            self.dismiss(unit_id);
        }
    }

    /// A service that is started after its logger was told to end needs a new pipe. This
    /// happens under a keeper, which ends the loggers of services that are down.
    pub(super) fn need_pipe(&mut self, unit_id: UnitId) {
        let is_mute = |unit: &&mut Box<Unit>| unit.log.is_some() && !unit.piped && !unit.sheds_log;
        if let Some(unit) = self.units.get_mut(&unit_id).filter(is_mute) {
            unit.piped = true;
            unit.rest = Rest::default();
            self.push(Action::OpenPipe(unit_id));
            self.revive_logger(unit_id);
        }
    }

    /// A logger that has ended with its pipe comes back for the new one.
    fn revive_logger(&mut self, unit_id: UnitId) {
        let Some(unit) = self.units.get_mut(&unit_id).filter(|unit| unit.piped) else {
            return;
        };
        if let Some(logger) = unit.log.as_mut().filter(|log| log.service.is_gone()) {
            logger.service = logger.service.again();
            self.drive(log(unit_id), Event::Tick);
        }
    }

    fn dismiss(&mut self, unit_id: UnitId) {
        // Clients that read the files see the last state.
        let Some(unit) = self.forget(unit_id) else {
            return;
        };
        self.push(if unit.main.service.stays_done() {
            Action::Release(unit_id)
        } else {
            Action::Dismiss(unit_id)
        });
        let delay = if unit.removed { 0 } else { REVIVE_MS };
        self.scan_by(self.now.at.plus_ms(delay));
    }

    /// Writes the last state of a unit and forgets it.
    pub(super) fn forget(&mut self, unit_id: UnitId) -> Option<Box<Unit>> {
        for id in [main(unit_id), log(unit_id)] {
            self.forget_half(id);
        }
        self.alarms.set(Alarm::Log(unit_id), None);
        self.untold.remove(&unit_id);
        let unit = self.units.remove(&unit_id)?;
        self.by_identity.remove(&unit.identity);
        self.order_forgot(unit_id);
        Some(unit)
    }

    /// Writes the last state of a service or logger and drops its deadlines.
    pub(super) fn forget_half(&mut self, id: Id) {
        self.hurry_last(id);
        self.write_one(id);
        self.alarms.set(Alarm::Service(id), None);
        self.unshown.forget(id);
        self.busy.remove(&id);
        if let Some(half) = self.half(id) {
            let (_, pid) = half.service.phase();
            if self.owners.get(&pid).is_some_and(|job| job.id() == id) {
                self.owners.remove(&pid);
            }
        }
    }

    /// No service is started any more; loggers follow from their services. Nothing is
    /// sent and nothing written, so this is done at once.
    pub(super) fn retire_all(&mut self) {
        let units: Vec<UnitId> = self.units.keys().copied().collect();
        for unit in units {
            self.drive(main(unit), Event::Retire);
        }
    }

    /// Closes units that are down.
    pub(super) fn wind_up_all(&mut self) {
        let units: Vec<UnitId> = self.units.keys().copied().collect();
        for unit in units {
            self.wind_up(unit);
        }
    }
}

pub(super) const fn main(unit: UnitId) -> Id {
    let role = Role::Main;
    Id { unit, role }
}

pub(super) const fn log(unit: UnitId) -> Id {
    let role = Role::Log;
    Id { unit, role }
}
