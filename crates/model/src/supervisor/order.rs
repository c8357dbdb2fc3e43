//! The order of services ([`crate::graph`]): who is held, and whose stop waits.
//!
//! A tree in which no service names another has no graph, and nothing here does anything.
//! From the first name on, each service and each entry that is to be opened has a node.
//!
//! - What a directory says is read when it is opened, at each `u` and `o`, at the end of a
//!   run, and when something has happened to the five directories and then nothing for
//!   100 ms. While the service is held, they are watched ([`Action::WatchEdges`]).
//! - A verdict about a service comes before whatever else happens to it, so its gates are
//!   always those of the present; all others come in their turn ([`super::Input::More`]).
//! - Before a service gets the signal of a stop, its gate is closed if others are to end
//!   first. Whoever follows it is stopped first, too.
//! - A successor reads the graph anew. Gates that were handed over hold until all is read,
//!   and so does a stop that waited when its supervisor was killed.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::roster::{Waiting, main};
use super::unit::{Half, Unit};
use super::{Action, Alarm, Id, Supervisor, UnitId};
use crate::command::Command;
use crate::format::adopt::Mark;
use crate::format::state::reason::Reason;
use crate::graph::{Edges, Graph, Level, Verdict};
use crate::process::Program;
use crate::scan::Name;
use crate::service::{Event, Role, Service, State, Want};

/// What names others counts when nothing has happened to it for so long (ms). A service whose
/// directory is being removed, file by file, must not start because what it needs goes first.
const QUIET_MS: u64 = 100;

/// A service that is held for so long (ms) says by whom, and has its directories watched. What
/// ends or changes before, as in a boot, costs neither files nor watches.
const HELD_MS: u64 = 500;
/// So many short lives in a row are a failure for those that want a service.
const FAILED_LIVES: u32 = 3;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Order {
    graph: Graph,
    /// Some service has named another.
    is_on: bool,
    /// Those whose gates are to be compared with the graph, when all is read.
    unsure: BTreeSet<UnitId>,
    /// Those that ended while no supervisor lived, until all are open.
    ended: BTreeSet<UnitId>,
    /// Those that a keeper let go of: they still hold others, which are asked for, too.
    released: BTreeSet<UnitId>,
    /// The held ones that are watched.
    watched: BTreeSet<UnitId>,
    /// It was said that names count for nothing here.
    is_refused: bool,
}

impl Order {
    /// Whether there is something for [`super::Input::More`].
    pub fn has_more(&self) -> bool {
        self.graph.has_more() || self.graph.is_stale()
    }

    /// Whether a service is held until this one is ready.
    pub fn is_waited_for(&self, unit: UnitId) -> bool {
        self.graph.is_waited_for(unit)
    }

    /// What a service's directory said last.
    pub fn edges(&self, unit: UnitId) -> Edges {
        self.graph.edges(unit)
    }

    /// The open service that has this name.
    pub fn named(&self, name: &[u8]) -> Option<UnitId> {
        self.graph.named(name)
    }

    /// Whether others wait for a service, to start or to stop.
    pub fn is_named(&self, unit: UnitId) -> bool {
        self.graph.is_needed(unit)
    }

    /// Whether a service's directory names others.
    pub fn has_edges(&self, unit: UnitId) -> bool {
        self.graph.has_edges(unit)
    }
}

impl Supervisor {
    /// A unit was opened: its gates come before its first start. `stops_again`: its stop
    /// begins again, so that it need not be told by whom it follows, too.
    pub(super) fn order_opened(&mut self, unit: UnitId, edges: &Edges, stops_again: bool) {
        if self.order.is_on {
            self.enter(unit);
            self.note_named(unit);
        }
        self.read(unit, edges);
        let runs = self.units.get(&unit).is_some_and(|open| open.main.held);
        if runs && !stops_again {
            let Order { graph, ended, .. } = &mut self.order;
            graph.follow_unseen(unit, ended);
        }
        self.heed(main(unit));
    }

    /// What the directory of a unit says of others has been read; a command may follow.
    pub(super) fn edges_read(&mut self, unit: UnitId, edges: &Edges, then: Option<Command>) {
        self.read(unit, edges);
        self.heed(main(unit));
        if let Some(command) = then {
            self.drive(main(unit), Event::Command(command));
            self.call_off(unit);
        }
    }

    /// Something happened to the directories that name others.
    pub(super) fn edges_changed(&mut self, unit: UnitId) {
        if self.units.contains_key(&unit) && !self.scope.is_one() {
            let at = self.now.at.plus_ms(QUIET_MS);
            self.alarms.set(Alarm::Edges(unit), Some(at));
        }
    }

    /// Nothing more has happened to them for some time.
    pub(super) fn edges_settled(&mut self, unit: UnitId) {
        self.push(Action::ReadEdges(unit, None));
    }

    fn read(&mut self, unit: UnitId, edges: &Edges) {
        if self.scope.is_one() {
            if !edges.is_empty() && !core::mem::replace(&mut self.order.is_refused, true) {
                let text = "needs, wants, after, before and follows count only under runsvdir";
                self.say_of(unit, text);
            }
            return;
        }
        if !self.order.is_on {
            if edges.is_empty() {
                return;
            }
            self.begin_order();
        }
        let before = self.order.edges(unit);
        let names_itself = self.order.graph.set_edges(unit, edges);
        self.note_named_by(unit, &before);
        if names_itself {
            self.say_of(
                unit,
                "names itself in needs, wants, after, before or follows; ignored",
            );
        }
    }

    fn say_of(&mut self, unit: UnitId, text: &str) {
        let name = self.name(unit).map(|name| name.escape_ascii());
        if let Some(name) = name {
            self.push(Action::Say(format!("{name}: {text}")));
        }
    }

    /// From now on there is a graph.
    fn begin_order(&mut self) {
        self.order.is_on = true;
        for waiting in self.waiting.values() {
            self.order.graph.set_entry(waiting.name(), Level::Opening);
        }
        // The last one has the name: not one whose entry another service has now.
        let (removed, present): (Vec<_>, Vec<_>) =
            self.units.iter().partition(|(_, unit)| unit.removed);
        let units = removed.into_iter().chain(present).map(|(unit, _)| *unit);
        for unit in units.collect::<Vec<_>>() {
            self.enter(unit);
        }
    }

    fn enter(&mut self, unit: UnitId) {
        let Some(open) = self.units.get(&unit) else {
            return;
        };
        let displaced = self.order.graph.open(unit, &open.name);
        let (level, is_there) = rank(open);
        self.order.graph.set_level(unit, level, is_there);
        if self.untold.contains(&unit) {
            self.order.graph.let_end(unit);
        }
        self.let_go_of(displaced);
    }

    /// A unit whose name another has now waits for nobody, if it does not get another name.
    fn let_go_of(&mut self, unit: Option<UnitId>) {
        self.order.unsure.extend(unit);
    }

    /// An entry of the scan directory that is not open is so far.
    pub(super) fn order_entry(&mut self, name: &Name, level: Level) {
        if self.order.is_on {
            self.order.graph.set_entry(name, level);
        }
    }

    pub(super) fn order_renamed(&mut self, unit: UnitId, name: &Name) {
        if !self.order.is_on {
            return;
        }
        if self.order.graph.knows(unit) {
            let displaced = self.order.graph.rename(unit, name);
            self.let_go_of(displaced);
            if let Some(displaced) = displaced {
                self.note_named(displaced);
            }
        } else {
            // Another has got its old name meanwhile.
            self.enter(unit);
        }
        self.note_named(unit);
        // By its new name it may be the very one that it waits for, or was so by the old one.
        self.order_resumed(unit);
    }

    pub(super) fn order_forgot(&mut self, unit: UnitId) {
        if !self.order.released.contains(&unit) {
            let before = self.order.edges(unit);
            self.order.graph.close(unit);
            self.note_named_by(unit, &before);
        }
        self.order.unsure.remove(&unit);
        self.order.watched.remove(&unit);
        self.alarms.set(Alarm::Held(unit), None);
        self.alarms.set(Alarm::Edges(unit), None);
        self.forget_check(unit);
    }

    /// A keeper is about to let go of it as it is.
    pub(super) fn order_releases(&mut self, unit: UnitId) {
        if self.order.is_on {
            self.order.released.insert(unit);
        }
    }

    /// Nobody asked for another one for some time.
    pub(super) fn order_released(&mut self) {
        for unit in core::mem::take(&mut self.order.released) {
            self.order.graph.close(unit);
        }
    }

    /// Whether a successor in this process must compare its gates with the graph.
    pub(super) fn is_ordered(&self, unit: UnitId) -> bool {
        self.order.is_on || self.order.unsure.contains(&unit)
    }

    /// Whether some service has named another.
    pub const fn has_order(&self) -> bool {
        self.order.is_on
    }

    /// It is about to be told to exit.
    pub(super) fn order_ends(&mut self, unit: UnitId) {
        self.order.graph.let_end(unit);
    }

    /// The supervision is a keeper's: nothing is held any more, but stops keep their order.
    pub(super) fn order_kept(&mut self) {
        self.order.graph.set_free();
    }

    /// The unit was handed over, and named others.
    pub(super) fn order_resumed(&mut self, unit: UnitId) {
        self.push(Action::ReadEdges(unit, None));
        self.order.unsure.insert(unit);
    }

    /// A service has decided.
    pub(super) fn order_settled(&mut self, id: Id) {
        if !self.order.is_on || id.role == Role::Log {
            return;
        }
        let Some(unit) = self.units.get(&id.unit) else {
            return;
        };
        let (level, is_there) = rank(unit);
        self.order.graph.set_level(id.unit, level, is_there);
        self.show_reason(id.unit);
        self.checks_settled(id);
    }

    /// Puts what holds a service up into its files, and watches it, if that lasts.
    fn show_reason(&mut self, unit_id: UnitId) {
        let Some(unit) = self.units.get(&unit_id) else {
            return;
        };
        let graph = &self.order.graph;
        let service = &unit.main.service;
        let is_held = service.is_held();
        let reason = if is_held {
            graph.why_held(unit_id)
        } else if service.is_stop_held() {
            if self.order.unsure.contains(&unit_id) {
                // For a successor, what was shown holds until this one knows better.
                return;
            }
            graph.why_not_stopped(unit_id)
        } else {
            None
        };
        let shown = unit.main.own.reason();
        if is_held {
            if shown != reason.as_ref() || !self.order.watched.contains(&unit_id) {
                let at = self.now.at.plus_ms(HELD_MS);
                self.alarms.set_by(Alarm::Held(unit_id), at);
            }
            return;
        }
        // Others have reasons, too.
        if reason.is_some() || shown.is_some_and(is_of_order) {
            self.hold(main(unit_id), reason);
        }
        self.alarms.set(Alarm::Held(unit_id), None);
        if self.order.watched.remove(&unit_id) {
            self.push(Action::UnwatchEdges(unit_id));
        }
    }

    /// It has been held for some time.
    pub(super) fn still_held(&mut self, unit: UnitId) {
        let reason = self.order.graph.why_held(unit);
        self.hold(main(unit), reason);
        if self.order.watched.insert(unit) {
            self.push(Action::WatchEdges(unit));
        }
    }

    /// Verdicts about a service come before whatever happens to it.
    pub(super) fn heed(&mut self, id: Id) {
        while id.role == Role::Main
            && let Some(verdict) = self.order.graph.next_for(id.unit)
        {
            self.obey(&verdict);
        }
    }

    /// The next verdict about any service; returns whether there may be more.
    pub(super) fn go_on_with_order(&mut self) -> bool {
        if let Some(verdict) = self.order.graph.next_verdict() {
            self.obey(&verdict);
            return true;
        }
        self.order.graph.has_more()
    }

    /// When all else is done: looks for circles, and compares gates that were handed over.
    pub(super) fn finish_order(&mut self) {
        if self.order.graph.is_stale() {
            for text in self.order.graph.find_circles() {
                self.push(Action::Say(text));
            }
        } else if self.can_make_sure()
            && let Some(unit) = self.order.unsure.pop_first()
        {
            self.make_sure(unit);
        }
    }

    /// Whether gates can be compared with the graph. A directory that cannot be opened for
    /// long counts no more.
    pub(super) fn can_make_sure(&self) -> bool {
        !self.order.unsure.is_empty() && !self.is_reading()
    }

    /// Whether those that are still to be opened may name others.
    fn is_reading(&self) -> bool {
        self.waiting.values().any(Waiting::is_new)
    }

    fn make_sure(&mut self, unit: UnitId) {
        let is_open = self.order.graph.hold(unit).is_none();
        self.drive(main(unit), Event::Gate(is_open));
        // A stop that was called off meanwhile leaves the gate open for the next one.
        let is_held = self.service(main(unit)).is_some_and(Service::is_stop_held);
        let is_open = !is_held || self.order.graph.begin_stop(unit).is_none();
        self.drive(main(unit), Event::StopGate(is_open));
        // Without a graph, nothing else would.
        self.show_reason(unit);
    }

    fn obey(&mut self, verdict: &Verdict) {
        match *verdict {
            Verdict::Start(unit, hold) => {
                self.drive(main(unit), Event::Gate(hold.is_none()));
                if let Some(on) = hold.and_then(|hold| self.order.graph.holder(hold)) {
                    self.check_if_awaited(on);
                }
                self.show_reason(unit);
            }
            Verdict::Stop(unit) => self.drive(main(unit), Event::StopGate(true)),
            Verdict::Follow(unit) => {
                if !self.service(main(unit)).is_none_or(is_stopping) {
                    if self.is_reading() {
                        self.drive(main(unit), Event::StopGate(false));
                        self.order.unsure.insert(unit);
                    } else {
                        self.wait_for_others(unit);
                    }
                    self.drive(main(unit), Event::Follow);
                }
            }
        }
    }

    /// A service is about to be told to stop.
    pub(super) fn wait_for_others(&mut self, unit: UnitId) {
        if self.order.is_on && self.order.graph.is_needed(unit) {
            let is_open = self.order.graph.begin_stop(unit).is_none();
            self.drive(main(unit), Event::StopGate(is_open));
        }
    }

    /// A command to a service. What it says of others is read before a start.
    pub(super) fn command_in_order(&mut self, unit: UnitId, command: Command) {
        match command {
            Command::Up | Command::Once if self.order.has_edges(unit) => {
                return self.push(Action::ReadEdges(unit, Some(command)));
            }
            Command::Down | Command::Exit => self.wait_for_others(unit),
            _ => {}
        }
        self.drive(main(unit), Event::Command(command));
        if matches!(command, Command::Up | Command::Once | Command::StartNow) {
            self.call_off(unit);
        }
    }

    /// A stop that waits is called off by the command to start.
    fn call_off(&mut self, unit: UnitId) {
        self.ask(unit);
        if self.order.is_on && !self.service(main(unit)).is_some_and(is_stopping) {
            self.order.graph.call_off(unit);
            self.order_settled(main(unit));
        }
    }

    /// What happened to a service while no supervisor lived is about to be handed in. A stop
    /// that begins again waits until all is read.
    pub(super) fn order_missed(&mut self, id: Id, event: Event) {
        let waited = |half: &Half| matches!(half.own.reason(), Some(Reason::Stop(_)));
        let waited = self.half(id).is_some_and(waited);
        match event {
            _ if id.role == Role::Log => {}
            _ if self.scope.is_one() && !waited => {}
            _ if self.scope.is_one() => self.hold(id, None),
            Event::Exited(..) => drop(self.order.ended.insert(id.unit)),
            // Those that it waited for may not be open yet, and with them the first names.
            Event::Command(Command::Down) if self.order.is_on || waited => {
                self.drive(id, Event::StopGate(false));
                self.order.unsure.insert(id.unit);
            }
            _ => {}
        }
    }

    /// All units are open.
    pub(super) fn order_is_read(&mut self) {
        self.order.ended.clear();
    }
}

const fn is_of_order(reason: &Reason) -> bool {
    matches!(reason, Reason::Held { .. } | Reason::Stop(_))
}

/// Whether it was told to stop, and that was not called off.
const fn is_stopping(service: &Service) -> bool {
    let is_to_stop = matches!(service.state(), State::Starting { stop: true, .. });
    is_to_stop || service.got_term() || matches!(service.mark(), Mark::Stop)
}

/// How far a service is, and whether anything of it is there.
fn rank(unit: &Unit) -> (Level, bool) {
    let service = &unit.main.service;
    let is_done = matches!(service.state(), State::Done { .. });
    let level = match level(service) {
        Level::Ready if unit.awaits_check() => Level::Starting,
        level => level,
    };
    (level, is_done || !unit.main.is_down())
}

fn level(service: &Service) -> Level {
    let wants_up = service.want() == Want::Up;
    let stays_down = !wants_up && is_stopping(service);
    match service.state() {
        State::Gone => Level::Absent,
        State::Down { .. } if service.is_held() => Level::Held,
        State::Down { .. } if !wants_up => Level::Down,
        _ if service.want() == Want::Exit || stays_down => Level::Stopping,
        State::Done { .. } if wants_up => Level::Ready,
        State::Run(run) if run.program == Program::Run && run.ready.is_some() => Level::Ready,
        State::EndingRun { .. }
        | State::Clearing(_)
        | State::Finish { .. }
        | State::Done { .. }
            if !wants_up =>
        {
            Level::Stopping
        }
        _ if service.is_crash_looping() => Level::Looping(service.streak().last()),
        _ if service.streak().lives() >= FAILED_LIVES => Level::Failing,
        _ if service.streak().was_late() => Level::Late,
        _ => Level::Starting,
    }
}
