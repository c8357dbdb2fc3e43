//! What a logger leaves in its closed pipe: when it is started once more for that,
//! and when its unit is let go all the same.

use model::command::Command;
use model::service::Exit;
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Action, Input, Job, Scope};

use super::world::{LOG, MAIN, Services, World};

const ENDED: Exit = Exit::of_status(0);

/// A service with a logger.
fn logged() -> World {
    let services = Services {
        names: &["web"],
        have_loggers: true,
        settings: Settings::default(),
    };
    let world = World::new(Scope::All { init: false }, services);
    assert_eq!(world.loggers_started(), 1);
    world
}

/// The logger ended a moment after its start, and everything is told to exit
/// while it waits for the next.
fn stops_without_a_logger() -> World {
    let mut world = logged();
    world.ends(LOG, ENDED);
    world.bytes = 100;
    world.feed(Input::HangUp);
    assert_eq!(world.loggers_started(), 1);
    world.ends(MAIN, ENDED);
    assert_eq!(world.loggers_started(), 2, "it reads what was written");
    world
}

impl World {
    fn loggers_started(&self) -> usize {
        let starts = self
            .done
            .iter()
            .filter(|a| matches!(a, Action::Start(Job::Run(LOG), _)));
        starts.count()
    }

    /// What the logger was sent.
    fn signals(&self) -> Vec<Signal> {
        let sent = |action: &Action| match action {
            Action::Signal(LOG, _, signal) => Some(*signal),
            _ => None,
        };
        self.done.iter().filter_map(sent).collect()
    }

    fn dismissed(&self) -> bool {
        self.done.iter().any(|a| matches!(a, Action::Dismiss(_)))
    }
}

#[test]
fn a_logger_that_has_read_all_is_not_started_again() {
    let mut world = logged();
    world.feed(Input::HangUp);
    world.ends(MAIN, ENDED);
    world.ends(LOG, ENDED);
    assert!(world.dismissed());
    assert_eq!(world.loggers_started(), 1);
}

#[test]
fn a_logger_that_ended_before_the_pipe_was_empty_is_started_once_more() {
    let mut world = logged();
    world.feed(Input::HangUp);
    world.ends(MAIN, ENDED);
    world.bytes = 100;
    world.ends(LOG, ENDED);
    assert_eq!((world.loggers_started(), world.dismissed()), (2, false));
    world.bytes = 0;
    world.ends(LOG, ENDED);
    assert_eq!((world.loggers_started(), world.dismissed()), (2, true));
}

#[test]
fn one_that_takes_nothing_is_given_up() {
    let mut world = stops_without_a_logger();
    for (bytes, started) in [(60, 3), (59, 4)] {
        world.bytes = bytes;
        world.ends(LOG, ENDED);
        assert_eq!(
            (world.loggers_started(), world.dismissed()),
            (started, false)
        );
    }
    world.ends(LOG, ENDED);
    assert_eq!((world.loggers_started(), world.dismissed()), (4, true));
}

#[test]
fn one_that_was_told_to_end_is_not_called_back() {
    // By sv: it is not wanted up any more.
    let mut world = stops_without_a_logger();
    world.feed(Input::Command(LOG, Command::Down));
    world.ends(LOG, ENDED);
    assert_eq!((world.loggers_started(), world.dismissed()), (2, true));
    // By the supervisor, for it took too long: somebody else holds the pipe open.
    let mut world = stops_without_a_logger();
    world.now = world.core.deadline().unwrap();
    world.feed(Input::Due);
    assert_eq!(world.signals(), [Signal::TERM]);
    world.ends(LOG, ENDED);
    assert_eq!((world.loggers_started(), world.dismissed()), (2, true));
}

#[test]
fn a_supervisor_that_leaves_waits_for_it() {
    let mut world = logged();
    world.ends(LOG, ENDED);
    world.feed(Input::Command(MAIN, Command::Down));
    world.feed(Input::Terminate);
    world.bytes = 100;
    world.ends(MAIN, ENDED);
    assert_eq!(world.loggers_started(), 2);
    world.ends(LOG, ENDED);
    assert_eq!(world.loggers_started(), 3);
    assert_eq!(world.core.exit_code(world.now), None);
    world.bytes = 0;
    world.ends(LOG, ENDED);
    world.feed(Input::RoundOver);
    assert_eq!(world.core.exit_code(world.now), Some(0));
}
