//! Everything at once: the kernel, the supervisors, and what happens to them.
//!
//! A game is a list of moves, made from a seed. Each move has its numbers with
//! it, so a move does much the same when others are left out: that is how a
//! failing game is shortened.

mod rest;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use model::adoption::{Evidence, Inheritance};
use model::moment::Moment;
use model::service::{Exit, Pid, Role};
use model::supervisor::{Action, Supervisor, UnitId};

use super::checks::{check_killed, check_world};
use super::kernel::{Boss, Dir, Kernel, Kind, Place, Runs, TICK_NS};
use super::random::Random;
use super::readiness::{Manners, Past};
use super::shell::{RELEASE, Shell, Stop};
use super::wishes::Wishes;
use turn::turn;

/// What the supervisor is given to decide with, and may be broken on purpose.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    pub judge: fn(&Evidence, Moment) -> Inheritance,
    pub writes_records: bool,
    pub takes_shortage_for_absence: bool,
    /// Answers to starts come later than what follows.
    pub late: bool,
    /// What waits for them: actions, commands of a unit, ...
    pub needs_all_answers: fn(&Action) -> bool,
    pub holds_back: fn(&Supervisor, UnitId) -> bool,
    /// ... and the ends of the same children.
    pub answers_first: bool,
    /// Services have `setup`, some of them without `run`.
    pub oneshots: bool,
    /// Services say when they are ready, and wait for others.
    pub readiness: bool,
    /// Most services have `control/t`, and end by KILL alone.
    pub deaf: bool,
    /// A successor reads whether a run was ready.
    pub was_ready: bool,
    /// What a directory says of other services is read.
    pub reads_edges: bool,
    /// What a run has said is heard before a deadline of it takes effect.
    pub hears_out: bool,
    /// A message is taken before what it says is written.
    pub takes_first: bool,
    /// The word that a stop is under way is taken away before the status is written.
    pub clears_first: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A supervisor takes some of what is ready. With a fuse, it is killed after
    /// so many actions.
    Round(u32, Option<u32>),
    /// Time goes by (ms), or up to the next deadline.
    Wait(u32),
    /// A process of a service ends by itself, or a script.
    End(u32),
    /// A signal arrives.
    Arrive(u32),
    /// Somebody writes to a control fifo.
    Command(u32),
    /// The scan directory changes.
    Change(u32),
    /// The entry `log` of a service directory comes or goes.
    Log(u32),
    /// The supervisor is killed.
    Kill,
    /// A supervisor is started, if there is none.
    Start,
    /// The supervisor is replaced in place.
    Upgrade,
    /// The supervisor gets TERM, or HUP.
    Tell(bool),
    /// A process that is no service's comes or goes.
    Stranger(u32),
    /// A service says something of itself.
    Say(u32),
    /// The wall clock is set (s).
    Clock(i32),
    /// What fails: one in so many attempts; 0: nothing.
    Weather(u8),
    Reboot,
}

impl Move {
    pub fn random(chance: &mut Random) -> Self {
        let n = chance.next() as u32;
        match chance.below(1000) {
            0..350 => Self::Round(n, None),
            350..380 => Self::Round(n, Some(n % 23)),
            380..500 => Self::Wait(n),
            500..580 => Self::End(n),
            580..700 => Self::Arrive(n),
            700..810 => Self::Command(n),
            810..840 => Self::Change(n),
            840..850 => Self::Kill,
            850..890 => Self::Start,
            890..897 => Self::Tell(false),
            897..899 => Self::Tell(true),
            899..970 => Self::Stranger(n),
            970..978 => Self::Log(n),
            978..982 => Self::Clock(n as i32 / 64),
            982..990 => Self::Upgrade,
            990..996 => Self::Weather([0, 0, 40, 12, 4][n as usize % 5]),
            _ => Self::Reboot,
        }
    }
}

pub struct World {
    pub kernel: Kernel,
    pub rules: Rules,
    /// For what happens within a move.
    pub chance: Random,
    /// Actions until the supervisor is killed.
    pub fuse: Option<u32>,
    /// Actions done so far.
    pub actions: u64,
    /// What supervisors were told and did, if somebody wants to know.
    pub trace: Option<Vec<String>>,
    /// Supervisors that were forked in this move.
    pub born: Vec<Shell>,
    /// Services that somebody told to do something.
    pub touched: BTreeSet<Dir>,
    pub past: Past,
    /// Service directories for which somebody asked for KILL.
    pub killed: BTreeSet<Dir>,
    /// Oneshots that are known to be done, by the boot, and must not be done again.
    pub done: BTreeMap<Place, u32>,
    /// The supervisor inherits orphans.
    inherits: bool,
    wishes: BTreeMap<Place, Wishes>,
    foul: u8,
    bosses: Boss,
}

/// A game in play.
pub struct Game {
    pub world: World,
    pub shells: Vec<Shell>,
}

impl World {
    /// Whether there is time for more in this turn.
    fn goes_on(&mut self) -> bool {
        !self.chance.one_in(4)
    }

    pub fn new_boss(&mut self) -> Boss {
        self.bosses += 1;
        self.bosses
    }

    /// Whether an attempt fails; `rare`: only one in so many of those.
    pub fn is_foul(&mut self, rare: usize) -> bool {
        self.foul != 0 && self.chance.one_in(usize::from(self.foul)) && self.chance.one_in(rare)
    }

    /// Notes what happens.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    pub fn wishes(&mut self, place: Place) -> &mut Wishes {
        self.wishes.entry(place).or_insert_with(Wishes::none)
    }

    pub fn is_down_by_default(&self, (dir, role): Place) -> bool {
        self.kernel.kinds.get(&dir).is_some_and(|kind| match role {
            Role::Main => kind.down,
            Role::Log => kind.log_down,
        })
    }

    /// Every service and logger that ever was.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let dirs = self.kernel.kinds.keys();
        dirs.flat_map(|dir| [(*dir, Role::Main), (*dir, Role::Log)])
    }

    /// A child has got as far as its exec.
    pub fn arrive_at_exec(&mut self, pid: Pid) {
        let room = !self.is_foul(3);
        let now = self.kernel.now;
        let Some(process) = self.kernel.processes.get_mut(&pid) else {
            return;
        };
        if process.starting.take().is_none() {
            return;
        }
        let stalled = now.0 - process.started.0 >= TICK_NS;
        if self.rules.writes_records {
            self.kernel.write_record(pid, room);
        }
        if stalled {
            self.kernel.pass_tick();
        }
        if self.rules.readiness {
            self.begins(pid);
        }
    }

    /// Writes to a control fifo, if somebody has it open.
    pub fn send(&mut self, place: Place, byte: u8) {
        let files = self.kernel.files(place);
        if !files.readers.is_empty() {
            files.fifo.push(byte);
        }
    }

    /// A new service directory in the scan directory.
    fn add_service(&mut self, name: u8) {
        let dir = 100 + self.kernel.kinds.len() as Dir;
        let bits = self.chance.next();
        let bit = |n: u32| bits >> (3 * n) & 7;
        let kind = Kind {
            down: bit(0) < 2,
            log: bit(1) < 4,
            log_down: bit(2) < 1,
            finish: bit(3) < 4,
            broken: bit(4) < 1,
            script_u: bit(5) < 2,
            script_t: bit(6) < if self.rules.deaf { 6 } else { 3 },
            script_d: bit(7) < 2,
            stops: self.rules.deaf || bit(8) < 3,
            deaf: self.rules.deaf || bit(9) < 3,
            setup: self.rules.oneshots && bit(10) < 6,
            no_run: self.rules.oneshots && bit(11) < 5,
            group: bit(12) < 3,
            manners: if self.rules.readiness {
                Manners::random(self.chance.next())
            } else {
                Manners::default()
            },
        };
        self.kernel.kinds.insert(dir, kind);
        self.kernel.scan.insert(vec![name], dir);
    }
}

impl Game {
    pub fn new(seed: u64, rules: Rules) -> Self {
        let mut world = World {
            kernel: Kernel::new(),
            rules,
            chance: Random::new(seed),
            fuse: None,
            actions: 0,
            trace: None,
            born: vec![],
            touched: BTreeSet::new(),
            past: Past::default(),
            killed: BTreeSet::new(),
            done: BTreeMap::new(),
            inherits: seed.is_multiple_of(4),
            wishes: BTreeMap::new(),
            foul: 0,
            bosses: 0,
        };
        for name in 0..=world.chance.below(3) as u8 {
            world.add_service(b'a' + name);
        }
        world.past.note_names(&world.kernel.scan);
        let shells = vec![];
        let mut game = Self { world, shells };
        game.start();
        game
    }

    /// The supervisor that is no keeper.
    fn current(&self) -> Option<usize> {
        self.shells.iter().position(|shell| !shell.keeper)
    }

    fn start(&mut self) {
        if self.current().is_none() {
            let boss = self.world.new_boss();
            self.shells.push(Shell::new(boss));
            if self.world.inherits {
                self.world.kernel.inherit(boss);
            }
        }
    }

    fn kill(&mut self, index: usize) {
        let shell = self.shells.remove(index);
        self.world.kernel.bury(shell.boss);
    }

    pub fn play(&mut self, step: Move) -> Result<(), String> {
        self.world.note(|| format!("{step:?}"));
        self.world.past.note_names(&self.world.kernel.scan);
        match step {
            Move::Round(n, fuse) if !self.shells.is_empty() => {
                let index = n as usize % self.shells.len();
                self.world.chance = Random::new(u64::from(n));
                self.world.fuse = fuse;
                self.round(index, false)?;
                self.world.fuse = None;
            }
            Move::Wait(n) => self.wait(n),
            Move::End(n) => self.end(n),
            Move::Arrive(n) => self.arrive(n),
            Move::Command(n) => self.command(n),
            Move::Change(n) => self.change(n),
            Move::Log(n) => self.change_log(n),
            Move::Kill => {
                if let Some(index) = self.current() {
                    self.kill(index);
                    check_killed(&mut self.world)?;
                }
            }
            Move::Start => self.start(),
            Move::Upgrade => {
                if let Some(index) = self.current()
                    && let Some(shell) = self.shells.get_mut(index)
                {
                    match shell.settle(&mut self.world) {
                        Err(Stop::Wrong(what)) => return Err(what),
                        Err(Stop::Killed) | Ok(()) => {}
                    }
                    shell.upgrade(&mut self.world)?;
                    // It does what follows before it hears of anything.
                    if let Err(Stop::Wrong(what)) = shell.begin(&mut self.world) {
                        return Err(what);
                    }
                }
            }
            Move::Tell(hup) => {
                if let Some(index) = self.current()
                    && let Some(shell) = self.shells.get_mut(index)
                {
                    shell.hup |= hup;
                    shell.term |= !hup;
                }
            }
            Move::Stranger(n) => self.stranger(n),
            Move::Say(n) => self.speak(n),
            Move::Clock(s) => self.world.kernel.wall_s += i64::from(s),
            Move::Weather(foul) => self.world.foul = foul,
            Move::Reboot => {
                self.shells.clear();
                self.world.kernel.reboot();
                self.world.past.reboot();
                let places: Vec<Place> = self.world.places().collect();
                for place in places {
                    *self.world.wishes(place) = Wishes::none();
                }
            }
            Move::Round(..) => {}
        }
        check_world(&self.world)
    }

    fn wait(&mut self, n: u32) {
        let now = self.world.kernel.now;
        let next = self.shells.iter().filter_map(|s| s.core.deadline()).min();
        self.world.kernel.now = match (n % 4, next) {
            (0, Some(at)) => at.max(now),
            (1, _) => now.plus_ms(u64::from(n >> 2) % 40_000),
            _ => now.plus_ms(u64::from(n >> 2) % 300),
        };
    }

    /// Pids of processes that meet a condition.
    fn pids(&self, condition: impl Fn(&Runs) -> bool) -> Vec<u32> {
        let processes = self.world.kernel.processes.iter();
        processes
            .filter(|(_, p)| p.zombie.is_none() && condition(&p.runs))
            .map(|(pid, _)| *pid)
            .collect()
    }

    fn end(&mut self, n: u32) {
        let pids = self.pids(|runs| *runs != Runs::Stranger);
        let Some(pid) = pids.get(n as usize % pids.len().max(1)).copied() else {
            return;
        };
        if !self.go_on(pid) {
            self.finish(pid, n >> 8 & 1 == 0);
        }
    }

    /// A process on its way gets as far as its exec; whether it is such a one.
    fn go_on(&mut self, pid: Pid) -> bool {
        let process = self.world.kernel.processes.get_mut(&pid);
        if process.is_some_and(|p| std::mem::take(&mut p.hangs)) {
            return true;
        }
        let process = self.world.kernel.processes.get(&pid);
        let Some(boss) = process.and_then(|p| p.starting) else {
            return false;
        };
        if self.shells.iter().any(|shell| shell.boss == boss) {
            self.world.arrive_at_exec(pid);
        } else {
            self.world.kernel.go_on(pid, true);
            if self.world.rules.readiness {
                self.world.begins(pid);
            }
        }
        true
    }

    /// A process ends. A script may have done its work, which is that of `t`.
    fn finish(&mut self, pid: u32, well: bool) {
        let kernel = &mut self.world.kernel;
        let runs = kernel.processes.get(&pid).map(|p| p.runs);
        if let Some(Runs::Script(place, Some(target))) = runs
            && well
            && kernel
                .processes
                .get(&target)
                .is_some_and(|p| p.runs.place() == Some(place))
        {
            kernel.signal(target, model::signal::Signal::TERM);
        }
        let code = if well { 0 } else { 256 };
        kernel.end(pid, Exit::of_status(code));
    }

    fn arrive(&mut self, n: u32) {
        let mut pids = self.pids(|_| true);
        pids.retain(|pid| self.world.kernel.is_dying(*pid));
        if let Some(pid) = pids.get(n as usize % pids.len().max(1)) {
            self.world.kernel.end(*pid, Exit::of_status(15));
        }
    }

    fn command(&mut self, n: u32) {
        let places: Vec<Place> = self.world.places().collect();
        let byte = b"uuddootxxpck!"[n as usize % 13];
        if let Some(place) = places.get((n >> 8) as usize % places.len().max(1)) {
            // Only a successor asks for a release.
            if byte == b'k' {
                self.world.killed.insert(place.0);
            }
            if byte != RELEASE {
                self.world.send(*place, byte);
            }
        }
    }

    fn change(&mut self, n: u32) {
        let scan = &mut self.world.kernel.scan;
        let name = b'a' + (n >> 8) as u8 % 4;
        match n % 4 {
            0 => drop(scan.remove(&vec![name])),
            1 => {
                // Renamed, or a second link.
                let first = scan.first_key_value().map(|(n, d)| (n.clone(), *d));
                if let Some((old, dir)) = first {
                    scan.insert(vec![name], dir);
                    if n >> 16 & 1 == 0 && old != [name] {
                        scan.remove(&old);
                    }
                }
            }
            2 => {
                // What was there comes back.
                let dirs: Vec<Dir> = self.world.kernel.kinds.keys().copied().collect();
                if let Some(dir) = dirs.get((n >> 16) as usize % dirs.len().max(1)) {
                    scan.insert(vec![name], *dir);
                }
            }
            _ if self.world.kernel.kinds.len() < 6 => {
                self.world.chance = Random::new(u64::from(n));
                self.world.add_service(name);
            }
            _ => {}
        }
        for shell in &mut self.shells {
            shell.scan_event = true;
        }
    }

    fn change_log(&mut self, n: u32) {
        let count = self.world.kernel.kinds.len();
        let mut kinds = self.world.kernel.kinds.iter_mut();
        let Some((dir, kind)) = kinds.nth(n as usize % count.max(1)) else {
            return;
        };
        kind.log = !kind.log;
        for shell in &mut self.shells {
            let units = shell.units.iter().filter(|(_, unit)| unit.dir == *dir);
            shell.log_events.extend(units.map(|(id, _)| *id));
        }
    }

    fn stranger(&mut self, n: u32) {
        let strangers = self.pids(|runs| *runs == Runs::Stranger);
        if n.is_multiple_of(2) || strangers.len() > 8 {
            if let Some(pid) = strangers.get((n >> 8) as usize % strangers.len().max(1)) {
                self.world.kernel.end(*pid, Exit::of_status(0));
            }
        } else {
            if n >> 16 & 3 != 0 {
                self.world.kernel.wrap(n as usize >> 18);
            }
            self.world.kernel.spawn(None, Runs::Stranger);
        }
    }

    /// One turn of a supervisor's loop. Some of what is ready may not be seen
    /// yet, and it comes in any order; `all`: everything is seen.
    fn round(&mut self, index: usize, all: bool) -> Result<(), String> {
        let mut shell = self.shells.remove(index);
        let world = &mut self.world;
        let stop = match turn(&mut shell, world, all) {
            Ok(None) => {
                self.shells.insert(index, shell);
                self.shells.append(&mut self.world.born);
                return Ok(());
            }
            Ok(Some(_)) => None,
            Err(Stop::Killed) => check_killed(world).err(),
            Err(Stop::Wrong(what)) => Some(what),
        };
        world.kernel.bury(shell.boss);
        self.shells.append(&mut self.world.born);
        stop.map_or(Ok(()), Err)
    }
}
