//! How a supervisor ends: of many, every sequence of what it may be told, and of what
//! its services do meanwhile, as PID 1 and otherwise.

use model::adoption::Inheritance;
use model::scan::Identity;
use model::service::{Exit, Pid, Role, Want};
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Action, Input, Opened, Scope};

use super::world::{FIRST_PID, Services, World};

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
struct Pair {
    world: World,
    /// The one that obeys has ended.
    obeyed: bool,
}

/// The pid of the one that obeys, and of the one that does not.
const OBEYS: Pid = FIRST_PID;
const IGNORES: Pid = FIRST_PID + 1;

impl Pair {
    fn new(scope: Scope) -> Self {
        let services = Services {
            names: &["good", "bad"],
            have_loggers: false,
            settings: Settings::default(),
        };
        let mut world = World::new(scope, services);
        world.feed(Input::RoundOver);
        Self {
            world,
            obeyed: false,
        }
    }

    /// Of one service, the one that ignores TERM; its process has the first pid.
    fn runsv(is_init: bool) -> Self {
        let mut runsv = Self::new(Scope::One { init: is_init });
        runsv.world.feed(Input::Opened(Opened {
            unit: 1,
            name: b"bad".to_vec(),
            identity: Identity { dev: 1, ino: 2 },
            main: Inheritance::nothing(Role::Main, Want::Up),
            log: None,
            edges: model::graph::Edges::NONE,
        }));
        runsv.world.feed(Input::RoundOver);
        runsv
    }

    /// Who got this signal.
    fn got(&self, signal: Signal) -> Vec<Pid> {
        let got = |action: &Action| match action {
            Action::Signal(_, pid, sent) if *sent == signal => Some(*pid),
            _ => None,
        };
        self.world.done.iter().filter_map(got).collect()
    }

    fn left(&self) -> bool {
        self.world.done.contains(&Action::Leave)
    }

    fn ends(&mut self, pid: Pid) {
        let exit = Exit::of_status(15);
        let now = self.world.now;
        self.world.feed(Input::ChildEnded(pid, exit, now));
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Term => self.world.feed(Input::Terminate),
            Step::HangUp => self.world.feed(Input::HangUp),
            Step::Obeys if !self.obeyed && self.got(Signal::TERM).contains(&OBEYS) => {
                self.obeyed = true;
                self.ends(OBEYS);
            }
            Step::Obeys => {}
            Step::Wait => {
                let world = &mut self.world;
                let until = world.now.plus_ms(5000);
                while let Some(at) = world.core.deadline().filter(|at| *at <= until) {
                    world.now = at.max(world.now);
                    world.feed(Input::Due);
                }
                world.now = until;
            }
        }
        self.world.feed(Input::RoundOver);
    }

    fn exit_code(&self) -> Option<u8> {
        self.world.core.exit_code(self.world.now)
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
    let mut pair = Pair::new(Scope::All { init: is_init });
    let mut state = Expected::Runs;
    for (n, step) in steps.iter().enumerate() {
        let told = || format!("PID 1: {is_init}, {:?}", &steps[..=n]);
        let said_before = pair.world.said().len();
        let before = state;
        state = expected(is_init, before, *step);
        pair.play(*step);
        let code = match state {
            Expected::Over(code) => Some(code),
            _ => None,
        };
        assert_eq!(pair.exit_code(), code, "{}", told());
        // While it waits for all to end, it says for whom, and for nobody else.
        let said = pair.world.said().split_off(said_before);
        if matches!(before, Expected::Exits(_)) && *step == Step::Wait {
            let [said] = said[..] else {
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
            assert_eq!(pair.left(), !is_init, "{}", told());
            assert_eq!(
                pair.got(Signal::KILL).contains(&IGNORES),
                is_init,
                "{}",
                told()
            );
            return;
        }
        assert!(
            !pair.left() && pair.got(Signal::KILL).is_empty(),
            "{}",
            told()
        );
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
        let mut pair = Pair::new(Scope::All { init: true });
        pair.world.feed(input);
        pair.ends(OBEYS);
        assert_eq!(pair.exit_code(), None);
        pair.ends(IGNORES);
        assert_eq!(pair.exit_code(), Some(code));
        assert!(pair.world.said().is_empty() && pair.got(Signal::KILL).is_empty());
    }
}

/// runsv(8): it ends when its service has ended, however often it is told. But nobody
/// could do anything about a process 1 that waits for ever.
#[test]
fn runsv_waits_for_its_service_but_as_process_1_not_for_ever() {
    for is_init in [false, true] {
        let mut runsv = Pair::runsv(is_init);
        runsv.play(Step::HangUp);
        runsv.play(Step::Wait);
        assert!(runsv.world.said().is_empty());
        runsv.play(Step::Term);
        runsv.play(Step::Wait);
        runsv.play(Step::HangUp);
        let said = "waiting for the end of bad (pid 10); another TERM kills them";
        let said: &[&str] = if is_init { &[said] } else { &[] };
        assert_eq!(runsv.world.said(), said);
        assert_eq!(runsv.exit_code(), None);
        runsv.play(Step::Term);
        assert_eq!(runsv.exit_code(), is_init.then_some(111));
        let killed: &[Pid] = if is_init { &[FIRST_PID] } else { &[] };
        assert_eq!(runsv.got(Signal::KILL), killed);
        assert!(!runsv.left());
    }
}

#[test]
fn runsv_ends_with_its_service() {
    for is_init in [false, true] {
        let mut runsv = Pair::runsv(is_init);
        runsv.play(Step::Term);
        runsv.ends(FIRST_PID);
        runsv.world.feed(Input::RoundOver);
        assert_eq!(runsv.exit_code(), Some(0));
    }
}
