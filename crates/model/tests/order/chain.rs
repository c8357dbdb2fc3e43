//! A chain of thousands of services, each of which needs the one before it to be ready: what a
//! word costs is counted in inputs and actions, and concerns the two services alone.

use std::collections::{BTreeMap, BTreeSet};

use model::adoption::Inheritance;
use model::format::state::ready::Source;
use model::format::tai64n::Tai64n;
use model::graph::{Edges, Kind};
use model::moment::Moment;
use model::service::{Pid, Role, Want};
use model::settings::Settings;
use model::supervisor::{Action, Id, Input, Opened, Scope, Supervisor, UnitId};
use model::time::Instant;

use super::{identity, name};

const COUNT: usize = 3000;

/// Whoever is started gets a process; nothing ends.
struct Chain {
    core: Supervisor,
    now: Instant,
    units: BTreeMap<UnitId, usize>,
    /// In the order of the starts.
    started: Vec<(Id, Pid)>,
    inputs: usize,
    actions: usize,
    /// The services in whose directories something was done.
    concerned: BTreeSet<usize>,
}

impl Chain {
    fn new() -> Self {
        let mut chain = Self {
            core: Supervisor::new(Scope::All { init: false }),
            now: Instant(1_000_000_000),
            units: BTreeMap::new(),
            started: Vec::new(),
            inputs: 0,
            actions: 0,
            concerned: BTreeSet::new(),
        };
        chain.hand_in(Input::ScanDue);
        chain.finish();
        chain
    }

    fn hand_in(&mut self, input: Input) {
        self.inputs += 1;
        let (at, wall) = (self.now, Tai64n::from_unix(1_700_000_000, 0));
        self.core.handle(Moment { at, wall }, input);
        while let Some(action) = self.core.next() {
            self.actions += 1;
            if let Some(answer) = self.perform(action) {
                self.core.handle(Moment { at, wall }, answer);
            }
        }
    }

    /// All that follows at this moment.
    fn finish(&mut self) {
        while self.core.is_busy() {
            let more = self.core.has_more();
            self.hand_in(if more { Input::More } else { Input::RoundOver });
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        let at = action.unit().and_then(|unit| self.units.get(&unit));
        self.concerned.extend(at);
        Some(match action {
            Action::Scan => Input::Scanned {
                entries: (0..COUNT).map(|at| (name(at), identity(at))).collect(),
                next_look: None,
            },
            Action::LookForLiving(_) => Input::Living(vec![]),
            Action::Open {
                unit,
                name,
                identity,
            } => {
                let at = identity.ino as usize;
                self.units.insert(unit, at);
                Input::Opened(Opened {
                    unit,
                    name,
                    identity,
                    main: Inheritance::nothing(Role::Main, Want::Up),
                    log: None,
                    edges: edges(at),
                })
            }
            Action::ReadEdges(unit, then) => Input::EdgesRead(unit, edges(self.units[&unit]), then),
            Action::WatchEdges(unit) => Input::EdgesChanged(unit),
            Action::Look { id, look, .. } => Input::Looked {
                id,
                look,
                found: Settings {
                    run: true,
                    notification_fd: Some(3),
                    ..Settings::default()
                },
                log: None,
            },
            Action::Start(job, _) => {
                let pid = 100 + self.started.len() as Pid;
                self.started.push((job.id(), pid));
                Input::Started(job, pid)
            }
            _ => return None,
        })
    }
}

fn edges(at: usize) -> Edges {
    let mut edges = Edges::NONE;
    if let Some(before) = at.checked_sub(1) {
        edges.add(Kind::Needs, &name(before));
    }
    edges
}

/// Each word starts the next one, for what the first one cost.
fn go_through(mut chain: Chain, inputs_max: usize, actions_max: usize) {
    for at in 0..COUNT {
        assert_eq!(chain.started.len(), at + 1);
        let (id, pid) = chain.started[at];
        assert_eq!(chain.units[&id.unit], at);
        (chain.inputs, chain.actions) = (0, 0);
        chain.concerned.clear();
        chain.hand_in(Input::Ready(id, pid, Source::Descriptor));
        chain.finish();
        let Chain {
            inputs, actions, ..
        } = chain;
        assert!(
            inputs <= inputs_max && actions <= actions_max,
            "{at}: {inputs} inputs, {actions} actions"
        );
        let (first, last) = (chain.concerned.first(), chain.concerned.last());
        assert!(first >= Some(&at) && last <= Some(&(at + 1)));
    }
}

#[test]
fn a_word_in_a_chain_of_thousands_concerns_the_next_one_alone() {
    go_through(Chain::new(), 4, 4);
}

/// Then there are reasons and watches besides.
#[test]
fn so_it_does_where_all_are_held_for_long() {
    let mut chain = Chain::new();
    chain.now = chain.now.plus_ms(60_000);
    while chain.core.deadline().is_some_and(|at| at <= chain.now) {
        chain.hand_in(Input::Due);
    }
    chain.finish();
    assert_eq!(chain.concerned.len(), COUNT);
    go_through(chain, 4, 5);
}
