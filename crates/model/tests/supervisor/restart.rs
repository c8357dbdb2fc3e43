//! Services that end right after their start: when the next start is due, when
//! that is a crash loop, when it is over, and what is told of it.

use model::command::Command;
use model::format::crash_loop::CrashLoop;
use model::service::{Action, Event, Exit, Failure, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::supervisor::{self, Input, Scope};
use model::time::Instant;

use super::world::{MAIN, Services, World};

const FAILED: Exit = Exit::of_status(256);
const KILLED: Exit = Exit::of_status(11);

/// A directory of `run` and `backoff`.
fn asks(longest_s: Option<u32>) -> Settings {
    Settings {
        backoff: longest_s,
        ..Settings::default()
    }
}

/// A service, its clock, and what it asks for.
struct Player {
    service: Service,
    now: Instant,
    longest_s: Option<u32>,
    /// How often it was asked.
    asked: usize,
}

impl Player {
    fn new(role: Role, longest_s: Option<u32>) -> Self {
        Self {
            service: Service::new(role, Want::Up),
            now: Instant(1_000_000_000),
            longest_s,
            asked: 0,
        }
    }

    fn step(&mut self, event: Event) {
        let (service, actions) = self.service.step(self.now, event);
        self.service = service;
        for action in actions {
            match action {
                Action::Prepare => self.step(Event::Prepared),
                Action::StartSetup | Action::StartRun(_) => self.step(Event::Started(101)),
                Action::StartFinish(..) => panic!("there is none"),
                Action::Look(look) => {
                    self.asked += usize::from(matches!(look, Look::End { grows: true, .. }));
                    self.step(Event::Looked(look, asks(self.longest_s)));
                }
                Action::Script(sig, pid) => {
                    let handled = false;
                    self.step(Event::ScriptEnded { sig, pid, handled });
                }
                Action::Signal(..) | Action::Group(..) | Action::Epilogue(..) => {}
            }
        }
    }

    fn command(&mut self, byte: u8) {
        self.step(Event::Command(Command::from_byte(byte).unwrap()));
    }

    /// Waits until it starts; the milliseconds that took.
    fn starts(&mut self) -> u64 {
        let before = self.now;
        if let State::Down { not_before } = self.service.state() {
            self.now = not_before.max(self.now);
            self.step(Event::Tick);
        }
        assert!(matches!(self.service.state(), State::Run(_)));
        self.now.ms_since(before)
    }

    /// It runs for so long, and fails.
    fn lives(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.step(Event::Exited(101, FAILED));
    }

    /// Gaps (ms) after so many lives of this length (ms).
    fn gaps(&mut self, count: usize, life_ms: u64) -> Vec<u64> {
        self.starts();
        let gap = |_| {
            self.lives(life_ms);
            self.starts()
        };
        (0..count).map(gap).collect()
    }
}

#[test]
fn without_the_file_each_short_life_is_followed_by_a_second() {
    for role in [Role::Main, Role::Log] {
        let mut player = Player::new(role, None);
        assert_eq!(player.gaps(8, 999), [1000; 8]);
        assert!(player.service.is_crash_looping());
        assert_eq!(player.service.crash_loop(), None, "its files are runit's");
        assert_eq!(player.gaps(2, 1000), [0, 0]);
        assert!(!player.service.is_crash_looping());
    }
}

#[test]
fn with_the_file_gaps_double_up_to_the_longest_until_a_run_lives() {
    for role in [Role::Main, Role::Log] {
        let mut player = Player::new(role, Some(10));
        let doubling = [1000, 2000, 4000, 8000, 10_000, 10_000];
        assert_eq!(player.gaps(6, 0), doubling);
        assert_eq!(player.asked, 5, "the first gap is a second anyhow");
        assert_eq!(player.gaps(1, 1000), [0]);
        assert_eq!(player.gaps(6, 500), doubling);
    }
}

#[test]
fn a_command_ends_the_gap_and_the_count_goes_on() {
    let mut player = Player::new(Role::Main, Some(60));
    player.gaps(3, 0);
    player.lives(0);
    player.command(b'u');
    assert_eq!(player.starts(), 0);
    player.lives(0);
    assert_eq!(player.starts(), 16_000, "the fifth");
}

#[test]
fn what_was_asked_for_is_no_short_life() {
    let mut player = Player::new(Role::Main, Some(60));
    for _ in 0..20 {
        player.starts();
        player.command(b't');
        player.step(Event::Exited(101, Exit::of_status(15)));
        assert_eq!(player.starts(), 1000, "as ever");
    }
    assert_eq!(player.service.streak().lives(), 0);
    player.gaps(5, 0);
    assert!(player.service.crash_loop().is_some());
    // Stopped: it is not started again.
    player.command(b'd');
    assert_eq!(player.service.crash_loop(), None);
    player.step(Event::Exited(101, FAILED));
    player.command(b'u');
    assert_eq!(player.gaps(2, 0), [1000, 2000]);
}

#[test]
fn what_cannot_be_started_lives_short() {
    let mut player = Player::new(Role::Main, Some(4));
    for gap in [1000, 2000, 4000, 4000] {
        let service = player.service.step(player.now, Event::Tick).0;
        let start = Event::Looked(Look::Start, Settings::default());
        player.service = service.step(player.now, start).0;
        player.step(Event::NotStarted(Failure::Exec));
        let State::Down { not_before } = player.service.state() else {
            panic!("{:?}", player.service);
        };
        assert_eq!(not_before.ms_since(player.now), gap);
        player.now = not_before;
    }
}

#[test]
fn a_crash_loop_is_shown_until_a_run_has_lived_for_a_second() {
    let mut player = Player::new(Role::Main, Some(60));
    player.gaps(4, 0);
    assert_eq!(player.service.crash_loop(), None);
    assert_eq!(player.service.deadline(), None, "nobody is woken");
    player.lives(0);
    let shown = player.service.crash_loop().unwrap();
    let next = player.now.plus_ms(16_000);
    let expected = CrashLoop {
        lives: 5,
        ended: (1, 0),
        next: Some(next),
    };
    assert_eq!(shown, expected);
    player.starts();
    let trying = CrashLoop {
        next: None,
        ..expected
    };
    assert_eq!(player.service.crash_loop(), Some(trying));
    // Its supervisor looks when the second is over.
    let end = player.now.plus_ms(1000);
    assert_eq!(player.service.deadline(), Some(end));
    player.now = end;
    player.step(Event::Tick);
    assert_eq!(player.service.crash_loop(), None);
    assert_eq!(player.service.deadline(), None);
    assert_eq!(player.gaps(1, 0), [0], "it had lived");
}

#[test]
fn a_file_that_goes_is_missed_at_the_next_gap() {
    let mut player = Player::new(Role::Main, Some(60));
    player.gaps(6, 0);
    assert!(player.service.crash_loop().is_some());
    player.longest_s = None;
    assert_eq!(player.gaps(1, 0), [1000]);
    assert_eq!(player.service.crash_loop(), None);
}

/// A supervisor of one service and its logger, whose runs end as told.
fn looping() -> World {
    let services = Services {
        names: &["web"],
        have_loggers: true,
        settings: asks(Some(60)),
    };
    let world = World::new(Scope::All { init: false }, services);
    assert!(world.core.service(MAIN).is_some());
    world
}

impl World {
    /// The crash loops of the service that were shown: how many lives each has.
    fn shown(&self) -> Vec<Option<u32>> {
        let shown = |action: &supervisor::Action| match action {
            supervisor::Action::Show {
                id, facts, files, ..
            } if *id == MAIN && files.crash_loop => Some(facts.crash_loop.map(|shown| shown.lives)),
            _ => None,
        };
        self.done.iter().filter_map(shown).collect()
    }

    fn due(&mut self) {
        self.feed(Input::RoundOver);
        while let Some(at) = self.core.deadline().filter(|at| *at > self.now) {
            self.now = at;
            self.feed(Input::Due);
            self.feed(Input::RoundOver);
        }
    }
}

#[test]
fn a_crash_loop_is_told_once_and_so_is_its_end() {
    let mut world = looping();
    world.due();
    for _ in 0..4 {
        world.feed(Input::RoundOver);
        world.ends(MAIN, FAILED);
        world.now = world.core.deadline().unwrap();
        world.feed(Input::Due);
    }
    assert!(world.said().is_empty());
    world.ends(MAIN, KILLED);
    world.due();
    assert_eq!(
        world.said(),
        [
            "web: crash loop: ended 5 times within a second of its start, last by signal 11; see its log",
            "web: crash loop over: it has run for a second",
        ]
    );
    assert_eq!(world.shown(), [Some(5), Some(5), None]);
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn what_is_forgotten_is_no_loop_and_needs_five_lives_again() {
    let mut world = looping();
    for _ in 0..5 {
        world.feed(Input::RoundOver);
        world.ends(MAIN, FAILED);
        world.feed(Input::Command(MAIN, Command::Up));
    }
    world.feed(Input::RoundOver);
    assert_eq!((world.said().len(), world.shown().len()), (1, 1));
    let before = world.core.service(MAIN).unwrap().state();
    world.feed(Input::Command(MAIN, Command::Reset));
    let service = world.core.service(MAIN).unwrap();
    assert_eq!((service.state(), service.want()), (before, Want::Up));
    assert_eq!((service.streak().lives(), service.crash_loop()), (0, None));
    world.feed(Input::RoundOver);
    // It is over without a word, and is told when it comes again.
    assert_eq!(world.shown().last(), Some(&None));
    for lives in 1..=5 {
        assert_eq!(world.said().len(), 1, "{lives}");
        world.ends(MAIN, FAILED);
        world.feed(Input::Command(MAIN, Command::Up));
    }
    assert_eq!(world.said().len(), 2);
}

#[test]
fn a_loop_that_a_command_ends_is_over_without_a_word() {
    for command in [Command::Down, Command::Once, Command::Exit] {
        let mut world = looping();
        for _ in 0..5 {
            world.ends(MAIN, FAILED);
            world.feed(Input::Command(MAIN, Command::Up));
        }
        assert_eq!(world.said().len(), 1, "{command:?}");
        world.feed(Input::RoundOver);
        world.feed(Input::Command(MAIN, command));
        world.feed(Input::RoundOver);
        assert_eq!(world.said().len(), 1, "{command:?}");
        assert_eq!(world.shown().last(), Some(&None), "{command:?}");
    }
}

#[test]
fn a_supervisor_that_ends_shows_no_loop() {
    let mut world = looping();
    for _ in 0..5 {
        world.ends(MAIN, FAILED);
        world.feed(Input::Command(MAIN, Command::Up));
    }
    world.feed(Input::RoundOver);
    assert_eq!(world.shown().last(), Some(&Some(5)));
    world.feed(Input::Terminate);
    world.feed(Input::RoundOver);
    assert_eq!(world.shown().last(), Some(&None));
    assert_eq!(world.said().len(), 1);
}

/// A zombie that waits to be reaped does not live.
#[test]
fn a_life_ends_when_it_ended() {
    let mut world = looping();
    for _ in 0..5 {
        let pid = world.core.service(MAIN).unwrap().phase().1;
        let ended = world.now.plus_ms(10);
        world.now = world.now.plus_ms(5000);
        world.feed(Input::ChildEnded(pid, FAILED, ended));
        world.feed(Input::Command(MAIN, Command::Up));
    }
    assert_eq!(world.said().len(), 1, "{:?}", world.said());
    assert!(world.said()[0].contains("crash loop"));
}
