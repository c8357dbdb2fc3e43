//! Stops of a service that says how it wants to be stopped, explored completely: every
//! state that any sequence of events can reach within a few turns of the clock, and what
//! its process gets. What is asked for is remembered here, too, and held against the
//! actions.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{HashMap, VecDeque};

use model::command::{Command, Sig};
use model::restart::Cause;
use model::service::{Action, Event, Exit, Pid, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::time::Instant;

/// The two times differ, so that one is not taken for the other.
const KILL_MS: u32 = 6000;
const FINISH_MS: u32 = 4000;
/// So far goes the clock in one turn.
const TURN_MS: u64 = 2000;
const TURNS: u64 = 7;
const START: Instant = Instant(10_000_000_000);
const END: Instant = START.plus_ms(TURNS * TURN_MS);
const EXIT: Exit = Exit::Code(1);

/// What a directory asks for.
fn asks(scripts: &[u8]) -> Settings {
    Settings {
        finish: true,
        scripts: scripts.iter().copied().collect(),
        down_signal: Signal::new(37),
        reload_signal: Some(Signal::USR1),
        timeout_kill: Some(KILL_MS),
        timeout_finish: Some(FINISH_MS),
        ..Settings::default()
    }
}

/// What is known of the present process from the actions and events alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Seen {
    pid: Pid,
    is_finish: bool,
    /// Its time began then.
    since: Option<Instant>,
    kills: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    service: Service,
    now: Instant,
    seen: Seen,
    /// Looks and starts that are to be answered at once, in this order.
    asked: [Option<Asked>; 3],
    /// A `control/t` that runs, and for which process.
    script: Option<Pid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Start,
    Finish,
    /// Which one, and whether it is a stop or the word `t`.
    Signal(u8, Pid),
    Stop(Pid),
    Stopped(Pid),
    End,
    Begin,
}

impl World {
    fn new(want: Want) -> Self {
        Self {
            service: Service::new(Role::Main, want),
            now: START,
            seen: Seen::default(),
            asked: [None; 3],
            script: None,
        }
    }

    /// What may happen now.
    fn events(&self) -> Vec<(Instant, Event)> {
        let at = |event| (self.now, event);
        if let Some(asked) = self.asked[0] {
            return self.answers(asked).into_iter().map(at).collect();
        }
        let commands = [
            Command::Up,
            Command::Down,
            Command::Once,
            Command::Exit,
            Command::Signal(Sig::Term),
            Command::Signal(Sig::Hup),
            Command::Signal(Sig::Pause),
        ];
        let mut events: Vec<_> = commands.map(Event::Command).map(at).into();
        if self.seen.pid != 0 {
            events.push(at(Event::Exited(self.seen.pid, EXIT)));
        }
        if let Some(pid) = self.script {
            for handled in [false, true] {
                let sig = Sig::Term;
                events.push(at(Event::ScriptEnded { sig, pid, handled }));
            }
        }
        // Time never jumps over a deadline.
        let turn = self.now.plus_ms(TURN_MS);
        if turn <= END {
            let due = self.service.deadline().filter(|due| *due > self.now);
            events.push((due.map_or(turn, |due| due.min(turn)), Event::Tick));
        }
        events
    }

    fn answers(&self, asked: Asked) -> Vec<Event> {
        // A script may still run for an earlier process.
        let next = if self.script == Some(101) { 102 } else { 101 };
        let looked = |look, scripts: &[u8]| Event::Looked(look, asks(scripts));
        match asked {
            Asked::Start | Asked::Finish => vec![Event::Started(next)],
            Asked::Begin => vec![looked(Look::Start, b"")],
            Asked::End => {
                let grows = self.service.streak().may_grow();
                vec![looked(
                    Look::End {
                        exit: EXIT,
                        cause: Cause::Itself,
                        grows,
                    },
                    b"",
                )]
            }
            Asked::Signal(letter, pid) => {
                let sig = Sig::ALL.into_iter().find(|s| s.letter() == letter);
                let look = Look::Signal(sig.unwrap(), pid);
                vec![looked(look, b""), looked(look, b"t")]
            }
            Asked::Stop(pid) => {
                let look = Look::Stop(b'd', pid);
                vec![looked(look, b""), looked(look, b"t")]
            }
            Asked::Stopped(pid) => vec![looked(Look::Stopped(b'd', pid), b"")],
        }
    }

    fn step(mut self, now: Instant, event: Event) -> Result<Self, String> {
        if self.asked[0].is_some() {
            self.asked.rotate_left(1);
            self.asked[2] = None;
        }
        let (next, actions) = self.service.step(now, event);
        let before = self.seen;
        self.now = now;
        self.service = next;
        match event {
            Event::Exited(pid, _) if pid == before.pid => self.seen = Seen::default(),
            Event::Started(pid) => {
                self.seen.pid = pid;
                self.seen.is_finish = matches!(next.state(), State::Finish { .. });
                self.seen.since = self.seen.is_finish.then_some(now);
            }
            Event::ScriptEnded { pid, handled, .. } => {
                self.script = None;
                // The script may be asked for again.
                let goes_on = actions
                    .iter()
                    .any(|a| matches!(a, Action::Look(Look::Signal(..) | Look::Stop(..))));
                if handled && pid == before.pid && !goes_on {
                    self.seen.since.get_or_insert(now);
                }
            }
            _ => {}
        }
        let mut kills = 0;
        for action in &actions {
            let asked = match *action {
                Action::Look(look) => Some(match look {
                    Look::Start | Look::Run | Look::SetUp => Asked::Begin,
                    Look::Signal(sig, pid) => Asked::Signal(sig.letter(), pid),
                    Look::Stop(_, pid) => Asked::Stop(pid),
                    Look::Stopped(_, pid) => Asked::Stopped(pid),
                    Look::End { .. } => Asked::End,
                    Look::Begun | Look::Logger | Look::Adopted(_) | Look::Ends(..) => {
                        return Err(format!("{look:?}"));
                    }
                }),
                Action::StartRun(_) => Some(Asked::Start),
                Action::StartFinish(..) => Some(Asked::Finish),
                Action::Script(_, pid) => {
                    self.script = Some(pid);
                    None
                }
                Action::Signal(pid, signal) => {
                    self.signal(pid, signal)?;
                    kills += u8::from(signal == Signal::KILL);
                    None
                }
                _ => None,
            };
            if asked.is_some() {
                let free = self.asked.iter().position(Option::is_none);
                let free = free.ok_or("too many questions")?;
                self.asked[free] = asked;
            }
        }
        self.seen.kills += kills;
        self.check(before, kills)
    }

    fn signal(&mut self, pid: Pid, signal: Signal) -> Result<(), String> {
        if pid != self.seen.pid {
            return Err(format!("{signal} for {pid}, which is not there"));
        }
        // `./finish` is not the program that the signals were chosen for.
        if !self.seen.is_finish {
            if [Signal::TERM, Signal::HUP].contains(&signal) {
                return Err(format!("{signal} in place of the other one"));
            }
            if Some(signal) == Signal::new(37) {
                self.seen.since.get_or_insert(self.now);
            }
        }
        Ok(())
    }

    fn check(self, before: Seen, kills: u8) -> Result<Self, String> {
        let time_ms = if self.seen.is_finish {
            FINISH_MS
        } else {
            KILL_MS
        };
        let due = self.seen.since.map(|since| since.plus_ms(time_ms.into()));
        let is_due = due.is_some_and(|due| due <= self.now);
        if self.seen.pid == 0 && kills > 0 {
            return Err("KILL for nobody".into());
        }
        if kills > 0 && (before.kills > 0 || !is_due || due != Some(self.now)) {
            return Err(format!("KILL at the wrong time: it was due at {due:?}"));
        }
        if is_due && self.seen.kills == 0 {
            return Err(format!("no KILL, which was due at {due:?}"));
        }
        // What a successor goes by.
        let is_told = self.seen.is_finish || self.service.got_term();
        if self.seen.since.is_some() && !is_told {
            return Err("a successor would give no time to this process".into());
        }
        if let Some(due) = due.filter(|_| self.seen.kills == 0) {
            let wakes = self.service.deadline();
            if wakes.is_none_or(|wakes| wakes > due) {
                return Err(format!("nobody wakes at {due:?}: {wakes:?}"));
            }
            if self.service.kill_at() != Some(due) {
                return Err(format!(
                    "another time is told: {:?}",
                    self.service.kill_at()
                ));
            }
        }
        Ok(self)
    }
}

/// Every world, and what led there; the check is made on the way.
fn explore() -> HashMap<World, Vec<Event>> {
    let mut seen = HashMap::new();
    let mut queue = VecDeque::new();
    for want in [Want::Up, Want::Down] {
        let world = World::new(want);
        seen.insert(world, vec![]);
        queue.push_back(world);
    }
    while let Some(world) = queue.pop_front() {
        let way = seen[&world].clone();
        for (now, event) in world.events() {
            let mut longer = way.clone();
            longer.push(event);
            let next = world.step(now, event);
            let next = next
                .unwrap_or_else(|e| panic!("{e}\n  at {now:?} in {world:?}\n  after {longer:?}"));
            // One run, its end and the next one show all that there is.
            if next.service.streak().lives() > 1 {
                continue;
            }
            seen.entry(next).or_insert_with(|| {
                queue.push_back(next);
                longer
            });
        }
    }
    seen
}

#[test]
fn kill_comes_once_and_in_time() {
    let seen = explore();
    assert!(seen.len() > 1000, "{} states", seen.len());
    let killed = |is_finish: bool| {
        let mut worlds = seen.keys().map(|world| world.seen);
        worlds.any(|seen| seen.is_finish == is_finish && seen.kills == 1)
    };
    assert!(killed(false) && killed(true));
    // The stop goes on when somebody says u meanwhile.
    let goes_on =
        |world: &World| world.service.want() == Want::Up && world.service.kill_at().is_some();
    assert!(seen.keys().any(goes_on));
    println!("{} states", seen.len());
}
