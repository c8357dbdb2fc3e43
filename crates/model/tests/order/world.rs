//! A few services around a graph, and what must hold of them at every moment.
//!
//! A service here is what a real one is to the graph: wanted up or down, and idle,
//! starting, ready or dying. It obeys its gates as `model::service` does.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::graph::{Edges, Graph, Kind, Level, Verdict};

/// `(who, kind, whom)`, by the services' numbers.
pub type Arrow = (usize, Kind, usize);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command `u`.
    Up(usize),
    /// The command `d`.
    Down(usize),
    /// It became ready.
    Ready(usize),
    /// Its process ended.
    Exit(usize),
    /// Its gap is over.
    Due(usize),
    /// The files that say for whom it waits go, or come back.
    Files(usize),
    /// Its entry goes (it must be idle), or comes back.
    Entry(usize),
    /// One verdict, or a look for circles.
    Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Its directory was not opened yet.
    Closed,
    /// It may start by itself, or waits for its gap.
    Idle {
        due: bool,
    },
    Starting,
    Ready,
    /// It got its signal.
    Dying,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "a service has more of them")]
struct Service {
    is_enabled: bool,
    has_files: bool,
    wants_up: bool,
    phase: Phase,
    gate: bool,
    stop_gate: bool,
    /// It was told to stop, and has not got its signal.
    waits: bool,
    fails: bool,
    /// One that it follows has ended; it must be told.
    must_follow: bool,
    /// It was told, and has not ended.
    follows: bool,
}

const NEW: Service = Service {
    is_enabled: true,
    has_files: true,
    wants_up: true,
    phase: Phase::Idle { due: true },
    gate: true,
    stop_gate: true,
    waits: false,
    fails: false,
    must_follow: false,
    follows: false,
};

const CLOSED: Service = Service {
    phase: Phase::Closed,
    ..NEW
};

impl Service {
    fn is_there(&self) -> bool {
        !matches!(self.phase, Phase::Idle { .. } | Phase::Closed)
    }

    fn level(&self) -> Level {
        match self.phase {
            _ if !self.is_enabled => Level::Absent,
            Phase::Closed => Level::Opening,
            _ if self.waits => Level::Stopping,
            // It was told to stop.
            Phase::Ready if self.follows => Level::Starting,
            Phase::Ready => Level::Ready,
            Phase::Dying if !self.wants_up => Level::Stopping,
            Phase::Idle { .. } if !self.wants_up => Level::Down,
            Phase::Idle { .. } if !self.gate => Level::Held,
            _ if self.fails => Level::Failing,
            _ => Level::Starting,
        }
    }
}

#[derive(Clone, Debug, Hash)]
pub struct World {
    arrows: Vec<Arrow>,
    services: Vec<Service>,
    graph: Graph,
}

impl World {
    /// All are opened in their order, wanted up.
    pub fn new(count: usize, arrows: &[Arrow]) -> Self {
        let mut new = Self {
            arrows: arrows.to_vec(),
            services: vec![CLOSED; count],
            graph: Graph::default(),
        };
        for at in 0..count {
            new.graph.set_entry(&name(at), Level::Opening);
        }
        for at in 0..count {
            new.open(at);
        }
        new
    }

    /// What tells states apart.
    pub fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What can happen now.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (at, service) in self.services.iter().enumerate() {
            if !service.is_enabled {
                events.push(Event::Entry(at));
                continue;
            }
            match service.phase {
                Phase::Idle { due } => {
                    events.push(Event::Entry(at));
                    if !due {
                        events.push(Event::Due(at));
                    }
                }
                Phase::Starting => events.extend([Event::Ready(at), Event::Exit(at)]),
                Phase::Ready | Phase::Dying => events.push(Event::Exit(at)),
                Phase::Closed => {}
            }
            events.extend([Event::Up(at), Event::Down(at), Event::Files(at)]);
        }
        events.push(Event::Step);
        events
    }

    /// Lets it happen.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Up(at) => self.tell(at, true),
            Event::Down(at) => self.tell(at, false),
            Event::Ready(at) => {
                self.hear(at);
                if self.services[at].phase == Phase::Starting {
                    self.services[at].fails = false;
                    self.change(at, Phase::Ready);
                }
            }
            Event::Exit(at) => {
                self.hear(at);
                self.services[at].fails = self.services[at].phase == Phase::Starting;
                self.services[at].must_follow = false;
                self.services[at].follows = false;
                self.change(at, Phase::Idle { due: false });
            }
            Event::Due(at) => {
                self.hear(at);
                self.services[at].phase = Phase::Idle { due: true };
                self.start_if_due(at);
            }
            Event::Files(at) => {
                self.services[at].has_files ^= true;
                self.read_files(at);
                self.hear(at);
            }
            Event::Entry(at) if self.services[at].is_enabled => {
                self.services[at].is_enabled = false;
                self.graph.close(at as u64);
            }
            Event::Entry(at) => {
                self.services[at] = CLOSED;
                self.open(at);
            }
            Event::Step => drop(self.step()),
        }
    }

    /// All verdicts; then the gates must be as the edges and levels say.
    pub fn settle(&mut self) {
        while self.step() {}
        for at in 0..self.services.len() {
            let service = self.services[at];
            let open = self.holders(at).is_empty();
            if service.is_enabled {
                assert_eq!(service.gate, open, "the gate of {at} in {self:?}");
                let waits = service.waits && self.enders(at).is_empty();
                assert!(!waits, "{at} waits for nobody in {self:?}");
                assert!(!service.must_follow, "{at} was not told in {self:?}");
            }
        }
    }

    /// Settles, and brings copies down and up.
    pub fn check(&self) {
        let mut settled = self.clone();
        settled.settle();
        settled.clone().comes_down();
        settled.comes_up();
    }

    /// Whether all can be brought up: everybody is wanted up, and becomes ready.
    fn comes_up(&mut self) {
        for at in 0..self.services.len() {
            if !self.services[at].is_enabled {
                self.happen(Event::Entry(at));
            }
            self.happen(Event::Up(at));
        }
        for _ in 0..4 * self.services.len() + 4 {
            self.settle();
            for at in 0..self.services.len() {
                match self.services[at].phase {
                    Phase::Idle { due: false } => self.happen(Event::Due(at)),
                    Phase::Starting => self.happen(Event::Ready(at)),
                    Phase::Dying => self.happen(Event::Exit(at)),
                    Phase::Idle { due: true } | Phase::Ready | Phase::Closed => {}
                }
            }
        }
        let up = |service: &Service| service.phase == Phase::Ready && !service.waits;
        assert!(self.services.iter().all(up), "not all up: {self:?}");
    }

    /// Whether all can be brought down, each told once.
    fn comes_down(&mut self) {
        for at in 0..self.services.len() {
            if self.services[at].wants_up && self.services[at].is_enabled {
                self.happen(Event::Down(at));
            }
        }
        for _ in 0..2 * self.services.len() + 2 {
            self.settle();
            for at in 0..self.services.len() {
                if self.services[at].phase == Phase::Dying {
                    self.happen(Event::Exit(at));
                }
            }
        }
        let down = |service: &Service| !service.is_there();
        assert!(self.services.iter().all(down), "not all down: {self:?}");
    }

    fn open(&mut self, at: usize) {
        self.graph.open(at as u64, &name(at));
        self.services[at] = NEW;
        self.read_files(at);
        self.show(at);
        self.hear(at);
        self.start_if_due(at);
    }

    fn read_files(&mut self, at: usize) {
        let mut edges = Edges::NONE;
        for (who, kind, whom) in &self.arrows {
            if *who == at && self.services[at].has_files {
                edges.add(*kind, &name(*whom));
            }
        }
        self.graph.set_edges(at as u64, &edges);
    }

    fn step(&mut self) -> bool {
        if self.graph.has_more() {
            let verdict = self.graph.next_verdict();
            if let Some(verdict) = verdict {
                self.obey(&verdict);
            }
            return true;
        }
        let is_stale = self.graph.is_stale();
        if is_stale {
            self.graph.find_circles();
        }
        is_stale
    }

    /// What is due for a service comes before whatever happens to it.
    fn hear(&mut self, at: usize) {
        while let Some(verdict) = self.graph.next_for(at as u64) {
            self.obey(&verdict);
        }
    }

    fn obey(&mut self, verdict: &Verdict) {
        match *verdict {
            Verdict::Start(at, hold) => {
                let at = at as usize;
                self.services[at].gate = hold.is_none();
                self.show(at);
                self.start_if_due(at);
            }
            Verdict::Stop(at) => {
                let at = at as usize;
                self.services[at].stop_gate = true;
                if self.services[at].waits {
                    self.signal(at);
                }
            }
            Verdict::Follow(at) => {
                let at = at as usize;
                let service = &mut self.services[at];
                assert!(service.must_follow, "nobody ended for {at}: {self:?}");
                service.must_follow = false;
                service.follows = true;
                assert!(service.is_there() && !service.waits, "it stops already");
                if service.phase != Phase::Dying {
                    self.stop(at);
                }
            }
        }
    }

    fn tell(&mut self, at: usize, up: bool) {
        self.hear(at);
        let service = &mut self.services[at];
        service.wants_up = up;
        service.fails = false;
        let runs = matches!(service.phase, Phase::Starting | Phase::Ready);
        if up {
            service.waits = false;
            if runs {
                service.follows = false;
                self.graph.call_off(at as u64);
            }
            if let Phase::Idle { due } = &mut service.phase {
                *due = true;
            }
            self.show(at);
            self.start_if_due(at);
        } else if runs && !service.waits {
            self.stop(at);
        } else {
            // A second one does not wait, which is no matter of the graph.
            self.show(at);
        }
    }

    fn stop(&mut self, at: usize) {
        self.expect_followers(at);
        let waits = self.graph.begin_stop(at as u64).is_some();
        self.services[at].waits = waits;
        self.services[at].stop_gate = !waits;
        if waits {
            self.show(at);
        } else {
            self.signal(at);
        }
    }

    fn signal(&mut self, at: usize) {
        // While edges are new, circles are not known yet, and more is held than needs be.
        let enders = self.enders(at);
        assert!(enders.is_empty(), "{at} before {enders:?} in {self:?}");
        self.change(at, Phase::Dying);
    }

    fn start_if_due(&mut self, at: usize) {
        let service = self.services[at];
        if service.phase != (Phase::Idle { due: true }) || !service.wants_up || !service.gate {
            return;
        }
        let holders = self.holders(at);
        assert!(holders.is_empty(), "{at} without {holders:?} in {self:?}");
        self.change(at, Phase::Starting);
    }

    fn change(&mut self, at: usize, phase: Phase) {
        let was_ready = self.services[at].level() == Level::Ready;
        self.services[at].phase = phase;
        self.services[at].waits &= phase == Phase::Ready;
        if was_ready && phase != Phase::Ready {
            self.expect_followers(at);
        }
        self.show(at);
    }

    fn show(&mut self, at: usize) {
        let service = self.services[at];
        let (level, is_there) = (service.level(), service.is_there());
        self.graph.set_level(at as u64, level, is_there);
    }

    /// Being stopped, to stay down or because of another's end.
    fn is_ending(&self, at: usize) -> bool {
        let service = self.services[at];
        let is_told = service.must_follow || service.follows;
        service.is_there() && (is_told || service.level() == Level::Stopping)
    }

    /// The arrows of the files that are there now, each from who waits to whom.
    fn edges(&self) -> impl Iterator<Item = Arrow> {
        let read = |(who, ..): &&Arrow| {
            let service = self.services[*who];
            service.has_files && service.is_enabled && service.phase != Phase::Closed
        };
        let arrows = self.arrows.iter().filter(read);
        arrows.map(|(who, kind, whom)| match kind {
            Kind::Before => (*whom, Kind::After, *who),
            kind => (*who, *kind, *whom),
        })
    }

    /// Whom a service waits for, and whom these wait for, and so on: a bit for each.
    fn reach(&self, from: usize) -> u32 {
        let mut reached = 0_u32;
        let mut grown = 1 << from;
        for _ in 0..self.services.len() {
            for (who, _, whom) in self.edges().filter(|(who, ..)| grown >> *who & 1 == 1) {
                debug_assert_ne!(who, whom);
                reached |= 1 << whom;
            }
            grown |= reached;
        }
        reached
    }

    fn are_one(&self, one: usize, other: usize) -> bool {
        self.reach(one) >> other & 1 == 1 && self.reach(other) >> one & 1 == 1
    }

    /// Who holds the start of a service.
    fn holders(&self, at: usize) -> Vec<usize> {
        let holds = self.edges().filter(|(who, kind, whom)| {
            *who == at && self.services[*whom].level().holds(*kind) && !self.are_one(at, *whom)
        });
        holds.map(|(.., whom)| whom).collect()
    }

    /// Who is being stopped, waits for a service, and is to end before it does.
    fn enders(&self, at: usize) -> Vec<usize> {
        let ends = self.edges().filter(|(who, _, whom)| {
            *whom == at && self.is_ending(*who) && !self.are_one(at, *who)
        });
        ends.map(|(who, ..)| who).collect()
    }

    /// Those that follow a service and run are to be told.
    fn expect_followers(&mut self, at: usize) {
        for who in 0..self.services.len() {
            let follows = self.edges().any(|edge| edge == (who, Kind::Follows, at));
            let runs = self.services[who].is_there() && !self.is_ending(who);
            if follows && runs && !self.are_one(who, at) {
                self.services[who].must_follow = true;
            }
        }
    }
}

fn name(at: usize) -> Vec<u8> {
    vec![b'a' + at as u8]
}
