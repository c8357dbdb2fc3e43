//! How a supervisor of many ends: every sequence of what it may be told, and of what
//! its services do meanwhile, as PID 1 and otherwise.
#![allow(clippy::unwrap_used, clippy::panic)]

use model::adoption::Inheritance;
use model::command::Sig;
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Exit, Pid, Role, Want};
use model::settings::Settings;
use model::supervisor::{Action, Input, Job, Opened, Scope, Supervisor};
use model::time::Instant;

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Term,
    HangUp,
    /// The service that obeys TERM ends, if it got it.
    Obeys,
    /// As long as who is waited for is said once.
    Wait,
}

const STEPS: [Step; 4] = [Step::Term, Step::HangUp, Step::Obeys, Step::Wait];
/// Longer ones show nothing else.
const STEPS_MAX: u32 = 6;

/// A supervisor of two services, one of which ignores TERM.
struct World {
    core: Supervisor,
    now: Instant,
    said: Vec<String>,
    killed: Vec<Pid>,
    left: bool,
    /// What the obedient service got.
    termed: bool,
}

/// The pid of the one that obeys, and of the one that does not.
const OBEYS: Pid = 10;
const IGNORES: Pid = 11;

impl World {
    fn new(scope: Scope) -> Self {
        let mut world = Self {
            core: Supervisor::new(scope),
            now: Instant(1_000_000_000),
            said: vec![],
            killed: vec![],
            left: false,
            termed: false,
        };
        world.feed(Input::ScanDue);
        world.feed(Input::RoundOver);
        world
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            wall: Tai64n::from_unix(1_700_000_000, 0),
        }
    }

    fn feed(&mut self, input: Input) {
        self.hand_in(input);
        while self.core.has_more() {
            self.hand_in(Input::More);
        }
    }

    fn hand_in(&mut self, input: Input) {
        self.core.handle(self.moment(), input);
        while let Some(action) = self.core.next() {
            if let Some(answer) = self.perform(action) {
                self.core.handle(self.moment(), answer);
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        let identity = |ino| Identity { dev: 1, ino };
        match action {
            Action::Scan => Some(Input::Scanned {
                entries: vec![
                    (b"good".to_vec(), identity(1)),
                    (b"bad".to_vec(), identity(2)),
                ],
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
                log: None,
            })),
            Action::Start(job @ Job::Run(_)) => {
                let good = self.core.name(job.id().unit).unwrap() == b"good";
                Some(Input::Started(job, if good { OBEYS } else { IGNORES }))
            }
            Action::Look { id, look, .. } => Some(Input::Looked {
                id,
                look,
                found: Settings::default(),
                log: None,
            }),
            Action::Signal(_, pid, Sig::Term) => {
                self.termed |= pid == OBEYS;
                None
            }
            Action::Signal(_, pid, Sig::Kill) => {
                self.killed.push(pid);
                None
            }
            Action::LookForLiving(_) => Some(Input::Living(vec![])),
            Action::Leave => {
                self.left = true;
                Some(Input::Left)
            }
            Action::Say(text) => {
                self.said.push(text);
                None
            }
            _ => None,
        }
    }
}

impl World {
    fn play(&mut self, step: Step) {
        match step {
            Step::Term => self.feed(Input::Terminate),
            Step::HangUp => self.feed(Input::HangUp),
            Step::Obeys if std::mem::take(&mut self.termed) => {
                self.feed(Input::ChildEnded(OBEYS, Exit::of_status(15), self.now));
            }
            Step::Obeys => {}
            Step::Wait => {
                let until = self.now.plus_ms(5000);
                while let Some(at) = self.core.deadline().filter(|at| *at <= until) {
                    self.now = at.max(self.now);
                    self.feed(Input::Due);
                }
                self.now = until;
            }
        }
        self.feed(Input::RoundOver);
    }

    fn exit_code(&self) -> Option<u8> {
        self.core.exit_code(self.now)
    }
}

/// What is to come of a sequence, by the drawing in `supervisor/ending.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Runs,
    Retires,
    Exits(u8),
    Over(u8),
}

fn expected(is_init: bool, before: Expected, step: Step) -> Expected {
    match (before, step) {
        (Expected::Over(code), _) => Expected::Over(code),
        (Expected::Runs, Step::Term) if !is_init => Expected::Retires,
        // It leaves what runs to a keeper, and ends.
        (Expected::Retires, Step::Wait) => Expected::Over(0),
        (Expected::Exits(0), Step::Term) | (Expected::Exits(111), Step::HangUp) => {
            Expected::Over(111)
        }
        (_, Step::Term) => Expected::Exits(0),
        (_, Step::HangUp) => Expected::Exits(111),
        (same, Step::Obeys | Step::Wait) => same,
    }
}

fn play(is_init: bool, steps: &[Step]) {
    let mut world = World::new(Scope::All { init: is_init });
    let mut state = Expected::Runs;
    for (n, step) in steps.iter().enumerate() {
        let told = || format!("PID 1: {is_init}, {:?}", &steps[..=n]);
        let said_before = world.said.len();
        let before = state;
        state = expected(is_init, before, *step);
        world.play(*step);
        let code = match state {
            Expected::Over(code) => Some(code),
            _ => None,
        };
        assert_eq!(world.exit_code(), code, "{}", told());
        // While it waits for all to end, it says for whom, and for nobody else.
        let said = &world.said[said_before..];
        if matches!(before, Expected::Exits(_)) && *step == Step::Wait {
            let [said] = said else {
                panic!("{}: {said:?}", told());
            };
            assert!(said.contains("bad (pid 11)"), "{said}");
            let obeyed = steps[..n].contains(&Step::Obeys) && !said.contains("good");
            assert!(obeyed || said.contains("good (pid 10)"), "{said}");
        } else {
            assert!(said.is_empty(), "{}: {said:?}", told());
        }
        if code.is_some() {
            // Who runs is left to a keeper, or killed by PID 1, which nobody outlives.
            assert_eq!(world.left, !is_init, "{}", told());
            assert_eq!(world.killed.contains(&IGNORES), is_init, "{}", told());
            return;
        }
        assert!(!world.left && world.killed.is_empty(), "{}", told());
    }
}

#[test]
fn every_sequence_ends_as_drawn() {
    for length in 1..=STEPS_MAX {
        for number in 0..4_usize.pow(length) {
            let step = |digit| STEPS[number / 4_usize.pow(digit) % 4];
            let steps: Vec<Step> = (0..length).map(step).collect();
            play(true, &steps);
            play(false, &steps);
        }
    }
}

/// With everything gone it ends by itself, and nothing is said or killed.
#[test]
fn who_obeys_is_waited_for_in_silence() {
    for (input, code) in [(Input::HangUp, 111), (Input::Terminate, 0)] {
        let mut world = World::new(Scope::All { init: true });
        world.feed(input);
        world.feed(Input::ChildEnded(OBEYS, Exit::of_status(15), world.now));
        assert_eq!(world.exit_code(), None);
        world.feed(Input::ChildEnded(IGNORES, Exit::of_status(15), world.now));
        assert_eq!(world.exit_code(), Some(code));
        assert!(world.said.is_empty() && world.killed.is_empty());
    }
}
