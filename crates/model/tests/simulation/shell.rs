//! One supervisor process on the fake kernel: the counterpart of `engine` in the
//! crate sunup. It holds what is open, hands inputs in, and does actions; and it
//! may be killed before any action.

use std::collections::{BTreeMap, BTreeSet};

use model::adoption::{Evidence, Inheritance, Seen};
use model::command::{Command, Sig};
use model::facts::{Facts, Files};
use model::scan::Identity;
use model::service::{Exit, Failure, Pid, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::supervisor::{Action, Id, Input, Job, Log, Opened, Scope, Supervisor, UnitId};

use super::checks::{check_crash_loops, check_supervisor};
use super::kernel::{Boss, Dir, Place, Runs, Serial, TICK_NS, identity};
use super::wishes::{Wish, Wishes};
use super::world::World;

/// The control byte that asks a keeper to let go.
pub const RELEASE: u8 = b'!';

/// What a supervisor process knows.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened or not"
)]
pub struct Shell {
    pub boss: Boss,
    pub core: Supervisor,
    pub units: BTreeMap<UnitId, Unit>,
    /// Signals to it that wait.
    pub term: bool,
    pub hup: bool,
    /// inotify has something to tell.
    pub scan_event: bool,
    /// Of the entry `log` of these.
    pub log_events: BTreeSet<UnitId>,
    /// An input that comes before all others.
    pub first: Option<Input>,
    /// It was told to go, and leaves what runs to a keeper, or is that keeper.
    pub leaves: bool,
    /// It told everything to exit.
    pub stops: bool,
    /// It is a keeper.
    pub keeper: bool,
    /// Starts that were not answered yet.
    starting: Vec<Start>,
}

/// A start without an answer.
#[derive(Clone, Copy)]
struct Start {
    job: Job,
    pid: Pid,
    serial: Serial,
    /// The supervisor was told that it is late.
    is_late: bool,
}

/// An open service directory.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened or not"
)]
pub struct Unit {
    pub dir: Dir,
    /// No entry led to it once.
    pub removed: bool,
    /// The service's end of the log pipe is open.
    pub piped: bool,
    /// The entry `log` went, and the logger is to follow.
    pub sheds: bool,
    /// Somebody asked for a start.
    pub called: bool,
    pub main: Half,
    pub log: Option<Half>,
}

#[derive(Clone, Default)]
pub struct Half {
    /// The control fifo is open.
    pub furnished: bool,
    /// The last write of the state files failed: they tell of something earlier.
    pub unwritten: bool,
    /// A process that is watched by descriptor.
    pub pidfd: Option<Serial>,
    /// Which process the supervisor has to take for the service's.
    pub truth: Option<Serial>,
}

impl Unit {
    pub fn half(&self, role: Role) -> Option<&Half> {
        match role {
            Role::Main => Some(&self.main),
            Role::Log => self.log.as_ref(),
        }
    }

    pub fn half_mut(&mut self, role: Role) -> Option<&mut Half> {
        match role {
            Role::Main => Some(&mut self.main),
            Role::Log => self.log.as_mut(),
        }
    }
}

/// Why a supervisor did not finish what it was doing.
pub enum Stop {
    /// It was killed.
    Killed,
    /// It did something that it must not.
    Wrong(String),
}

impl Shell {
    pub fn new(boss: Boss) -> Self {
        Self {
            boss,
            core: Supervisor::new(Scope::All { init: false }),
            units: BTreeMap::new(),
            term: false,
            hup: false,
            scan_event: false,
            log_events: BTreeSet::new(),
            first: Some(Input::ScanDue),
            leaves: false,
            stops: false,
            keeper: false,
            starting: Vec::new(),
        }
    }

    fn half_mut(&mut self, id: Id) -> Option<&mut Half> {
        self.units.get_mut(&id.unit)?.half_mut(id.role)
    }

    /// The directory of a service or logger.
    pub fn place(&self, id: Id) -> Option<Place> {
        Some((self.units.get(&id.unit)?.dir, id.role))
    }

    /// Every service and logger that is open.
    pub fn ids(&self) -> Vec<Id> {
        let both = |(unit, open): (&UnitId, &Unit)| {
            let log = open.log.as_ref().map(|_| Role::Log);
            let unit = *unit;
            [Some(Role::Main), log]
                .into_iter()
                .flatten()
                .map(move |role| Id { unit, role })
                .collect::<Vec<_>>()
        };
        self.units.iter().flat_map(both).collect()
    }

    /// Hands an input in and does what follows.
    pub fn feed(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        let (boss, now) = (self.boss, world.kernel.now);
        world.note(|| format!("  {} ms, {boss}: {input:?}", now.0 / 1_000_000));
        let is_over = input == Input::RoundOver;
        self.core.handle(world.kernel.moment(), input);
        self.act(world)?;
        if is_over {
            check_crash_loops(self, world).map_err(Stop::Wrong)?;
        }
        check_supervisor(self, world).map_err(Stop::Wrong)
    }

    /// What is started may be over before its answer is handed in, or hang.
    fn load(&self, world: &mut World) {
        if !self.starting.is_empty() && world.chance.one_in(6) {
            let pids: Vec<Pid> = self.starting.iter().map(|start| start.pid).collect();
            if let Some(pid) = world.chance.pick(&pids) {
                world.arrive_at_exec(pid);
                if world.chance.one_in(3) {
                    world.kernel.end(pid, Exit::of_status(256));
                }
            }
        }
    }

    /// Whether the outcome of a start can be known.
    fn is_over(&self, world: &mut World, at: usize) -> bool {
        let Some(start) = self.starting.get(at) else {
            return false;
        };
        world.arrive_at_exec(start.pid);
        let process = world.kernel.processes.get(&start.pid);
        let process = process.filter(|p| p.serial == start.serial);
        process.is_none_or(|p| !p.hangs || p.zombie.is_some())
    }

    /// Hands in some of the answers that are there, and tells of some that are late.
    pub fn take_answers(&mut self, world: &mut World, all: bool) -> Result<(), Stop> {
        let mut at = 0;
        while let Some(start) = self.starting.get(at).copied() {
            if !all && world.chance.one_in(2) {
                at += 1;
            } else if self.is_over(world, at) {
                self.answer(world, at);
                self.act(world)?;
            } else {
                at += 1;
                if !start.is_late {
                    self.is_late(world, start)?;
                }
            }
        }
        Ok(())
    }

    fn is_late(&mut self, world: &mut World, start: Start) -> Result<(), Stop> {
        for other in &mut self.starting {
            other.is_late |= other.serial == start.serial;
        }
        let of_process = start.job.is_process();
        if let Some(half) = self.half_mut(start.job.id()).filter(|_| of_process) {
            half.truth = Some(start.serial);
            half.pidfd = None;
        }
        self.feed(world, Input::Late(start.job, start.pid))
    }

    /// Hands in all answers, or those of a unit. What is late is taken for started.
    pub fn take_all_answers(&mut self, world: &mut World, of: Option<UnitId>) {
        let is_of = |start: &Start| of.is_none_or(|unit| start.job.id().unit == unit);
        while let Some(at) = self.starting.iter().position(is_of) {
            if self.is_over(world, at) {
                self.answer(world, at);
                continue;
            }
            let start = self.starting.remove(at);
            let answer = self.started(start.job, start.pid, Some(start.serial));
            world.note(|| format!("    {}: taken for {answer:?}", self.boss));
            self.core.handle(world.kernel.moment(), answer);
        }
    }

    /// All answers, and those of what follows from them.
    pub fn settle(&mut self, world: &mut World) -> Result<(), Stop> {
        while !self.starting.is_empty() {
            self.take_all_answers(world, None);
            self.act(world)?;
        }
        Ok(())
    }

    /// Does what is to be done. Answers to starts come some time.
    pub fn act(&mut self, world: &mut World) -> Result<(), Stop> {
        let boss = self.boss;
        while let Some(next) = self.core.peek() {
            if (world.rules.needs_all_answers)(next) && !self.starting.is_empty() {
                self.take_all_answers(world, None);
                continue;
            }
            self.load(world);
            let Some(action) = self.core.next() else {
                break;
            };
            world.actions += 1;
            world.note(|| format!("    {boss}: {action:?}"));
            if let Some(left) = &mut world.fuse {
                if *left == 0 {
                    self.killed_at(world, &action);
                    return Err(Stop::Killed);
                }
                *left -= 1;
            }
            if let Some(answer) = self.perform(world, action)? {
                world.note(|| format!("    {boss}: -> {answer:?}"));
                self.core.handle(world.kernel.moment(), answer);
            }
            if !world.rules.late && !self.starting.is_empty() {
                self.answer(world, 0);
            }
        }
        Ok(())
    }

    /// Killed instead of an action, or in the midst of it.
    fn killed_at(&self, world: &mut World, action: &Action) {
        if let Action::Show { id, facts, files } = action
            && world.chance.one_in(2)
        {
            self.show_early(world, *id, facts, *files);
        }
        if let Action::Start(job) = action
            && job.is_process()
            && world.chance.one_in(2)
            && let Some(place) = self.place(job.id())
            && let Some(pid) = world.kernel.spawn(Some(self.boss), runs(*job, place))
            && let Some(process) = world.kernel.processes.get_mut(&pid)
        {
            process.starting = Some(self.boss);
        }
    }

    fn perform(&mut self, world: &mut World, action: Action) -> Result<Option<Input>, Stop> {
        match action {
            Action::Start(job) => {
                self.check_start(job).map_err(Stop::Wrong)?;
                return Ok(self.start(world, job));
            }
            Action::Signal(id, pid, sig) => self.signal(world, id, pid, sig)?,
            Action::Show { id, facts, files } => return self.show(world, id, facts, files),
            Action::Open {
                unit,
                name,
                identity,
            } => return self.open(world, unit, name, identity).map(Some),
            Action::Ask(name) => {
                if let Some(dir) = world.kernel.scan.get(&name).copied() {
                    world.send((dir, Role::Main), RELEASE);
                    world.send((dir, Role::Log), RELEASE);
                }
            }
            Action::Look { id, look, log } => return self.look(world, id, look, log).map(Some),
            Action::ClosePipe(unit) => {
                if let Some(open) = self.units.get_mut(&unit) {
                    open.piped = false;
                    world.touched.insert(open.dir);
                }
            }
            Action::OpenPipe(unit) => {
                if let Some(open) = self.units.get_mut(&unit) {
                    open.piped = true;
                }
            }
            Action::LookAtPipe(unit) => {
                // It may leave anything, and take nothing of it.
                let bytes = world.chance.below(4) as u32;
                return Ok(Some(Input::PipeSeen(unit, bytes)));
            }
            Action::CloseLog(unit) => {
                let role = Role::Log;
                self.let_go(world, Id { unit, role }, true);
                if let Some(open) = self.units.get_mut(&unit) {
                    open.log = None;
                    open.sheds = false;
                }
            }
            Action::Dismiss(unit) => self.release(world, unit, true),
            Action::Release(unit) => self.release(world, unit, false),
            Action::Scan => return Ok(Some(self.scan(world))),
            Action::LookForLiving(places) => {
                let places = places.into_iter().map(|(_, identity)| identity);
                let lives = |i: &Identity| world.kernel.living((i.ino, Role::Main)).count() != 0;
                return Ok(Some(Input::Living(places.filter(lives).collect())));
            }
            Action::Leave => return Ok(Some(self.leave(world))),
            Action::Say(_) => {}
        }
        Ok(None)
    }

    /// A service has its logger, and none is called back when its supervisor leaves.
    fn check_start(&self, job: Job) -> Result<(), String> {
        let (id, leaves) = (job.id(), self.leaves);
        let Some(unit) = self.units.get(&id.unit).filter(|_| id.role == Role::Main) else {
            return Ok(());
        };
        match job {
            Job::Prepare(_) if leaves && !unit.called => Err(format!("{job:?}: nobody asked")),
            Job::Run(_) if unit.log.is_some() && !unit.piped && !unit.sheds => {
                Err(format!("{job:?}: its log pipe is closed"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a child on its way; an answer if there is none.
    fn start(&mut self, world: &mut World, job: Job) -> Option<Input> {
        let Some(place) = self.place(job.id()) else {
            return Some(Input::NotStarted(job, Failure::Absent));
        };
        if world.is_foul(3) {
            return Some(Input::NotStarted(job, Failure::Resources));
        }
        let Some(pid) = world.kernel.spawn(Some(self.boss), runs(job, place)) else {
            return Some(Input::NotStarted(job, Failure::Resources));
        };
        if let Some(process) = world.kernel.processes.get_mut(&pid) {
            process.starting = Some(self.boss);
            let start = Start {
                job,
                pid,
                serial: process.serial,
                is_late: false,
            };
            self.starting.push(start);
        }
        if world.rules.late && world.chance.one_in(8) {
            world.arrive_at_exec(pid);
            if let Some(process) = world.kernel.processes.get_mut(&pid) {
                process.hangs = true;
            }
        }
        None
    }

    /// Hands in the outcome of a start that is over.
    fn answer(&mut self, world: &mut World, at: usize) {
        let Start { job, pid, .. } = self.starting.remove(at);
        let answer = self.finish(world, job, pid);
        world.note(|| format!("    {}: => {answer:?}", self.boss));
        self.core.handle(world.kernel.moment(), answer);
    }

    fn finish(&mut self, world: &mut World, job: Job, pid: Pid) -> Input {
        let id = job.id();
        world.arrive_at_exec(pid);
        let place = self.place(id);
        let kind = place.and_then(|(dir, _)| world.kernel.kinds.get(&dir));
        let is_broken = kind.is_some_and(|kind| kind.broken);
        let is_over = world
            .kernel
            .processes
            .get(&pid)
            .is_some_and(|p| p.zombie.is_some());
        let fails = match job {
            Job::Run(_) => is_broken && id.role == Role::Main,
            // Its interpreter may be missing for a moment.
            _ => world.rules.late && world.is_foul(3),
        };
        if fails && !is_over {
            // The exec failed; the child was reaped at once.
            world.kernel.processes.remove(&pid);
            return Input::NotStarted(job, Failure::Exec);
        }
        let serial = world.kernel.processes.get(&pid).map(|p| p.serial);
        self.started(job, pid, serial)
    }

    fn started(&mut self, job: Job, pid: Pid, serial: Option<Serial>) -> Input {
        if let Some(half) = self.half_mut(job.id()).filter(|_| job.is_process()) {
            half.truth = serial;
            half.pidfd = None;
        }
        Input::Started(job, pid)
    }

    fn signal(&mut self, world: &mut World, id: Id, pid: Pid, sig: Sig) -> Result<(), Stop> {
        let Some((half, place)) = self.half_mut(id).cloned().zip(self.place(id)) else {
            return Ok(());
        };
        let target = match half.pidfd {
            Some(serial) => world.kernel.pid_of(serial),
            None => Some(pid),
        };
        let Some(target) = target else { return Ok(()) };
        let owner = world.kernel.processes.get(&target).map(|p| p.serial);
        if owner != half.truth {
            return Err(Stop::Wrong(format!(
                "{sig:?} for {place:?} is sent to {target}, which is somebody else"
            )));
        }
        if !world.touched.contains(&place.0) {
            return Err(Stop::Wrong(format!(
                "nobody asked for {sig:?} to {place:?}"
            )));
        }
        world.kernel.signal(target, sig);
        Ok(())
    }

    /// What is written before the status.
    fn show_early(&self, world: &mut World, id: Id, facts: &Facts, files: Files) {
        let Some(place) = self.place(id) else {
            return;
        };
        let shown = world.kernel.files(place);
        if let Some(record) = shown.record.as_mut().filter(|_| files.mark) {
            record.stopping = facts.stopping;
        }
        if files.crash_loop {
            shown.crash_loop = facts.crash_loop;
        }
    }

    fn show(
        &mut self,
        world: &mut World,
        id: Id,
        facts: Facts,
        files: Files,
    ) -> Result<Option<Input>, Stop> {
        self.show_early(world, id, &facts, files);
        let (place, status) = (self.place(id), facts.status());
        let Some((half, place)) = self.half_mut(id).zip(place) else {
            return Ok(None);
        };
        half.unwritten = world.is_foul(3);
        if half.unwritten {
            return Ok(Some(Input::NotWritten(id)));
        }
        let shown = half.truth.and_then(|serial| world.kernel.pid_of(serial));
        if status.pid != 0 && shown.is_some_and(|pid| pid != status.pid) {
            return Err(Stop::Wrong(format!(
                "{place:?}: the status names {}",
                status.pid
            )));
        }
        half.furnished = true;
        let files = world.kernel.files(place);
        files.status = Some(status);
        files.readers.insert(self.boss);
        world.wishes(place).written();
        Ok(None)
    }

    fn open(
        &mut self,
        world: &mut World,
        unit: UnitId,
        name: Vec<u8>,
        wanted: Identity,
    ) -> Result<Input, Stop> {
        let found = world.kernel.scan.get(&name).copied();
        let Some(dir) = found.filter(|dir| identity(*dir) == wanted) else {
            return Ok(Input::NotOpened(wanted, None));
        };
        let kind = world.kernel.kinds.get(&dir).copied().unwrap_or_default();
        let roles = [Some(Role::Main), kind.log.then_some(Role::Log)];
        let roles: Vec<Role> = roles.into_iter().flatten().collect();
        if roles
            .iter()
            .any(|role| world.kernel.is_locked((dir, *role)))
        {
            return Ok(Input::NotOpened(wanted, Some("locked".into())));
        }
        for (other, open) in self.units.iter().filter(|(_, open)| open.removed) {
            if self.core.name(*other) == Some(&name) {
                let who = format!(
                    "{dir} is opened as {name:?} before {} has stopped",
                    open.dir
                );
                return Err(Stop::Wrong(who));
            }
        }
        let short = world.is_foul(4);
        if short && !world.rules.takes_shortage_for_absence {
            return Ok(Input::NotOpened(wanted, Some("too many open files".into())));
        }
        let mut open = Unit {
            dir,
            removed: false,
            piped: true,
            sheds: false,
            called: false,
            main: Half::default(),
            log: kind.log.then(Half::default),
        };
        let main = self.open_half(world, &mut open.main, (dir, Role::Main), short)?;
        let log = match &mut open.log {
            Some(log) => Some(self.open_half(world, log, (dir, Role::Log), short)?),
            None => None,
        };
        self.units.insert(unit, open);
        Ok(Input::Opened(Opened {
            unit,
            name,
            identity: wanted,
            main,
            log,
        }))
    }

    /// Locks one of the two and looks for its process. `short`: of descriptors.
    fn open_half(
        &self,
        world: &mut World,
        half: &mut Half,
        place: Place,
        short: bool,
    ) -> Result<Inheritance, Stop> {
        let is_down = world.is_down_by_default(place);
        world.kernel.files(place).crash_loop = None;
        let files = world.kernel.files(place).clone();
        let record = files.record.as_ref().filter(|_| !short);
        let process = record.and_then(|r| world.kernel.processes.get(&r.pid));
        // Whoever inherits orphans reaps them at once.
        let process = process.filter(|p| p.zombie.is_none());
        let here = world.kernel.world();
        let evidence = Evidence {
            role: place.1,
            default: if is_down { Want::Down } else { Want::Up },
            world: Some(&here),
            record,
            status: files.status.as_ref(),
            seen: process.map(|p| Seen {
                started: p.started,
                grain_ns: TICK_NS,
                is_above: false,
            }),
            exit: Exit::Unknown,
        };
        let found = (world.rules.judge)(&evidence, world.kernel.moment());
        if process.is_some_and(|p| found.adopted && p.runs.place() != Some(place)) {
            return Err(Stop::Wrong(format!("{place:?} adopts {process:?}")));
        }
        half.pidfd = process.filter(|_| found.adopted).map(|p| p.serial);
        half.truth = half.pidfd;
        if files.record.is_some_and(|r| r.world == here) {
            world.wishes(place).taken_over(files.status.is_some());
        } else {
            *world.wishes(place) = Wishes::none();
            world.kernel.files(place).status = None;
        }
        world.kernel.files(place).lock.insert(self.boss);
        Ok(found)
    }

    /// Looks what is in a directory. Every other service asks for delays that grow.
    fn look(&mut self, world: &mut World, id: Id, look: Look, log: bool) -> Result<Input, Stop> {
        let dir = self.place(id).map(|(dir, _)| dir);
        let kind = dir.and_then(|dir| world.kernel.kinds.get(&dir).copied());
        let kind = kind.unwrap_or_default();
        let scripts = look.letters().filter(|letter| match letter {
            b'u' => kind.script_u,
            b't' => kind.script_t,
            b'd' | b'x' => kind.script_d,
            _ => false,
        });
        let grows = matches!(look, Look::End { grows: true, .. });
        let asks = dir.is_some_and(|dir| dir % 2 == 0);
        let found = Settings {
            finish: kind.finish,
            scripts: scripts.collect(),
            backoff: (grows && asks).then_some(8),
        };
        let log = if log && !found.scripts.has(b'u') {
            Some(self.look_at_log(world, id.unit, look)?)
        } else {
            None
        };
        Ok(Input::Looked {
            id,
            look,
            found,
            log,
        })
    }

    fn look_at_log(&mut self, world: &mut World, unit_id: UnitId, look: Look) -> Result<Log, Stop> {
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return Ok(Log::Same);
        };
        let place = (unit.dir, Role::Log);
        let is_there = world
            .kernel
            .kinds
            .get(&unit.dir)
            .is_some_and(|kind| kind.log);
        Ok(match (is_there, unit.log.is_some()) {
            (false, true) => {
                unit.sheds = true;
                world.touched.insert(unit.dir);
                Log::Gone
            }
            (false, false) => Log::Same,
            (true, true) => {
                // Before a start, what was to be shed is.
                unit.sheds = !unit.piped || unit.sheds && look.is_start();
                Log::Same
            }
            (true, false) if world.kernel.is_locked(place) || world.is_foul(4) => {
                Log::NotOpened("in the way".into())
            }
            (true, false) => {
                let mut half = Half::default();
                let found = self.open_half(world, &mut half, place, false)?;
                if let Some(unit) = self.units.get_mut(&unit_id) {
                    unit.log = Some(half);
                    unit.piped = true;
                }
                Log::Opened(found)
            }
        })
    }

    fn release(&mut self, world: &mut World, unit: UnitId, for_good: bool) {
        for id in self.ids().into_iter().filter(|id| id.unit == unit) {
            self.let_go(world, id, for_good);
        }
        self.units.remove(&unit);
    }

    /// Closes a supervise directory. `for_good`: nothing is left to adopt.
    fn let_go(&self, world: &mut World, id: Id, for_good: bool) {
        let Some(place) = self.place(id) else {
            return;
        };
        let files = world.kernel.files(place);
        files.lock.remove(&self.boss);
        if files.readers.remove(&self.boss) && files.readers.is_empty() {
            files.fifo.clear();
        }
        if for_good {
            files.record = None;
            files.crash_loop = None;
            *world.wishes(place) = Wishes::none();
        }
    }

    fn scan(&mut self, world: &mut World) -> Input {
        self.scan_event = false;
        if world.is_foul(4) {
            return Input::NotScanned;
        }
        let entries = world.kernel.scan.iter();
        let entries: Vec<_> = entries
            .map(|(name, dir)| (name.clone(), identity(*dir)))
            .collect();
        for unit in self.units.values_mut() {
            if !entries
                .iter()
                .any(|(_, found)| *found == identity(unit.dir))
            {
                unit.removed = true;
                world.touched.insert(unit.dir);
                world.wishes((unit.dir, Role::Main)).wish(Wish::Exit);
            }
        }
        Input::Scanned {
            entries,
            next_look: None,
        }
    }

    /// Looks at each name that there may be, as if events had told of them.
    pub fn notice(&self, world: &World) -> Input {
        let present = world.kernel.scan.keys().cloned();
        let known = self.units.keys().filter_map(|unit| self.core.name(*unit));
        let names: BTreeSet<Vec<u8>> = present.chain(known.cloned()).collect();
        let identify = |name: Vec<u8>| {
            let dir = world.kernel.scan.get(&name);
            let identity = dir.map(|dir| identity(*dir));
            (name, identity)
        };
        Input::Noticed {
            found: names.into_iter().map(identify).collect(),
            next_look: None,
        }
    }

    /// Forks a keeper.
    fn leave(&mut self, world: &mut World) -> Input {
        if world.is_foul(4) {
            return Input::NotLeft;
        }
        let processes: Vec<Id> = self.core.processes().map(|(id, _)| id).collect();
        for id in processes {
            if let Some(half) = self.half_mut(id) {
                half.pidfd = half.truth;
            }
        }
        let boss = world.new_boss();
        for id in self.ids() {
            if let Some(place) = self.place(id) {
                let furnished = self.half_mut(id).is_some_and(|half| half.furnished);
                let files = world.kernel.files(place);
                files.lock.insert(boss);
                if furnished {
                    files.readers.insert(boss);
                }
            }
        }
        world.born.push(Self {
            boss,
            core: self.core.clone(),
            units: std::mem::take(&mut self.units),
            first: Some(Input::Kept),
            keeper: true,
            leaves: true,
            ..Self::new(boss)
        });
        Input::Left
    }

    /// Another program goes on in this process. What inotify had to tell is lost.
    pub fn upgrade(&mut self, world: &mut World) -> Result<(), String> {
        if self.core.is_ending() {
            return Ok(());
        }
        let (told, now) = (self.core.handover(), world.kernel.moment());
        let new = Supervisor::resume(Scope::All { init: false }, &told, now, |_| true);
        let old = std::mem::replace(&mut self.core, new);
        for id in self.ids() {
            if old.service(id) != self.core.service(id) {
                return Err(format!("{id:?} became another: {told}"));
            }
        }
        let is_child = |pid: &Pid| {
            let parent = world.kernel.processes.get(pid).map(|p| p.parent);
            parent == Some(Some(self.boss))
        };
        // One that is watched by descriptor, and whose pid a child had meanwhile, is
        // known by that again. It has ended: its descriptor is about to say so.
        let knows = |core: &Supervisor| core.processes().collect::<BTreeSet<_>>();
        let all_known = knows(&old).is_subset(&knows(&self.core));
        if !all_known || !self.core.children().iter().all(is_child) {
            return Err(format!("children were forgotten: {told}"));
        }
        let again = self.core.handover();
        if again != told {
            return Err(format!("{told} became {again}"));
        }
        self.log_events.clear();
        self.first = Some(Input::ScanDue);
        super::checks::check_supervisor(self, world)
    }

    /// Everything is told to exit, and sometimes at once not to be waited for.
    pub fn stop_all(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        self.tell_to_stop(world, input.clone())?;
        if world.chance.one_in(3) {
            self.tell_to_stop(world, input)?;
        }
        Ok(())
    }

    fn tell_to_stop(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        self.leaves = false;
        self.stops = true;
        for id in self.ids() {
            if let Some(place) = self.place(id) {
                world.touched.insert(place.0);
                // Loggers follow.
                world.wishes((place.0, Role::Main)).wish(Wish::Exit);
            }
        }
        self.feed(world, input)
    }

    /// Takes some dead children.
    pub fn reap(&mut self, world: &mut World) -> Result<(), Stop> {
        for _ in 0..=world.chance.below(4) {
            let mut dead = Vec::new();
            for (pid, process) in &world.kernel.processes {
                if process.parent == Some(self.boss)
                    && let Some(exit) = process.zombie
                {
                    dead.push((*pid, exit));
                }
            }
            let Some((pid, exit)) = world.chance.pick(&dead) else {
                return Ok(());
            };
            let serial = world.kernel.processes.get(&pid).map(|p| p.serial);
            let own = self.starting.iter().position(|start| start.pid == pid);
            if let Some(at) = own.filter(|_| world.rules.answers_first) {
                self.answer(world, at);
                self.act(world)?;
            }
            // If its start failed, that has taken it.
            if world.kernel.processes.get(&pid).map(|p| p.serial) == serial {
                world.kernel.processes.remove(&pid);
                let now = world.kernel.now;
                self.feed(world, Input::ChildEnded(pid, exit, now))?;
            }
        }
        Ok(())
    }

    /// Reads a control fifo.
    pub fn obey(&mut self, world: &mut World, id: Id) -> Result<(), Stop> {
        let Some(place) = self.place(id) else {
            return Ok(());
        };
        if (world.rules.holds_back)(&self.core, id.unit) {
            return Ok(());
        }
        let mut release = false;
        // What follows a start is for what is started.
        while !(world.rules.holds_back)(&self.core, id.unit) {
            let fifo = &mut world.kernel.files(place).fifo;
            if fifo.is_empty() {
                break;
            }
            let byte = fifo.remove(0);
            release |= byte == RELEASE;
            if let Some(command) = Command::from_byte(byte) {
                self.command(world, id, command)?;
            }
        }
        if release && self.keeper {
            self.take_all_answers(world, Some(id.unit));
            self.act(world)?;
        }
        self.feed(world, Input::Obeyed { id, release })?;
        if self.half_mut(id).is_some_and(|half| !half.unwritten) {
            world.wishes(place).written();
        }
        Ok(())
    }

    fn command(&mut self, world: &mut World, id: Id, command: Command) -> Result<(), Stop> {
        let Some(place) = self.place(id) else {
            return Ok(());
        };
        let ends = self.stops || self.units.get(&id.unit).is_none_or(|u| u.removed);
        let service = self.core.service(id);
        let is_gone = service.is_none_or(Service::is_gone);
        if id.role == Role::Log || !(ends || is_gone) {
            world.touched.insert(place.0);
            world.wishes(place).read(id.role, command);
            let asks = matches!(command, Command::Up | Command::Once);
            if let Some(unit) = self.units.get_mut(&id.unit).filter(|_| asks) {
                unit.called = true;
            }
        }
        let is_starting = |service: &Service| matches!(service.state(), State::Starting { .. });
        if matches!(command, Command::Signal(_))
            && self.core.service(id).is_some_and(is_starting)
            && self.core.service(id).is_some_and(|s| s.phase().1 == 0)
        {
            return Err(Stop::Wrong(format!("{command:?} for {place:?} is lost")));
        }
        self.feed(world, Input::Command(id, command))
    }

    /// The descriptor of an adopted process tells of its end.
    pub fn adopted_ended(&mut self, world: &mut World, id: Id) -> Result<(), Stop> {
        let Some(serial) = self.half_mut(id).and_then(|half| half.pidfd.take()) else {
            return Ok(());
        };
        // It is reaped if it is a child all the same.
        if let Some(pid) = world.kernel.pid_of(serial)
            && world
                .kernel
                .processes
                .get(&pid)
                .is_some_and(|p| p.parent == Some(self.boss))
        {
            world.kernel.processes.remove(&pid);
        }
        self.feed(world, Input::AdoptedEnded(id, Exit::Unknown))
    }
}

fn runs(job: Job, place: Place) -> Runs {
    match job {
        Job::Run(_) => Runs::Run(place),
        Job::Finish(..) => Runs::Finish(place),
        Job::Prepare(_) => Runs::Script(place, None),
        Job::Script(_, _, pid) | Job::Epilogue(_, _, pid) => Runs::Script(place, Some(pid)),
    }
}
