//! After which ends a service is started again, and after which it stays down: every end of
//! a process, with every kind of policy, as a golden table; and how often, by `give-up`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;

use model::command::{Command, Sig};
use model::format::restart;
use model::format::state::last::Outcome;
use model::restart::{GaveUp, Report};
use model::service::{Action, Event, Exit, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::time::Instant;

const BEGIN: Instant = Instant(10_000_000_000);
const PID: u32 = 101;
const FINISH: u32 = 102;

/// Files `restart`; the first is none.
const FILES: [&str; 8] = [
    "",
    "always",
    "failure",
    "never",
    "always 0 78 TERM",
    "failure 64 KILL 255",
    "failure 0 HUP",
    "never 1 2 3",
];

/// What was done to the process before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// A command, whose letter is this.
    Command(u8),
    /// HUP by a command, which asks nobody to end.
    Hup,
}

fn settings(file: &str, give_up: Option<u32>) -> Settings {
    Settings {
        finish: true,
        restart: restart::decode(file.as_bytes()).ok(),
        give_up,
        ..Settings::default()
    }
}

/// A service whose directory answers every question in the same way.
struct Player {
    service: Service,
    now: Instant,
    found: Settings,
    /// What `./finish` was told.
    finish: Option<(Exit, Option<Report>)>,
}

impl Player {
    fn new(found: Settings) -> Self {
        let service = Service::new(Role::Main, Want::Up);
        let finish = None;
        let mut player = Self {
            service,
            now: BEGIN,
            found,
            finish,
        };
        player.step(Event::Tick);
        player
    }

    fn step(&mut self, event: Event) {
        let (next, actions) = self.service.step(self.now, event);
        self.service = next;
        for action in actions {
            match action {
                Action::Look(look) => self.step(Event::Looked(look, self.found)),
                Action::StartSetup | Action::StartRun(_) => self.step(Event::Started(PID)),
                Action::StartFinish(exit, report) => {
                    self.finish = Some((exit, report));
                    self.step(Event::Started(FINISH));
                }
                _ => {}
            }
        }
    }

    fn tell(&mut self, told: Told) {
        match told {
            Told::Nothing => {}
            Told::Hup => self.step(Event::Command(Command::Signal(Sig::Hup))),
            Told::Command(letter) => {
                let command = Command::from_byte(letter).unwrap();
                self.step(Event::Command(command));
            }
        }
    }

    /// The run, or `./setup`, ends after so many milliseconds.
    fn ends(&mut self, lived_ms: u64, exit: Exit) {
        self.now = self.now.plus_ms(lived_ms);
        self.step(Event::Exited(PID, exit));
    }

    /// `./finish` ends, and the gap goes by.
    fn finishes(&mut self, code: u8) {
        self.step(Event::Exited(FINISH, Exit::Code(code)));
        if let Some(at) = self.service.deadline().filter(|at| *at > self.now) {
            self.now = at;
            self.step(Event::Tick);
        }
    }

    fn runs(&self) -> bool {
        matches!(self.service.state(), State::Run(_))
    }
}

fn every_end() -> Vec<Exit> {
    let codes = (0..=255).map(Exit::Code);
    let signals = (1..=64).map(Exit::Signal);
    let dumps = (1..=64).map(Exit::Dumped);
    codes
        .chain(signals)
        .chain(dumps)
        .chain([Exit::Unknown])
        .collect()
}

/// Numbers in a row are a range.
fn ranges(numbers: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < numbers.len() {
        let mut last = at;
        while last + 1 < numbers.len() && numbers[last + 1] == numbers[last] + 1 {
            last += 1;
        }
        let _ = match last - at {
            0 => write!(text, " {}", numbers[at]),
            _ => write!(text, " {}-{}", numbers[at], numbers[last]),
        };
        at = last + 1;
    }
    text
}

fn shown(ends: &[Exit]) -> String {
    let codes: Vec<u8> = ends
        .iter()
        .filter_map(|exit| exit.finish_args().0.try_into().ok())
        .collect();
    let killed = |dumped: bool| {
        let of = |exit: &&Exit| matches!(exit, Exit::Dumped(_)) == dumped;
        let signals = ends.iter().filter(of).filter_map(|exit| exit.signal());
        signals.collect::<Vec<u8>>()
    };
    let mut text = String::new();
    for (what, numbers) in [
        ("codes", codes),
        ("signals", killed(false)),
        ("dumps", killed(true)),
    ] {
        if !numbers.is_empty() {
            let _ = write!(text, " {what}{};", ranges(&numbers));
        }
    }
    if ends.contains(&Exit::Unknown) {
        text.push_str(" nobody saw it;");
    }
    if text.is_empty() {
        text.push_str(" none;");
    }
    text
}

fn table() -> String {
    let mut text =
        String::from("# After which ends a service is started again, for each file restart.\n");
    let told = [
        Told::Nothing,
        Told::Hup,
        Told::Command(b't'),
        Told::Command(b'k'),
        Told::Command(b'o'),
    ];
    for file in FILES {
        for told in told {
            let (mut again, mut stays) = (vec![], vec![]);
            for exit in every_end() {
                let mut player = Player::new(settings(file, None));
                player.tell(told);
                player.ends(2000, exit);
                let gave_up = player.service.gave_up();
                player.finishes(0);
                assert_eq!(
                    gave_up.is_some(),
                    !player.runs() && told != Told::Command(b'o')
                );
                if player.runs() {
                    again.push(exit);
                } else {
                    stays.push(exit);
                }
            }
            let _ = writeln!(text, "\n## {file:?}, {told:?}");
            let _ = writeln!(text, "starts again:{}", shown(&again));
            let _ = writeln!(text, "stays down:{}", shown(&stays));
        }
    }
    text
}

/// The table is reviewed when it changes: `UPDATE_GOLDEN=1 cargo test -p model` writes it anew.
#[test]
fn every_end_and_every_policy() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/restart.txt");
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(golden == table, "ends count otherwise; review {path}");
}

#[test]
fn exit_125_of_finish_counts_where_restart_is_and_nobody_ended_the_run() {
    for file in FILES.into_iter().filter(|file| !file.starts_with("never")) {
        for code in 0..=255 {
            for told in [Told::Nothing, Told::Command(b't')] {
                let mut player = Player::new(settings(file, None));
                player.tell(told);
                player.ends(2000, Exit::Code(1));
                player.finishes(code);
                let is_told = told != Told::Nothing;
                let stays = code == 125 && !file.is_empty() && !is_told;
                assert_eq!(player.runs(), !stays, "{file:?} {code} {told:?}");
                let why = stays.then_some(GaveUp::Finish);
                assert_eq!(player.service.gave_up(), why, "{file:?} {code}");
                // u begins anew.
                player.tell(Told::Command(b'u'));
                assert!(player.runs() && player.service.gave_up().is_none());
            }
        }
    }
}

#[test]
fn give_up_counts_short_lives_in_a_row() {
    for most in 1..6 {
        let mut player = Player::new(settings("", Some(most)));
        for life in 1..most {
            player.ends(10, Exit::Code(1));
            player.finishes(0);
            assert!(player.runs(), "{most}: after {life}");
        }
        // One that lives for a second begins a new row, and one that a command ends is none.
        player.ends(1000, Exit::Code(1));
        player.finishes(0);
        player.tell(Told::Command(b't'));
        player.ends(10, Exit::Signal(15));
        player.finishes(0);
        for life in 1..=most {
            assert!(player.runs(), "{most}: before {life} of the second row");
            player.ends(10, Exit::Signal(11));
            let report = player.finish.unwrap().1.unwrap();
            assert_eq!((report.outcome, report.tries), (Outcome::Signal, life));
            player.finishes(0);
        }
        assert!(!player.runs());
        assert_eq!(player.service.gave_up(), Some(GaveUp::Lives));
        assert_eq!(player.service.want(), Want::Down);
        player.tell(Told::Command(b'u'));
        assert!(player.runs());
    }
}

/// Its own codes are no codes of a run, and `restart` says nothing of it.
#[test]
fn a_setup_that_fails_is_a_start_that_failed_and_111_is_the_last() {
    for file in FILES {
        for exit in every_end()
            .into_iter()
            .filter(|exit| *exit != Exit::Code(0))
        {
            let mut player = Player::new(Settings {
                setup: true,
                ..settings(file, None)
            });
            player.ends(5000, exit);
            let (told, report) = player.finish.unwrap();
            assert_eq!(told, Exit::Code(111), "{exit}");
            let report = report.unwrap();
            assert_eq!((report.outcome, report.tries), (Outcome::Setup, 1));
            player.finishes(0);
            let is_hopeless = exit == Exit::Code(111);
            assert_eq!(player.runs(), !is_hopeless, "{file:?} {exit}");
            let why = is_hopeless.then_some(GaveUp::Setup);
            assert_eq!(player.service.gave_up(), why);
        }
    }
    let mut player = Player::new(Settings {
        setup: true,
        ..settings("", Some(2))
    });
    for runs in [true, false] {
        player.ends(5000, Exit::Code(1));
        player.finishes(0);
        assert_eq!(player.runs(), runs);
    }
}

/// A directory without our files: `./finish` is told what runit tells it.
#[test]
fn a_plain_finish_is_told_nothing_more() {
    for exit in every_end() {
        let mut player = Player::new(settings("", None));
        player.ends(10, exit);
        assert_eq!(player.finish, Some((exit, None)));
    }
}

/// A oneshot that is done begins again by `t`, and `h` runs its script with no pid.
#[test]
fn a_oneshot_that_is_done_takes_orders() {
    let alone = Settings {
        setup: true,
        run: false,
        scripts: [b'h'].into_iter().collect(),
        ..settings("never 0", None)
    };
    let mut player = Player::new(alone);
    player.ends(2000, Exit::Code(0));
    assert!(player.service.is_done() && player.service.want() == Want::Up);
    for letter in [b'p', b'c', b'k', b'u', b'o'] {
        let before = player.service;
        player.tell(Told::Command(letter));
        assert_eq!(player.service, before, "{}", char::from(letter));
    }
    let hup = Event::Command(Command::Signal(Sig::Hup));
    let (asked, actions) = player.service.step(player.now, hup);
    let look = Look::Signal(Sig::Hup, 0);
    assert_eq!(actions, [Action::Look(look)]);
    let (runs, actions) = asked.step(player.now, Event::Looked(look, alone));
    assert_eq!(actions, [Action::Script(Sig::Hup, 0)]);
    assert!(runs.is_done());
    player.tell(Told::Command(b't'));
    assert_eq!(player.finish.unwrap().0, Exit::Code(0));
    player.finishes(125);
    assert!(player.runs(), "its end was asked for");
}
