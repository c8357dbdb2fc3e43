//! What a logger leaves in its closed pipe: when it is started once more for that,
//! and when its unit is let go all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use model::adoption::Inheritance;
use model::command::{Command, Sig};
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Exit, Pid, Role, Want};
use model::settings::Settings;
use model::supervisor::{Action, Id, Input, Job, Opened, Scope, Supervisor};
use model::time::Instant;

const ENDED: Exit = Exit::of_status(0);
const MAIN: Id = Id {
    unit: 1,
    role: Role::Main,
};
const LOG: Id = Id {
    unit: 1,
    role: Role::Log,
};

/// A service with a logger, whose pipe holds `bytes`.
struct World {
    core: Supervisor,
    now: Instant,
    pid: Pid,
    bytes: u32,
    loggers_started: usize,
    signals: Vec<Sig>,
    dismissed: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            core: Supervisor::new(Scope::All { init: false }),
            now: Instant(1_000_000_000),
            pid: 100,
            bytes: 0,
            loggers_started: 0,
            signals: vec![],
            dismissed: false,
        };
        world.feed(Input::ScanDue);
        world.feed(Input::More);
        assert_eq!(world.loggers_started, 1);
        world
    }

    fn feed(&mut self, input: Input) {
        let moment = Moment {
            at: self.now,
            wall: Tai64n::from_unix(0, 0),
        };
        self.core.handle(moment, input);
        while let Some(action) = self.core.next() {
            if let Some(answer) = self.answer(action) {
                self.core.handle(moment, answer);
            }
        }
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Scan => Some(Input::Scanned {
                entries: vec![(b"web".to_vec(), Identity { dev: 1, ino: 1 })],
                next_look: None,
            }),
            Action::Open {
                unit,
                name,
                identity,
            } => Some(Input::Opened(Opened {
                unit,
                name,
                identity,
                main: Inheritance::nothing(Role::Main, Want::Up),
                log: Some(Inheritance::nothing(Role::Log, Want::Up)),
            })),
            Action::Start(job) => {
                self.pid += 1;
                self.loggers_started += usize::from(job == Job::Run(LOG));
                Some(Input::Started(job, self.pid))
            }
            Action::Look { id, look, .. } => Some(Input::Looked {
                id,
                look,
                found: Settings::default(),
                log: None,
            }),
            Action::LookAtPipe(unit) => Some(Input::PipeSeen(unit, self.bytes)),
            Action::Signal(LOG, _, sig) => {
                self.signals.push(sig);
                None
            }
            Action::Dismiss(_) => {
                self.dismissed = true;
                None
            }
            _ => None,
        }
    }

    fn ends(&mut self, id: Id) {
        let pid = self.core.service(id).unwrap().phase().1;
        self.feed(Input::ChildEnded(pid, ENDED, self.now));
    }

    /// The logger ended a moment after its start, and everything is told to exit
    /// while it waits for the next.
    fn stops_without_a_logger() -> Self {
        let mut world = Self::new();
        world.ends(LOG);
        world.bytes = 100;
        world.feed(Input::HangUp);
        assert_eq!(world.loggers_started, 1);
        world.ends(MAIN);
        assert_eq!(world.loggers_started, 2, "it reads what was written");
        world
    }
}

#[test]
fn a_logger_that_has_read_all_is_not_started_again() {
    let mut world = World::new();
    world.feed(Input::HangUp);
    world.ends(MAIN);
    world.ends(LOG);
    assert!(world.dismissed);
    assert_eq!(world.loggers_started, 1);
}

#[test]
fn a_logger_that_ended_before_the_pipe_was_empty_is_started_once_more() {
    let mut world = World::new();
    world.feed(Input::HangUp);
    world.ends(MAIN);
    world.bytes = 100;
    world.ends(LOG);
    assert_eq!((world.loggers_started, world.dismissed), (2, false));
    world.bytes = 0;
    world.ends(LOG);
    assert_eq!((world.loggers_started, world.dismissed), (2, true));
}

#[test]
fn one_that_takes_nothing_is_given_up() {
    let mut world = World::stops_without_a_logger();
    for (bytes, started) in [(60, 3), (59, 4)] {
        world.bytes = bytes;
        world.ends(LOG);
        assert_eq!((world.loggers_started, world.dismissed), (started, false));
    }
    world.ends(LOG);
    assert_eq!((world.loggers_started, world.dismissed), (4, true));
}

#[test]
fn one_that_was_told_to_end_is_not_called_back() {
    // By sv: it is not wanted up any more.
    let mut world = World::stops_without_a_logger();
    world.feed(Input::Command(LOG, Command::Down));
    world.ends(LOG);
    assert_eq!((world.loggers_started, world.dismissed), (2, true));
    // By the supervisor, for it took too long: somebody else holds the pipe open.
    let mut world = World::stops_without_a_logger();
    world.now = world.core.deadline().unwrap();
    world.feed(Input::Due);
    assert_eq!(world.signals, [Sig::Term]);
    world.ends(LOG);
    assert_eq!((world.loggers_started, world.dismissed), (2, true));
}

#[test]
fn a_supervisor_that_leaves_waits_for_it() {
    let mut world = World::new();
    world.ends(LOG);
    world.feed(Input::Command(MAIN, Command::Down));
    world.feed(Input::Terminate);
    world.bytes = 100;
    world.ends(MAIN);
    assert_eq!(world.loggers_started, 2);
    world.ends(LOG);
    assert_eq!(world.loggers_started, 3);
    assert_eq!(world.core.exit_code(world.now), None);
    world.bytes = 0;
    world.ends(LOG);
    world.feed(Input::RoundOver);
    assert_eq!(world.core.exit_code(world.now), Some(0));
}
