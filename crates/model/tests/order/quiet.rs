//! Names that change while a service is held. They count when nothing has happened to them for
//! a moment, so that nobody starts while the directory is being removed, file by file.

use model::adoption::Inheritance;
use model::command::Command;
use model::format::tai64n::Tai64n;
use model::graph::{Edges, Kind};
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Role, Want};
use model::settings::Settings;
use model::supervisor::{Action, Id, Input, Job, Opened, Scope, Supervisor};
use model::time::Instant;

const WEB: Id = Id {
    unit: 1,
    role: Role::Main,
};

/// One service, which needs one that is not there.
struct Held {
    core: Supervisor,
    now: Instant,
    /// Its directory is there.
    is_enabled: bool,
    /// The name in `needs` is there.
    is_named: bool,
    runs: bool,
}

impl Held {
    /// It has been held for long, and is watched.
    fn new() -> Self {
        let mut held = Self {
            core: Supervisor::new(Scope::All { init: false }),
            now: Instant(1_000_000_000),
            is_enabled: true,
            is_named: true,
            runs: false,
        };
        held.feed(Input::ScanDue);
        held.wait(60_000);
        assert!(!held.runs);
        held
    }

    fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let (at, wall) = (self.now, Tai64n::from_unix(1_700_000_000, 0));
            self.core.handle(Moment { at, wall }, input);
            while let Some(action) = self.core.next() {
                if let Some(answer) = self.answer(action) {
                    self.core.handle(Moment { at, wall }, answer);
                }
            }
            next = if self.core.has_more() {
                Some(Input::More)
            } else {
                self.core.is_busy().then_some(Input::RoundOver)
            };
        }
    }

    /// All that is due in so many milliseconds happens.
    fn wait(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(at) = self.core.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.feed(Input::Due);
        }
        self.now = until;
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::NONE;
        if self.is_named {
            edges.add(Kind::Needs, b"db");
        }
        edges
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        let identity = Identity { dev: 1, ino: 1 };
        Some(match action {
            Action::Scan => Input::Scanned {
                entries: Vec::from_iter(self.is_enabled.then(|| (b"web".to_vec(), identity))),
                next_look: None,
            },
            Action::LookForLiving(_) => Input::Living(vec![]),
            Action::Open { unit, name, .. } => Input::Opened(Opened {
                unit,
                name,
                identity,
                main: Inheritance::nothing(Role::Main, Want::Up),
                log: None,
                edges: self.edges(),
            }),
            Action::ReadEdges(unit, then) => Input::EdgesRead(unit, self.edges(), then),
            Action::WatchEdges(unit) => Input::EdgesChanged(unit),
            Action::Look { id, look, .. } => Input::Looked {
                id,
                look,
                found: Settings {
                    run: true,
                    ..Settings::default()
                },
                log: None,
            },
            Action::Start(job @ Job::Run(_), _) => {
                self.runs = true;
                Input::Started(job, 100)
            }
            _ => return None,
        })
    }

    /// The name goes, and then the directory that it was in.
    fn loses_needs(&mut self) {
        self.is_named = false;
        self.feed(Input::EdgesChanged(WEB.unit));
        self.wait(60);
        self.feed(Input::EdgesChanged(WEB.unit));
    }
}

#[test]
fn a_held_service_does_not_start_while_its_directory_is_removed() {
    let mut held = Held::new();
    held.loses_needs();
    held.wait(60);
    held.is_enabled = false;
    held.feed(Input::ScanDue);
    held.wait(60_000);
    assert!(!held.runs && held.core.service(WEB).is_none());
}

#[test]
fn it_starts_when_its_names_have_gone_and_all_is_quiet() {
    let mut held = Held::new();
    held.loses_needs();
    held.wait(99);
    assert!(!held.runs);
    held.wait(1);
    assert!(held.runs);
}

/// Whoever says `u` has finished with the directory.
#[test]
fn a_command_does_not_wait_for_that() {
    let mut held = Held::new();
    held.loses_needs();
    held.feed(Input::Command(WEB, Command::Up));
    assert!(held.runs);
}
