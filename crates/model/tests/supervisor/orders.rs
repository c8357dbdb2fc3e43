//! Orders to many services at once: each input causes actions for one service only, and
//! nobody sees a difference but in time.

use std::collections::BTreeSet;

use model::command::{Command, Sig};
use model::moment::Moment;
use model::service::{Exit, Pid, Role};
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Action, Id, Input, Job, Scope, Supervisor, UnitId};

use super::world::{FIRST_PID, Services, World};

const SCOPE: Scope = Scope::All { init: true };
const NAMES: [&str; 20] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s",
    "t",
];
const LAST: UnitId = NAMES.len() as UnitId;

/// The process with which a service was started: units and pids are given in order.
const fn pid(unit: UnitId) -> Pid {
    FIRST_PID + unit as Pid - 1
}

const fn main(unit: UnitId) -> Id {
    let role = Role::Main;
    Id { unit, role }
}

/// What orders all of them at once.
fn orders() -> [(&'static str, Input); 4] {
    let removal = Input::Scanned {
        entries: vec![],
        next_look: None,
    };
    [
        ("HUP", Input::HangUp),
        ("TERM", Input::Terminate),
        ("each", Input::StopEach),
        ("removal", removal),
    ]
}

/// All services run, and the order was given.
fn ordered(order: &Input) -> World {
    let services = Services {
        names: &NAMES,
        have_loggers: false,
        settings: Settings::default(),
    };
    let mut world = World::new(SCOPE, services);
    world.feed(Input::RoundOver);
    assert_eq!(world.core.processes().count(), NAMES.len());
    world.done.clear();
    world.hand_in(order.clone());
    world
}

fn unit_of(action: &Action) -> Option<UnitId> {
    match action {
        Action::Signal(id, ..) => Some(id.unit),
        action => action.unit(),
    }
}

/// The units that got TERM, in order.
fn told(world: &World) -> Vec<UnitId> {
    let is_told = |action: &Action| match action {
        Action::Signal(id, _, Signal::TERM) => Some(id.unit),
        _ => None,
    };
    world.done.iter().filter_map(is_told).collect()
}

/// What was put aside.
fn rest(world: &mut World) {
    while world.core.has_more() {
        world.hand_in(Input::More);
    }
}

fn end(world: &mut World, unit: UnitId) {
    let now = world.now;
    world.hand_in(Input::ChildEnded(pid(unit), Exit::of_status(15), now));
}

#[test]
fn one_input_is_about_one_service_and_they_have_their_turn_in_order() {
    for (name, order) in orders() {
        let mut world = ordered(&order);
        assert!(world.done.is_empty(), "{name}");
        while world.core.has_more() {
            let before = world.done.len();
            world.hand_in(Input::More);
            let units = world.done[before..].iter().filter_map(unit_of);
            assert!(units.collect::<BTreeSet<_>>().len() <= 1, "{name}");
        }
        assert_eq!(told(&world), (1..=LAST).collect::<Vec<_>>(), "{name}");
        (1..=LAST).for_each(|unit| end(&mut world, unit));
        assert_eq!(world.core.processes().count(), 0, "{name}");
    }
}

/// What happens to a service before its turn does not start it again, and its process,
/// which has been reaped, gets no signal.
#[test]
fn who_ends_before_it_is_told_is_not_started_again() {
    for (name, order) in orders() {
        let mut world = ordered(&order);
        end(&mut world, LAST);
        let is_done =
            |action: &&Action| matches!(action, Action::Start(Job::Run(_), _) | Action::Signal(..));
        assert_eq!(world.done.iter().find(is_done), None, "{name}");
        assert!(world.core.service(main(LAST)).is_none(), "{name}");
        rest(&mut world);
        assert!(!told(&world).contains(&LAST), "{name}");
    }
}

/// A command that comes before the turn of its service finds it told.
#[test]
fn who_is_commanded_is_told_first() {
    for (name, order) in orders() {
        let mut world = ordered(&order);
        world.hand_in(Input::Command(main(LAST), Command::Signal(Sig::Usr1)));
        let sent = |action: &Action| match action {
            Action::Signal(_, _, signal) => Some(*signal),
            _ => None,
        };
        let sent: Vec<Signal> = world.done.iter().filter_map(sent).collect();
        assert_eq!(sent, [Signal::TERM, Signal::CONT, Signal::USR1], "{name}");
        rest(&mut world);
        end(&mut world, LAST);
        assert!(world.core.service(main(LAST)).is_none(), "{name}");
    }
}

/// A successor in this process tells those that were still to be told.
#[test]
fn an_upgrade_forgets_no_order() {
    for (name, order) in orders() {
        let mut world = ordered(&order);
        world.hand_in(Input::More);
        let (line, now): (String, Moment) = (world.core.handover(), world.moment());
        world.core = Supervisor::resume(SCOPE, &line, now, |_| true);
        rest(&mut world);
        assert_eq!(told(&world).len(), NAMES.len(), "{name}");
    }
}

/// Told twice before anybody had a turn, PID 1 waits for nobody, and kills all.
#[test]
fn who_waits_no_longer_tells_nobody() {
    let mut world = ordered(&Input::HangUp);
    world.hand_in(Input::HangUp);
    world.hand_in(Input::RoundOver);
    assert!(!world.core.has_more() && told(&world).is_empty());
    assert_eq!(world.core.exit_code(world.now), Some(111));
}
