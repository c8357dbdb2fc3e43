//! The fake kernel: processes with pids that come back soon, files that survive
//! their writers, locks, fifos, and two clocks.

use std::collections::{BTreeMap, BTreeSet};

use model::format::adopt::{Mark, Part, Record, World};
use model::format::crash_loop::CrashLoop;
use model::format::state::last::Last;
use model::format::state::ready::Ready;
use model::format::status::Status;
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Exit, Pid, Role};
use model::signal::Signal;
use model::time::Instant;

use super::readiness::{Manners, Words};

/// Pids are below this, so each comes back after a few processes.
const PIDS: Pid = 34;
/// No machine starts so many processes in one tick that a pid comes back (ms).
pub const WRAP_MS: u64 = 20;
/// What /proc counts times in.
pub const TICK_NS: u64 = 10_000_000;

/// Number of a process; never used twice, and unknown to the supervisor.
pub type Serial = u64;
/// Number of a supervisor; never used twice.
pub type Boss = u32;
/// A service directory, by its inode.
pub type Dir = u64;
/// The directory of a service or of its logger.
pub type Place = (Dir, Role);

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    Setup(Place),
    Run(Place),
    Finish(Place),
    /// A control script; the service's process that it was told of.
    Script(Place, Option<Pid>),
    /// Something that has nothing to do with services.
    Stranger,
}

impl Kind {
    pub fn is_oneshot(self) -> bool {
        self.setup && self.no_run
    }
}

impl Runs {
    /// Whose process it is, scripts left out.
    pub fn place(self) -> Option<Place> {
        match self {
            Self::Setup(place) | Self::Run(place) | Self::Finish(place) => Some(place),
            Self::Script(..) | Self::Stranger => None,
        }
    }
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may be so at any time")]
pub struct Process {
    pub serial: Serial,
    /// `None`: init, which reaps at once.
    pub parent: Option<Boss>,
    pub runs: Runs,
    pub started: Instant,
    /// It ended and was not reaped yet.
    pub zombie: Option<Exit>,
    pub stopped: bool,
    /// TERM or KILL was sent, and has not arrived.
    pub dying: BTreeSet<Signal>,
    /// It was told to end then.
    pub told: Option<Instant>,
    /// Between clone and exec: it has written no record yet, and holds what its
    /// supervisor, which was killed, held open.
    pub starting: Option<Boss>,
    /// It has written its record, and hangs in its exec.
    pub hangs: bool,
    /// Its supervisor said that its start is late.
    pub late: bool,
    /// The disk had no room for its record.
    pub unrecorded: bool,
    pub words: Words,
}

/// What a supervise directory holds.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub record: Option<Record>,
    pub status: Option<Status>,
    pub crash_loop: Option<CrashLoop>,
    pub last: Option<Last>,
    pub ready: Option<Ready>,
    /// How often `last` was written.
    pub lasts: u32,
    /// The run that `status` showed last, until it shows that it has ended; and how often
    /// `last` was written before.
    pub ran: Option<(Pid, u32)>,
    /// A run that has ended, by `status`, of which `last` is still to tell.
    pub owes: Option<Pid>,
    pub lock: BTreeSet<Boss>,
    /// Supervisors that have the control fifo open, and what is in it.
    pub readers: BTreeSet<Boss>,
    pub fifo: Vec<u8>,
}

/// What a service directory holds besides; it does not change.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a file that is there or not"
)]
pub struct Kind {
    pub down: bool,
    pub log: bool,
    pub log_down: bool,
    pub finish: bool,
    /// `./run` cannot be executed.
    pub broken: bool,
    pub script_u: bool,
    pub script_t: bool,
    pub script_d: bool,
    /// It says how it is stopped.
    pub stops: bool,
    pub setup: bool,
    /// With `setup` alone it is a oneshot.
    pub no_run: bool,
    /// Only KILL ends it.
    pub deaf: bool,
    /// Its whole group is stopped.
    pub group: bool,
    pub manners: Manners,
}

/// What a service that says how it is stopped asks for.
pub const DOWN_SIGNAL: Signal = match Signal::new(37) {
    Some(signal) => signal,
    None => Signal::TERM,
};
/// See [`DOWN_SIGNAL`].
pub const KILL_MS: u32 = 3000;
/// See [`DOWN_SIGNAL`].
pub const FINISH_MS: u32 = 2000;

#[derive(Clone, Debug)]
pub struct Kernel {
    pub now: Instant,
    pub wall_s: i64,
    pub boot: u32,
    pub processes: BTreeMap<Pid, Process>,
    pub files: BTreeMap<Place, Files>,
    pub kinds: BTreeMap<Dir, Kind>,
    /// The scan directory.
    pub scan: BTreeMap<Vec<u8>, Dir>,
    next_pid: Pid,
    next_serial: Serial,
}

impl Kernel {
    pub fn new() -> Self {
        Self {
            now: Instant(5_000_000_000),
            wall_s: 1_700_000_000,
            boot: 1,
            processes: BTreeMap::new(),
            files: BTreeMap::new(),
            kinds: BTreeMap::new(),
            scan: BTreeMap::new(),
            next_pid: 2,
            next_serial: 1,
        }
    }

    pub fn moment(&self) -> Moment {
        let wall = Tai64n::from_unix(self.wall_s + (self.now.0 / 1_000_000_000) as i64, 0);
        Moment { at: self.now, wall }
    }

    pub fn world(&self) -> World {
        World {
            boot_id: format!("boot-{}", self.boot),
            pid_namespace: 1,
        }
    }

    pub fn files(&mut self, place: Place) -> &mut Files {
        self.files.entry(place).or_default()
    }

    /// A new process; `None` if there is no pid left.
    pub fn spawn(&mut self, parent: Option<Boss>, runs: Runs) -> Option<Pid> {
        let free = |pid: &Pid| !self.processes.contains_key(pid);
        let pid = (self.next_pid..PIDS).chain(2..self.next_pid).find(free)?;
        if pid < self.next_pid {
            self.now = self.now.plus_ms(WRAP_MS);
        }
        self.next_pid = if pid + 1 < PIDS { pid + 1 } else { 2 };
        self.next_serial += 1;
        let process = Process {
            serial: self.next_serial,
            parent,
            runs,
            started: Instant(self.now.0 / TICK_NS * TICK_NS),
            zombie: None,
            stopped: false,
            dying: BTreeSet::new(),
            told: None,
            starting: None,
            hangs: false,
            late: false,
            unrecorded: false,
            words: Words::default(),
        };
        self.processes.insert(pid, process);
        Some(pid)
    }

    /// So many processes came and went that the next one gets a pid that some
    /// record names, if it is free.
    pub fn wrap(&mut self, n: usize) {
        let recorded = self
            .files
            .values()
            .filter_map(|f| Some(f.record.as_ref()?.pid));
        let mut free: Vec<Pid> = recorded
            .filter(|pid| !self.processes.contains_key(pid))
            .collect();
        if !free.is_empty() {
            self.now = self.now.plus_ms(WRAP_MS);
            self.next_pid = free.swap_remove(n % free.len());
        }
    }

    /// The child writes its record. In place, it needs no room on the disk.
    pub fn write_record(&mut self, pid: Pid, room: bool) {
        let (world, at) = (self.world(), self.now);
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let (part, place) = match process.runs {
            Runs::Setup(place) => (Part::Setup, place),
            Runs::Run(place) => (Part::Run, place),
            Runs::Finish(place) => (Part::Finish, place),
            Runs::Script(..) | Runs::Stranger => return,
        };
        let record = &mut self.files.entry(place).or_default().record;
        if record.is_none() && !room {
            process.unrecorded = true;
            return;
        }
        *record = Some(Record {
            part,
            world,
            pipe: 0,
            pid,
            at,
            mark: Mark::None,
        });
    }

    /// A process ends; init reaps its children at once.
    pub fn end(&mut self, pid: Pid, exit: Exit) {
        if let Some(process) = self.processes.get_mut(&pid) {
            match process.parent {
                Some(_) if process.zombie.is_none() => process.zombie = Some(exit),
                Some(_) => {}
                None => drop(self.processes.remove(&pid)),
            }
        }
    }

    /// Signals act at once (STOP, CONT), later (TERM, KILL), or not at all.
    pub fn signal(&mut self, pid: Pid, signal: Signal) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        // What has not loaded its program heeds every signal.
        let is_loaded = process.starting.is_none() && !process.hangs;
        let runs_service = matches!(process.runs, Runs::Run(_)) && is_loaded;
        let place = process
            .runs
            .place()
            .filter(|place| runs_service && place.1 == Role::Main);
        let kind = place.and_then(|(dir, _)| self.kinds.get(&dir));
        let is_deaf = kind.is_some_and(|kind| kind.stops && kind.deaf);
        match signal {
            Signal::TERM | DOWN_SIGNAL => {
                process.told.get_or_insert(now);
                if !is_deaf {
                    process.dying.insert(Signal::TERM);
                }
            }
            Signal::STOP => process.stopped = true,
            Signal::CONT => process.stopped = false,
            Signal::KILL => drop(process.dying.insert(signal)),
            _ => {}
        }
    }

    /// Whether a signal that was sent can end the process now.
    pub fn is_dying(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(|p| {
            p.zombie.is_none()
                && p.starting.is_none()
                && (p.dying.contains(&Signal::KILL)
                    || (!p.stopped && p.dying.contains(&Signal::TERM)))
        })
    }

    /// A supervisor is gone, in whatever way.
    pub fn bury(&mut self, boss: Boss) {
        let held = self.processes.values().any(|p| p.starting == Some(boss));
        for files in self.files.values_mut().filter(|_| !held) {
            files.lock.remove(&boss);
            if files.readers.remove(&boss) && files.readers.is_empty() {
                files.fifo.clear();
            }
        }
        self.processes
            .retain(|_, p| p.parent != Some(boss) || p.zombie.is_none());
        for process in self.processes.values_mut() {
            if process.parent == Some(boss) {
                process.parent = None;
            }
        }
    }

    /// All that has no parent becomes a child of a supervisor, as if that were
    /// PID 1 and had been started anew in the same process.
    pub fn inherit(&mut self, boss: Boss) {
        for process in self.processes.values_mut() {
            if process.parent.is_none() && process.runs != Runs::Stranger {
                process.parent = Some(boss);
            }
        }
    }

    /// Everything but the files is lost.
    pub fn reboot(&mut self) {
        self.boot += 1;
        self.now = Instant(4_000_000_000);
        self.processes.clear();
        self.next_pid = 2;
        for files in self.files.values_mut() {
            files.lock.clear();
            files.readers.clear();
            files.fifo.clear();
        }
    }

    /// All pids may have come round since a child that stalled got its own; yet that
    /// is not given again in the tick of its record.
    pub fn pass_tick(&mut self) {
        self.now = self.now.plus_ms(WRAP_MS);
    }

    /// A child whose supervisor was killed meanwhile gets as far as its exec.
    pub fn go_on(&mut self, pid: Pid, room: bool) {
        self.write_record(pid, room);
        self.pass_tick();
        let process = self.processes.get_mut(&pid);
        if let Some(boss) = process.and_then(|p| p.starting.take()) {
            self.bury(boss);
        }
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self, place: Place) -> bool {
        self.files.get(&place).is_some_and(|f| !f.lock.is_empty())
    }

    /// The pid of a process that is known by its number, while it is not reaped.
    pub fn pid_of(&self, serial: Serial) -> Option<Pid> {
        let mut processes = self.processes.iter();
        processes
            .find(|(_, p)| p.serial == serial)
            .map(|(pid, _)| *pid)
    }

    /// Whether a process has ended, reaped or not.
    pub fn has_ended(&self, serial: Serial) -> bool {
        let mut processes = self.processes.values();
        !processes.any(|p| p.serial == serial && p.zombie.is_none())
    }

    /// The living processes of a service or logger.
    pub fn living(&self, place: Place) -> impl Iterator<Item = (Pid, &Process)> {
        let processes = self.processes.iter().map(|(pid, p)| (*pid, p));
        processes.filter(move |(_, p)| p.runs.place() == Some(place) && p.zombie.is_none())
    }
}

pub fn identity(dir: Dir) -> Identity {
    Identity { dev: 1, ino: dir }
}
