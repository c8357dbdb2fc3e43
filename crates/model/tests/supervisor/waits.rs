//! A supervisor that takes over a stop that waited for the end of another service.

use std::collections::BTreeMap;

use model::adoption::Inheritance;
use model::command::Command;
use model::facts::Line;
use model::format::adopt::Mark;
use model::format::state::reason::Reason;
use model::format::tai64n::Tai64n;
use model::graph::{Edges, Kind};
use model::moment::Moment;
use model::process::Program;
use model::scan::Identity;
use model::service::{Event, Exit, Pid, Role, Service, Want};
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Action, Id, Input, Opened, Scope, Supervisor, UnitId};
use model::time::Instant;

const ALL: Scope = Scope::All { init: false };
/// Its stop waited, as the files say.
const DB: Left = Left {
    name: "db",
    needs: &[],
    follows: &[],
    waited_for: Some("web"),
    has_ended: false,
    refusals: 0,
};
/// It got TERM, and has not ended yet.
const WEB: Left = Left {
    name: "web",
    needs: &["db"],
    follows: &[],
    waited_for: None,
    has_ended: false,
    refusals: 0,
};

/// What an earlier supervisor left: a process that is to end.
#[derive(Clone, Copy)]
struct Left {
    name: &'static str,
    needs: &'static [&'static str],
    follows: &'static [&'static str],
    waited_for: Option<&'static str>,
    /// It ended while no supervisor lived.
    has_ended: bool,
    /// So often it cannot be opened.
    refusals: usize,
}

struct World {
    core: Supervisor,
    now: Instant,
    left: Vec<Left>,
    units: BTreeMap<UnitId, usize>,
    /// Who got TERM from this supervisor.
    told: Vec<&'static str>,
    /// What the files `reason` show.
    reasons: BTreeMap<&'static str, String>,
}

impl World {
    fn new(scope: Scope, left: &[Left]) -> Self {
        let reason = |left: &Left| {
            let reason = Reason::Stop(left.waited_for?.into());
            Some((left.name, reason.encode()))
        };
        Self {
            core: Supervisor::new(scope),
            now: Instant(1_000_000_000),
            left: left.to_vec(),
            units: BTreeMap::new(),
            told: vec![],
            reasons: left.iter().filter_map(reason).collect(),
        }
    }

    /// A scan directory was looked at, and nothing more can be done at once.
    fn all(left: &[Left]) -> Self {
        let mut world = Self::new(ALL, left);
        world.feed(Input::ScanDue);
        world.rest();
        world
    }

    fn feed(&mut self, input: Input) {
        let now = Moment {
            at: self.now,
            wall: Tai64n::from_unix(1_700_000_000, 0),
        };
        self.core.handle(now, input);
        while let Some(action) = self.core.next() {
            if let Some(answer) = self.answer(action) {
                self.core.handle(now, answer);
            }
        }
    }

    fn rest(&mut self) {
        for _ in 0..1000 {
            if self.core.has_more() {
                self.feed(Input::More);
            } else if self.core.is_busy() {
                self.feed(Input::RoundOver);
            } else {
                return;
            }
        }
        panic!("it never rests");
    }

    fn opened(&self, unit: UnitId, at: usize) -> Opened {
        let left = self.left[at];
        let mut edges = Edges::NONE;
        for (kind, names) in [(Kind::Needs, left.needs), (Kind::Follows, left.follows)] {
            for name in names {
                edges.add(kind, name.as_bytes());
            }
        }
        let got_term = left.waited_for.is_none();
        let (want, since) = (Want::Down, Instant(1));
        let pid = pid(at);
        let missed = if left.has_ended {
            Some(Event::Exited(pid, Exit::Unknown))
        } else {
            (!got_term).then_some(Event::Command(Command::Down))
        };
        Opened {
            unit,
            name: left.name.into(),
            identity: identity(at),
            main: Inheritance {
                service: Service::adopt_run(
                    Role::Main,
                    want,
                    Program::Run,
                    pid,
                    since,
                    false,
                    got_term,
                ),
                adopted: !left.has_ended,
                mark: Mark::Stop,
                missed,
                stop_waited_for: left.waited_for.map(Into::into),
                ..Inheritance::nothing(Role::Main, want)
            },
            log: None,
            edges,
        }
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        Some(match action {
            Action::Scan => {
                let entry = |at: usize| (self.left[at].name.into(), identity(at));
                Input::Scanned {
                    entries: (0..self.left.len()).map(entry).collect(),
                    next_look: None,
                }
            }
            Action::LookForLiving(places) => {
                Input::Living(places.iter().map(|(_, i)| *i).collect())
            }
            Action::Open { unit, identity, .. } => {
                let at = identity.ino as usize;
                let left = &mut self.left[at];
                if left.refusals > 0 {
                    left.refusals -= 1;
                    return Some(Input::NotOpened(identity, Some("locked".into())));
                }
                self.units.insert(unit, at);
                Input::Opened(self.opened(unit, at))
            }
            Action::Look { id, look, .. } => Input::Looked {
                id,
                look,
                found: Settings::default(),
                log: None,
            },
            Action::Signal(id, _, Signal::TERM) => {
                self.told.push(self.left[self.units[&id.unit]].name);
                return None;
            }
            Action::Show { id, lines, .. } => {
                let name = self.left[self.units[&id.unit]].name;
                for line in lines {
                    if let Line::Reason(reason) = line {
                        self.reasons.remove(name);
                        let text = reason.map(|reason| (name, reason.encode()));
                        self.reasons.extend(text);
                    }
                }
                return None;
            }
            _ => return None,
        })
    }

    fn ends(&mut self, name: &str) {
        let named = |(_, at): &(&UnitId, &usize)| self.left[**at].name == name;
        let unit = *self.units.iter().find(named).unwrap().0;
        let role = Role::Main;
        self.feed(Input::AdoptedEnded(Id { unit, role }, Exit::Code(0)));
        self.rest();
    }
}

const fn pid(at: usize) -> Pid {
    10 + at as Pid
}

const fn identity(at: usize) -> Identity {
    Identity {
        dev: 1,
        ino: at as u64,
    }
}

#[test]
fn it_waits_on_whichever_of_the_two_is_opened_first() {
    for left in [[DB, WEB], [WEB, DB]] {
        let mut world = World::all(&left);
        assert!(world.told.is_empty());
        assert_eq!(world.reasons["db"], "stop waits for web\n");
        world.ends("web");
        assert_eq!(world.told, ["db"]);
        assert!(world.reasons.is_empty());
    }
}

/// It was told by a command, and is to stop for another reason, too: that is no second command.
#[test]
fn it_waits_though_one_that_it_follows_has_ended() {
    let net = Left {
        name: "net",
        needs: &[],
        has_ended: true,
        ..WEB
    };
    let db = Left {
        follows: &["net"],
        ..DB
    };
    let mut world = World::all(&[net, db, WEB]);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world.ends("web");
    assert_eq!(world.told, ["db"]);
}

/// What was shown stays until the successor knows better: it may be killed, too.
#[test]
fn what_was_shown_stays_until_all_is_read() {
    let mut world = World::new(ALL, &[DB, WEB]);
    world.feed(Input::ScanDue);
    world.feed(Input::More);
    assert_eq!(world.units.len(), 1);
    world.feed(Input::RoundOver);
    assert!(world.told.is_empty());
    assert_eq!(world.reasons["db"], "stop waits for web\n");
}

/// Nobody names it, so the next stop goes on at once.
#[test]
fn a_stop_that_is_called_off_while_names_are_read_leaves_no_trace() {
    let aside = Left { needs: &[], ..WEB };
    let mut world = World::new(ALL, &[DB, aside]);
    world.feed(Input::ScanDue);
    world.feed(Input::More);
    let unit = *world.units.keys().next().unwrap();
    let id = Id {
        unit,
        role: Role::Main,
    };
    world.feed(Input::Command(id, Command::Up));
    world.rest();
    assert!(world.told.is_empty());
    world.feed(Input::Command(id, Command::Down));
    world.rest();
    assert_eq!(world.told, ["db"]);
}

/// The file is not trusted: by itself it holds nothing for long.
#[test]
fn a_file_that_names_anybody_holds_nothing_when_all_is_read() {
    let nobody = Left {
        waited_for: Some("nobody"),
        ..DB
    };
    let aside = Left { needs: &[], ..WEB };
    let other = Left {
        name: "other",
        needs: &["web"],
        ..WEB
    };
    for left in [&[nobody][..], &[DB, aside], &[DB, aside, other]] {
        let world = World::all(left);
        assert_eq!(world.told, ["db"]);
        assert!(world.reasons.is_empty(), "{:?}", world.reasons);
    }
}

/// As a keeper does that has not let go of it yet.
#[test]
fn a_directory_that_cannot_be_opened_is_waited_for_but_not_for_long() {
    for (refusals, waits) in [(1, true), (6, true), (1000, false)] {
        let late = Left { refusals, ..WEB };
        let mut world = World::all(&[DB, late]);
        while world.units.len() < 2 && world.told.is_empty() {
            world.now = world.core.deadline().unwrap().max(world.now);
            assert!(world.now < Instant(5_000_000_000));
            world.feed(Input::Due);
            world.rest();
        }
        assert_eq!(world.told.is_empty(), waits, "{refusals}");
        assert_eq!(world.reasons.is_empty(), !waits);
    }
}

/// runsv knows no order.
#[test]
fn alone_it_does_not_wait() {
    let mut world = World::new(Scope::One { init: false }, &[DB]);
    world.units.insert(1, 0);
    world.feed(Input::Opened(world.opened(1, 0)));
    world.rest();
    assert_eq!(world.told, ["db"]);
    assert!(world.reasons.is_empty());
}
