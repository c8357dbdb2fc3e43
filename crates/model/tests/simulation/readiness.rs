//! Services that say themselves when they are ready. What they say stays in a pipe or a queue,
//! which live as long as the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::format::notify::Notify;
use model::format::notify_message::Message;
use model::format::state::ready::Source;
use model::service::{Event, Pid, Program, Role, Running, State};
use model::settings::Settings;
use model::signal::Signal;
use model::supervisor::{Id, Input};
use model::time::Instant;

use super::kernel::{Dir, KILL_MS, Place, Process, Runs};
use super::needs::Names;
use super::shell::{Shell, Stop};
use super::world::{Game, World};

/// What a service that limits its start asks for.
pub const UP_MS: u32 = 8000;
/// When a run that was taken over is taken for ready, if there is no `timeout-up`.
const ADOPTED_MS: u64 = 30_000;

/// How a service says that it is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// It says nothing.
    #[default]
    None,
    Descriptor,
    Message,
}

/// What a directory has to do with readiness.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    pub way: Way,
    /// `timeout-up` is there.
    pub limited: bool,
    pub names: Names,
}

/// What a process has said of itself.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// When it said that it is ready, before it said anything else.
    pub ready: Option<Instant>,
    /// When it said that it ends.
    pub stops: Option<Instant>,
    /// Messages that wait to be taken: whether each says that it is ready.
    queue: VecDeque<bool>,
    /// A newline is in the pipe.
    newline: bool,
    /// It has closed its end of the pipe.
    closed: bool,
    /// When it must be ready.
    due: Option<Instant>,
    /// It was not, and has got a signal for that; whoever takes it over goes on with that.
    is_ending: bool,
    /// When the last supervisor that did not start it took it over.
    adopted: Option<Instant>,
    /// When the first one did.
    first_adopted: Option<Instant>,
}

/// What happened to services that others wait for.
#[derive(Default)]
pub struct Past {
    /// Those that somebody told to do something since their last start.
    pub told: BTreeSet<Dir>,
    /// When a start was last looked for.
    looked: BTreeMap<Dir, Instant>,
    /// Those that were ready once in this boot.
    pub ready: BTreeSet<Dir>,
    /// Which directories had a name.
    pub names: BTreeMap<Vec<u8>, BTreeSet<Dir>>,
}

impl Manners {
    pub fn random(bits: u64) -> Self {
        let bit = |n: u32| bits >> (3 * n) & 7;
        Self {
            way: match bit(0) {
                0..3 => Way::Descriptor,
                3..6 => Way::Message,
                _ => Way::None,
            },
            limited: bit(1) < 5,
            names: Names::random(bits),
        }
    }

    /// What its directory says.
    pub fn settings(self, rest: Settings) -> Settings {
        let notify = Notify {
            ready: true,
            ..Notify::default()
        };
        Settings {
            notification_fd: (self.way == Way::Descriptor).then_some(3),
            notify: (self.way == Way::Message).then_some(notify),
            timeout_up: self.limited.then_some(UP_MS),
            ..rest
        }
    }
}

impl Words {
    /// Whether it may have been stopped because it was not ready in time.
    fn is_overdue(&self, now: Instant) -> bool {
        let in_time = |due| self.ready.is_some_and(|at| at < due);
        self.adopted.is_none() && self.due.is_some_and(|due| due <= now && !in_time(due))
    }
}

impl Words {
    /// Whether it was not ready in time, and then had its time to end (a script may have been
    /// asked to end it).
    pub fn had_its_time(&self, now: Instant) -> bool {
        self.is_overdue(now)
            && self
                .due
                .is_some_and(|due| due.plus_ms(KILL_MS.into()) <= now)
    }
}

impl Past {
    /// The names of the present count for what is started later.
    pub fn note_names(&mut self, scan: &BTreeMap<Vec<u8>, Dir>) {
        for (name, dir) in scan {
            self.names.entry(name.clone()).or_default().insert(*dir);
        }
    }

    pub fn reboot(&mut self) {
        self.ready.clear();
        self.looked.clear();
    }
}

impl World {
    /// A start is looked for.
    pub fn note_look(&mut self, dir: Dir) {
        let now = self.kernel.now;
        self.past.looked.insert(dir, now);
    }

    pub fn manners(&self, dir: Dir) -> Manners {
        let kind = self.kernel.kinds.get(&dir).copied();
        kind.unwrap_or_default().manners
    }

    /// Somebody told a service to do something.
    pub fn touch(&mut self, dir: Dir) {
        self.touched.insert(dir);
        self.past.told.insert(dir);
    }

    /// A run has got as far as its exec, and may say its word at once.
    pub fn begins(&mut self, pid: Pid) {
        let Some(Runs::Run((dir, Role::Main))) = self.kernel.processes.get(&pid).map(|p| p.runs)
        else {
            return;
        };
        let manners = self.manners(dir);
        let due = self.past.looked.get(&dir).filter(|_| manners.limited);
        let due = due.map(|at| at.plus_ms(UP_MS.into()));
        if manners.way == Way::None {
            self.past.ready.insert(dir);
        } else {
            if let Some(process) = self.kernel.processes.get_mut(&pid) {
                process.words.due = due;
            }
            if self.chance.one_in(4) {
                self.say(pid, false, self.kernel.now.0.is_multiple_of(2));
            }
        }
    }

    /// A run says that it is ready, or that it ends.
    pub fn say(&mut self, pid: Pid, stops: bool, closes: bool) {
        let now = self.kernel.now;
        let runs = self.kernel.processes.get(&pid).map(|p| p.runs);
        let Some(Runs::Run((dir, Role::Main))) = runs else {
            return;
        };
        let way = self.manners(dir).way;
        let Some(process) = self.kernel.processes.get_mut(&pid) else {
            return;
        };
        let words = &mut process.words;
        match way {
            Way::None => return,
            Way::Descriptor if words.closed || stops => return,
            Way::Descriptor => (words.newline, words.closed) = (true, closes),
            Way::Message => words.queue.push_back(!stops),
        }
        self.note(|| {
            format!(
                "  {pid} says that it {}",
                if stops { "ends" } else { "is ready" }
            )
        });
        if stops {
            words_of(self, pid).stops.get_or_insert(now);
        } else if words_of(self, pid).stops.is_none() {
            words_of(self, pid).ready.get_or_insert(now);
            self.past.ready.insert(dir);
        }
    }

    /// Whoever has not said that it is ready does.
    pub fn all_say(&mut self, pid: Pid) -> bool {
        let Some(process) = self.kernel.processes.get(&pid) else {
            return false;
        };
        let Runs::Run((dir, Role::Main)) = process.runs else {
            return false;
        };
        let words = &process.words;
        let is_silent = words.ready.is_none() && words.stops.is_none();
        if !is_silent || process.starting.is_some() || self.manners(dir).way == Way::None {
            return false;
        }
        self.say(pid, false, pid.is_multiple_of(2));
        true
    }
}

fn words_of(world: &mut World, pid: Pid) -> &mut Words {
    let process = world.kernel.processes.get_mut(&pid);
    &mut process.expect("it speaks").words
}

impl Game {
    /// A run says something, at any moment of its life.
    pub fn speak(&mut self, n: u32) {
        let runs = |p: &Process| matches!(p.runs, Runs::Run((_, Role::Main)));
        let can = |p: &Process| p.zombie.is_none() && p.starting.is_none() && !p.hangs && runs(p);
        let processes = self.world.kernel.processes.iter();
        let pids: Vec<Pid> = processes
            .filter(|(_, p)| can(p))
            .map(|(pid, _)| *pid)
            .collect();
        if let Some(pid) = pids.get(n as usize % pids.len().max(1)) {
            self.world
                .say(*pid, (n >> 8).is_multiple_of(8), n >> 16 & 1 == 0);
        }
    }
}

impl Shell {
    /// Hears what one service has said.
    pub fn hear(&mut self, world: &mut World, id: Id) -> Result<(), Stop> {
        // While its start has no answer, it waits.
        if self.is_starting(id) {
            return Ok(());
        }
        let phase = self.core.service(id).map(|s| (s.state(), s.phase().1));
        let Some((
            State::Run(Running {
                program: Program::Run,
                ..
            }),
            pid,
        )) = phase
        else {
            return Ok(());
        };
        let Some(real) = self.speaker(world, id) else {
            return Ok(());
        };
        match world.manners(self.place(id).map_or(0, |place| place.0)).way {
            Way::None => Ok(()),
            Way::Descriptor => {
                if let Some(half) = self.half_mut(id) {
                    half.hears = false;
                }
                self.feed(world, Input::Ready(id, pid, Source::Descriptor))
            }
            Way::Message => self.hear_message(world, id, (pid, real)),
        }
    }

    fn hear_message(
        &mut self,
        world: &mut World,
        id: Id,
        (pid, real): (Pid, Pid),
    ) -> Result<(), Stop> {
        let has_said = self.half_mut(id).is_some_and(|half| half.has_said);
        let words = words_of(world, real);
        let Some(ready) = words.queue.front().copied() else {
            return Ok(());
        };
        let stays = ready && !has_said && !world.rules.takes_first;
        let serial = world.kernel.processes.get(&real).map(|p| p.serial);
        if !stays {
            words_of(world, real).queue.pop_front();
        }
        if !ready && let Some(process) = world.kernel.processes.get_mut(&real) {
            process.told.get_or_insert(world.kernel.now);
        }
        let message = Message {
            ready,
            stopping: !ready,
            ..Message::default()
        };
        self.feed(world, Input::Notified(id, pid, message))?;
        if let Some(half) = self.half_mut(id).filter(|_| ready) {
            half.has_said = true;
        }
        let process = world.kernel.processes.get_mut(&real);
        if let Some(process) = process.filter(|p| stays && Some(p.serial) == serial) {
            process.words.queue.pop_front();
        }
        Ok(())
    }

    /// The process of a service that has said something which was not heard.
    pub fn speaker(&self, world: &World, id: Id) -> Option<Pid> {
        let half = self.units.get(&id.unit)?.half(id.role)?;
        let pid = world.kernel.pid_of(half.truth?)?;
        let words = &world.kernel.processes.get(&pid)?.words;
        (!words.queue.is_empty() || words.newline && half.hears).then_some(pid)
    }

    /// What is said in time counts, however busy the supervisor is.
    pub fn hear_out_in_time(&mut self, world: &mut World) -> Result<(), Stop> {
        let mut last = None;
        let now = world.kernel.now;
        while let Some(unit) = self
            .core
            .to_hear_out(now)
            .filter(|unit| last != Some(*unit))
        {
            let role = Role::Main;
            for _ in 0..16 {
                self.hear(world, Id { unit, role })?;
            }
            last = Some(unit);
        }
        Ok(())
    }

    /// What a successor finds of a run that may announce that it is ready.
    pub fn adopt_words(
        world: &mut World,
        (dir, pid): (Dir, Pid),
        found: &mut model::adoption::Inheritance,
    ) {
        let manners = world.manners(dir);
        if manners.way == Way::None || !matches!(found.service.state(), State::Run(_)) {
            return;
        }
        let line = world.kernel.files((dir, Role::Main)).ready;
        if world.rules.was_ready {
            found.service = found.service.was_ready(line.as_ref());
        }
        let now = world.kernel.now;
        let words = words_of(world, pid);
        words.adopted = Some(now);
        words.first_adopted.get_or_insert(now);
        if manners.way == Way::Descriptor && words.closed {
            let closed = Event::Ready(pid, Source::Descriptor);
            found.missed.get_or_insert(closed);
        }
    }

    /// Whoever is stopped though nobody asked for it was not ready in time.
    pub fn check_overdue(
        world: &mut World,
        place: Place,
        (target, signal): (Pid, Signal),
    ) -> Result<bool, Stop> {
        let now = world.kernel.now;
        let Some(process) = world.kernel.processes.get_mut(&target) else {
            return Ok(false);
        };
        let (Runs::Run(_), Role::Main) = (process.runs, place.1) else {
            return Ok(false);
        };
        let words = &mut process.words;
        words.is_ending |= words.is_overdue(now);
        if words.is_ending || words.stops.is_some() {
            return Ok(true);
        }
        if world.rules.readiness && !world.past.told.contains(&place.0) {
            let text = format!("{place:?} gets {signal}, and is in time: {words:?}");
            return Err(Stop::Wrong(text));
        }
        Ok(false)
    }
}

/// Nobody is believed to be ready who has not said so.
pub fn check_belief(shell: &Shell, world: &mut World, id: Id) -> Result<(), String> {
    let (Some((dir, Role::Main)), Some(service)) = (shell.place(id), shell.core.service(id)) else {
        return Ok(());
    };
    let State::Run(Running {
        program: Program::Run,
        pid,
        ready: Some((_, source)),
        ..
    }) = service.state()
    else {
        return Ok(());
    };
    let half = shell.units.get(&id.unit).map(|unit| &unit.main);
    let truth = half.and_then(|half| half.truth);
    let real = truth.and_then(|serial| world.kernel.pid_of(serial));
    let manners = world.manners(dir);
    let Some(process) = real.and_then(|real| world.kernel.processes.get(&real)) else {
        return Ok(());
    };
    if manners.way == Way::None {
        return Ok(());
    }
    let words = &process.words;
    let waits = if manners.limited {
        u64::from(UP_MS)
    } else {
        ADOPTED_MS
    };
    let is_true = match source {
        // That it ends is known to the supervisor alone that heard it.
        Source::Descriptor | Source::Message => {
            words.ready.is_some() || words.stops.is_some() && words.stops <= words.adopted
        }
        Source::Assumed => words
            .first_adopted
            .is_some_and(|at| at.plus_ms(waits) <= world.kernel.now),
        _ => false,
    };
    if !is_true {
        return Err(format!(
            "{dir}, {pid}, is believed to be ready by {source:?}: {words:?}"
        ));
    }
    world.past.ready.insert(dir);
    Ok(())
}

/// When a supervisor was killed: a message that says that a run is ready waits, or a file
/// says it.
pub fn check_message(world: &mut World, (dir, role): Place) -> Result<(), String> {
    let record = world.kernel.files((dir, role)).record.clone();
    let line = world.kernel.files((dir, role)).ready;
    let Some(pid) = record.map(|record| record.pid) else {
        return Ok(());
    };
    let (now, way) = (world.kernel.now, world.manners(dir).way);
    let process = world.kernel.processes.get(&pid).filter(|process| {
        let is_run = process.runs == Runs::Run((dir, role)) && process.zombie.is_none();
        let is_told = process.told.is_some() || process.words.is_overdue(now);
        is_run && !is_told && process.words.ready.is_some() && way == Way::Message
    });
    let is_lost = |process: &Process| {
        let waits = process.words.queue.contains(&true);
        !waits && line.is_none_or(|line| line.pid != pid || line.source.is_none())
    };
    match process.filter(|process| is_lost(process)) {
        Some(process) => Err(format!("{dir}: a word was lost: {:?}", process.words)),
        None => Ok(()),
    }
}

/// At rest everybody has spoken, and everybody was heard.
pub fn check_heard(shell: &Shell, world: &World) -> Result<(), String> {
    for unit in shell.units.keys() {
        let id = Id {
            unit: *unit,
            role: Role::Main,
        };
        let half = shell.units.get(unit).map(|unit| &unit.main);
        let real = half.and_then(|half| world.kernel.pid_of(half.truth?));
        let words = real
            .and_then(|real| world.kernel.processes.get(&real))
            .map(|p| &p.words);
        let said = words.and_then(|words| words.ready);
        let state = shell.core.service(id).map(model::service::Service::state);
        if let (
            Some(State::Run(Running {
                program: Program::Run,
                ready,
                ..
            })),
            Some(said),
        ) = (state, said)
        {
            let is_heard = match ready {
                Some((at, Source::Assumed)) => at <= said,
                Some(_) => true,
                None => false,
            };
            if !is_heard {
                return Err(format!(
                    "{id:?}: a word of {said:?} was lost: {ready:?}, {words:?}"
                ));
            }
        }
    }
    Ok(())
}
