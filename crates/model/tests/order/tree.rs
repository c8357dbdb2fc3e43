//! The supervisor with two hundred services that wait for each other. Commands come, processes
//! end, and the supervisor is killed between any two of its actions. Whatever happens, nobody
//! starts without those that it needs, and nobody gets its stop signal before those that wait
//! for it and are being stopped; when nothing more happens, all run.

use std::collections::{BTreeMap, BTreeSet};

use model::adoption::Inheritance;
use model::command::Command;
use model::facts::{Facts, Files, Line, StateFiles};
use model::format::adopt::Mark;
use model::format::state::reason::Reason;
use model::format::tai64n::Tai64n;
use model::graph::{Edges, Kind};
use model::moment::Moment;
use model::process::Program;
use model::scan::Identity;
use model::service::{Event, Exit, Pid, Role, Service, State, Want};
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Action, Id, Input, Job, Opened, Scope, Supervisor, UnitId};
use model::time::Instant;

use super::{Chance, identity, name};

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Plain,
    Milestone,
    Probe,
}

/// What outlives a supervisor, and what it is for the present one.
struct Tree {
    count: usize,
    sorts: Vec<Sort>,
    /// From who waits to whom.
    edges: Vec<Vec<(Kind, usize)>>,
    reach: Vec<BTreeSet<usize>>,
    /// The process of each service.
    living: BTreeMap<usize, Pid>,
    /// The process that the record names.
    records: BTreeMap<usize, Pid>,
    /// What the status says.
    wants_up: Vec<bool>,
    got_term: BTreeMap<usize, Pid>,
    /// The runs whose records say that a stop is under way.
    marked: BTreeMap<usize, Pid>,
    /// For whom stops wait, as the files say.
    reasons: BTreeMap<usize, String>,
    /// Those that the present supervisor found so.
    waited: BTreeSet<usize>,
    had_term: BTreeSet<Pid>,
    /// Who was told to stop, and has not ended.
    stopping: BTreeSet<usize>,
    next_pid: Pid,
    now: Instant,
    core: Supervisor,
    units: BTreeMap<UnitId, usize>,
    adopted: BTreeSet<usize>,
    chance: Chance,
    /// It is killed before one action of so many.
    kills: Option<usize>,
    has_begun: bool,
}

impl Tree {
    fn new(seed: u64, count: usize) -> Self {
        let mut chance = Chance(seed);
        let sort = |n: usize| match n % 10 {
            7 => Sort::Milestone,
            8 => Sort::Probe,
            _ => Sort::Plain,
        };
        let sorts: Vec<Sort> = (0..count).map(sort).collect();
        let mut edges = vec![vec![]; count];
        for who in 1..count {
            for _ in 0..=chance.below(3) {
                let kind = [Kind::Needs, Kind::Wants, Kind::After, Kind::Follows][chance.below(4)];
                // Most wait for an earlier one, and some make circles.
                let is_back = chance.below(40) != 0;
                let whom = if is_back {
                    chance.below(who)
                } else {
                    chance.below(count)
                };
                if whom != who {
                    edges[who].push((kind, whom));
                }
            }
            if sorts[who] == Sort::Milestone {
                edges[who].push((Kind::Needs, who - 1));
            }
        }
        let reach = (0..count).map(|at| reach(&edges, at)).collect();
        Self {
            count,
            sorts,
            edges,
            reach,
            living: BTreeMap::new(),
            records: BTreeMap::new(),
            wants_up: vec![true; count],
            got_term: BTreeMap::new(),
            marked: BTreeMap::new(),
            reasons: BTreeMap::new(),
            waited: BTreeSet::new(),
            had_term: BTreeSet::new(),
            stopping: BTreeSet::new(),
            next_pid: 100,
            now: Instant(1_000_000_000_000),
            core: Supervisor::new(Scope::All { init: false }),
            units: BTreeMap::new(),
            adopted: BTreeSet::new(),
            chance,
            kills: None,
            has_begun: false,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            wall: Tai64n::from_unix(1_700_000_000, 0),
        }
    }

    /// A successor.
    fn begin(&mut self) {
        self.core = Supervisor::new(Scope::All { init: false });
        self.units.clear();
        self.adopted.clear();
        self.waited.clear();
        // A stop that is in no file is forgotten. Whose status says up is stopped because of
        // another's end, or was told to start again.
        let (got_term, marked, living) = (&self.got_term, &self.marked, &self.living);
        let wants_up = &self.wants_up;
        let is_known = |at: &usize| {
            let signs = [got_term, marked].map(|of| of.get(at));
            !wants_up[*at] && signs.contains(&living.get(at))
        };
        self.stopping.retain(|at| is_known(at));
        self.has_begun = true;
        self.feed(Input::ScanDue);
    }

    /// Hands in an input; what follows may be cut short.
    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.core.handle(self.moment(), input);
            while let Some(action) = self.core.next() {
                let kills = self.kills.is_some_and(|of| self.chance.below(of) == 0);
                if kills {
                    return self.begin();
                }
                if let Some(answer) = self.perform(action, &mut inputs) {
                    self.core.handle(self.moment(), answer);
                }
            }
        }
    }

    /// Until there is nothing to do, now or in the next minute.
    fn rest(&mut self) {
        let until = self.now.plus_ms(60_000);
        for _ in 0..20_000 {
            if self.core.has_more() {
                self.feed(Input::More);
            } else if self.core.is_busy() {
                self.feed(Input::RoundOver);
            } else if let Some(at) = self.core.deadline().filter(|at| *at <= until) {
                self.now = self.now.max(at);
                self.feed(Input::Due);
            } else {
                return;
            }
        }
        panic!("it never rests");
    }

    fn unit_of(&self, at: usize) -> Option<UnitId> {
        let mut units = self.units.iter();
        units.find(|(_, of)| **of == at).map(|(unit, _)| *unit)
    }

    fn id_of(&self, at: usize) -> Option<Id> {
        let role = Role::Main;
        self.unit_of(at).map(|unit| Id { unit, role })
    }

    fn perform(&mut self, action: Action, later: &mut Vec<Input>) -> Option<Input> {
        Some(match action {
            Action::Scan => Input::Scanned {
                entries: (0..self.count).map(|at| (name(at), identity(at))).collect(),
                next_look: None,
            },
            Action::LookForLiving(places) => {
                let place = |(_, identity): &(_, Identity)| *identity;
                let lives = |i: &Identity| self.living.contains_key(&(i.ino as usize));
                Input::Living(places.iter().map(place).filter(lives).collect())
            }
            Action::Open {
                unit,
                name,
                identity,
            } => {
                let at = identity.ino as usize;
                self.units.insert(unit, at);
                let main = self.found(at);
                Input::Opened(Opened {
                    unit,
                    name,
                    identity,
                    main,
                    log: None,
                    edges: self.edges_of(at),
                })
            }
            Action::ReadEdges(unit, then) => {
                let edges = self.edges_of(*self.units.get(&unit)?);
                Input::EdgesRead(unit, edges, then)
            }
            Action::Look { id, look, .. } => {
                let sort = self.sorts[*self.units.get(&id.unit)?];
                let found = Settings {
                    run: sort == Sort::Plain,
                    check: sort == Sort::Probe,
                    milestone: sort == Sort::Milestone,
                    ..Settings::default()
                };
                let found = Box::new(found);
                Input::Looked {
                    id,
                    look,
                    found: *found,
                    log: None,
                }
            }
            Action::Start(job, _) => {
                let at = *self.units.get(&job.id().unit)?;
                let pid = self.next_pid;
                self.next_pid += 1;
                if let Job::Check(_) = job {
                    let exit = Exit::Code(self.chance.below(2) as u8);
                    later.push(Input::ChildEnded(pid, exit, self.now));
                } else {
                    self.check_start(at);
                    assert_eq!(self.living.insert(at, pid), None, "{at} runs twice");
                    self.records.insert(at, pid);
                    self.adopted.remove(&at);
                    self.stopping.remove(&at);
                }
                Input::Started(job, pid)
            }
            Action::Signal(id, pid, Signal::TERM) => {
                let at = *self.units.get(&id.unit)?;
                assert_eq!(self.living.get(&at), Some(&pid));
                // Who got one already does not wait for another.
                if self.had_term.insert(pid) {
                    self.check_signal(at);
                }
                // It takes its time.
                return None;
            }
            Action::Show {
                id,
                facts,
                files,
                lines,
            } => {
                let at = *self.units.get(&id.unit)?;
                self.show(at, &facts, files, lines);
                return None;
            }
            Action::Dismiss(unit) | Action::Release(unit) => {
                let at = self.units.remove(&unit)?;
                self.records.remove(&at);
                return None;
            }
            _ => return None,
        })
    }

    fn show(&mut self, at: usize, facts: &Facts, files: Files, lines: Vec<Line>) {
        if files.state != StateFiles::None {
            self.wants_up[at] = facts.want_up;
            self.got_term.remove(&at);
            if facts.got_term {
                self.got_term.insert(at, facts.pid);
            }
        }
        if files.mark {
            self.marked.remove(&at);
            if facts.mark == Mark::Stop {
                self.marked.insert(at, facts.pid);
            }
        }
        for line in lines {
            if let Line::Reason(reason) = line {
                self.reasons.remove(&at);
                if let Some(Reason::Stop(name)) = reason {
                    self.reasons.insert(at, name);
                }
            }
        }
    }

    fn edges_of(&self, at: usize) -> Edges {
        let mut edges = Edges::NONE;
        for (kind, whom) in &self.edges[at] {
            edges.add(*kind, &name(*whom));
        }
        edges
    }

    fn found(&mut self, at: usize) -> Inheritance {
        let want = if self.wants_up[at] {
            Want::Up
        } else {
            Want::Down
        };
        let nothing = Inheritance::nothing(Role::Main, want);
        let Some(pid) = self.records.get(&at).copied() else {
            return nothing;
        };
        let since = Instant(1);
        let got_term = self.got_term.get(&at) == Some(&pid);
        let program = Program::Run;
        let service = Service::adopt_run(Role::Main, want, program, pid, since, false, got_term);
        let lives = self.living.get(&at) == Some(&pid);
        if lives {
            self.adopted.insert(at);
        } else {
            self.records.remove(&at);
        }
        let is_marked = self.marked.get(&at) == Some(&pid);
        let stops = lives && is_marked && want == Want::Down && !got_term;
        let stop_waited_for = self.reasons.get(&at).filter(|_| stops).cloned();
        if stop_waited_for.is_some() {
            self.waited.insert(at);
        } else {
            self.reasons.remove(&at);
        }
        let missed = match (lives, stops) {
            (false, _) => Some(Event::Exited(pid, Exit::Unknown)),
            (true, true) => Some(Event::Command(Command::Down)),
            (true, false) => None,
        };
        Inheritance {
            service,
            adopted: lives,
            mark: if is_marked { Mark::Stop } else { Mark::None },
            missed,
            stop_waited_for,
            ..nothing
        }
    }

    fn are_one(&self, one: usize, other: usize) -> bool {
        self.reach[one].contains(&other) && self.reach[other].contains(&one)
    }

    fn is_ready(&self, at: usize) -> bool {
        let service = self.id_of(at).and_then(|id| self.core.service(id));
        let is_done = service.is_some_and(|s| matches!(s.state(), State::Done { .. }));
        is_done || self.living.contains_key(&at)
    }

    /// A probe that no service waits for: those that name it have started.
    fn is_asked_by_nobody(&self, at: usize) -> bool {
        let names = |who: &usize| self.edges[*who].iter().any(|(_, whom)| *whom == at);
        let mut names = (0..self.count).filter(names);
        let is_probe = |at: usize| {
            let service = self.id_of(at).and_then(|id| self.core.service(id));
            service.is_some_and(|s| s.state() == State::Probe)
        };
        names.all(|who| self.is_ready(who) || is_probe(who)) && is_probe(at)
    }

    fn check_start(&self, at: usize) {
        for (kind, whom) in &self.edges[at] {
            let is_needed = matches!(kind, Kind::Needs | Kind::Follows);
            if is_needed && !self.are_one(at, *whom) {
                assert!(self.is_ready(*whom), "{at} starts without {whom}");
            }
        }
    }

    fn check_signal(&self, at: usize) {
        for who in &self.stopping {
            let waits = self.edges[*who].iter().any(|(_, whom)| *whom == at);
            // What is not open yet is not known to wait, but a stop that waited waits for it.
            let is_open = self.unit_of(*who).is_some() || self.waited.contains(&at);
            let is_known = self.living.contains_key(who) && is_open;
            let ends_first = waits && is_known && !self.are_one(at, *who);
            let service = self.id_of(*who).and_then(|id| self.core.service(id));
            assert!(
                !ends_first,
                "{at} gets its signal before {who} has ended: {service:?}, {:?}",
                self.edges[*who]
            );
        }
    }

    fn command(&mut self, at: usize, command: Command) {
        let Some(id) = self.id_of(at) else { return };
        let was_up = self.core.service(id).is_some_and(|s| s.want() == Want::Up);
        if command == Command::Down && (!was_up || self.stopping.contains(&at)) {
            // A second one does not wait.
            return;
        }
        if command == Command::Down && self.living.contains_key(&at) {
            self.stopping.insert(at);
        }
        if command == Command::Up {
            self.waited.remove(&at);
            self.stopping.remove(&at);
        }
        let before = self.core.service(id).copied();
        self.feed(Input::Command(id, command));
        // Whether a successor knows of it depends on when the other one was killed.
        if self.id_of(at) != Some(id) || before.is_none() {
            self.stopping.remove(&at);
        }
        if let Some(id) = self.id_of(at) {
            self.feed(Input::Obeyed { id, release: false });
        }
    }

    fn ends(&mut self, at: usize) {
        let Some(pid) = self.living.remove(&at) else {
            return;
        };
        self.stopping.remove(&at);
        match self.id_of(at) {
            Some(id) if self.adopted.remove(&at) => {
                self.records.remove(&at);
                self.feed(Input::AdoptedEnded(id, Exit::Unknown));
            }
            Some(_) => {
                self.records.remove(&at);
                self.feed(Input::ChildEnded(pid, Exit::Code(0), self.now));
            }
            None => {}
        }
    }

    /// Something happens.
    fn go_on(&mut self) {
        let at = self.chance.below(self.count);
        match self.chance.below(8) {
            0 => self.command(at, Command::Down),
            1 => self.command(at, Command::Up),
            2 | 3 => self.ends(at),
            4 => self.feed(Input::RoundOver),
            5 => {
                self.now = self.now.plus_ms(300);
                while self.core.deadline().is_some_and(|due| due <= self.now) {
                    self.feed(Input::Due);
                }
            }
            _ => {
                for _ in 0..self.chance.below(50) {
                    if self.core.has_more() {
                        self.feed(Input::More);
                    }
                }
            }
        }
    }

    /// All that are dying die, until nobody is told to stop any more.
    fn settle(&mut self) {
        for _ in 0..self.count {
            self.rest();
            let dying: Vec<usize> = self.living.keys().copied().collect();
            let got_term = |at: &usize| {
                let service = self.id_of(*at).and_then(|id| self.core.service(id));
                service.is_some_and(Service::got_term)
            };
            let dying: Vec<usize> = dying.into_iter().filter(got_term).collect();
            if dying.is_empty() {
                return;
            }
            for at in dying {
                self.ends(at);
            }
        }
    }
}

fn reach(edges: &[Vec<(Kind, usize)>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for (_, whom) in &edges[at] {
            if reached.insert(*whom) {
                next.push(*whom);
            }
        }
    }
    reached
}

#[test]
fn two_hundred_services_and_supervisors_that_are_killed() {
    for seed in 1..=40 {
        let mut tree = Tree::new(seed, 200);
        tree.begin();
        tree.kills = Some(400);
        for _ in 0..3000 {
            tree.go_on();
        }
        tree.kills = None;
        tree.settle();
        for at in 0..tree.count {
            tree.command(at, Command::Up);
        }
        tree.settle();
        let is_up = |at: &usize| tree.is_ready(*at) || tree.is_asked_by_nobody(*at);
        let idle: Vec<usize> = (0..tree.count).filter(|at| !is_up(at)).collect();
        assert!(idle.is_empty(), "seed {seed}: {idle:?} do not run");
        // The way down.
        tree.stopping = (0..tree.count).collect();
        tree.feed(Input::HangUp);
        tree.settle();
        assert!(tree.living.is_empty(), "seed {seed}: {:?}", tree.living);
        assert_eq!(tree.core.exit_code(tree.now), Some(111));
    }
}
