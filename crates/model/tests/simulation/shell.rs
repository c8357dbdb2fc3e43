//! One supervisor process on the fake kernel: the counterpart of `engine` in the
//! crate sunup. It holds what is open, hands inputs in, and does actions; and it
//! may be killed before any action.

mod files;
mod starts;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use model::scan::Identity;
use model::service::{Pid, Role};
use model::supervisor::{Action, Id, Input, Job, Scope, Supervisor, UnitId};
use model::time::Instant;

use super::checks::{check_crash_loops, check_supervisor};
use super::kernel::{Boss, Dir, Place, Serial};
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
    /// A logger that was found without its service: it came to the end of its pipe
    /// while no supervisor lived. And until when it may take to end.
    pub former: Option<(Serial, Instant)>,
    pub main: Half,
    pub log: Option<Half>,
}

#[derive(Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened or not"
)]
pub struct Half {
    /// The control fifo is open.
    pub furnished: bool,
    /// The last write of the state files failed: they tell of something earlier.
    pub unwritten: bool,
    /// A process that is watched by descriptor.
    pub pidfd: Option<Serial>,
    /// Which process the supervisor has to take for the service's.
    pub truth: Option<Serial>,
    /// The notification pipe is open.
    pub hears: bool,
    /// The run has said by a message that it is ready.
    pub has_said: bool,
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

    /// Whether a process of it is on its way.
    pub fn is_starting(&self, id: Id) -> bool {
        let mut starts = self.starting.iter();
        starts.any(|start| start.job.is_process() && start.job.id() == id)
    }

    pub fn half_mut(&mut self, id: Id) -> Option<&mut Half> {
        self.units.get_mut(&id.unit)?.half_mut(id.role)
    }

    /// The directory of a service or logger.
    pub fn place(&self, id: Id) -> Option<Place> {
        Some((self.units.get(&id.unit)?.dir, id.role))
    }

    /// Every service and logger that is open, with its place and what is known of it.
    pub fn halves(&self) -> impl Iterator<Item = (Id, Place, &Half)> {
        self.units.iter().flat_map(|(unit, open)| {
            let roles = [Role::Main, Role::Log].into_iter();
            roles.filter_map(move |role| {
                let id = Id { unit: *unit, role };
                Some((id, (open.dir, role), open.half(role)?))
            })
        })
    }

    /// Every service and logger that is open.
    pub fn ids(&self) -> Vec<Id> {
        self.halves().map(|(id, ..)| id).collect()
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

    /// All answers, and those of what follows from them.
    pub fn settle(&mut self, world: &mut World) -> Result<(), Stop> {
        while !self.starting.is_empty() {
            self.take_all_answers(world, None);
            self.act(world)?;
        }
        Ok(())
    }

    /// What comes before all else.
    pub fn begin(&mut self, world: &mut World) -> Result<(), Stop> {
        match self.first.take() {
            Some(first) => self.feed(world, first),
            None => Ok(()),
        }
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

    fn perform(&mut self, world: &mut World, action: Action) -> Result<Option<Input>, Stop> {
        match action {
            Action::Start(job, _) => {
                let now = world.kernel.now;
                self.check_start(job, now).map_err(Stop::Wrong)?;
                self.check_setup(world, job).map_err(Stop::Wrong)?;
                self.check_needs(world, job).map_err(Stop::Wrong)?;
                return Ok(self.start(world, job));
            }
            Action::Signal(id, pid, signal) => self.signal(world, id, pid, signal)?,
            Action::Group(id, pid, signal) => return Ok(Some(Self::group(world, id, pid, signal))),
            Action::Show {
                id,
                facts,
                files,
                lines,
            } => return self.show(world, id, facts, files, &lines),
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
                    world.touch(open.dir);
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
            Action::ReadEdges(unit, then) => {
                let edges = self.units.get(&unit).map(|open| world.edges_of(open.dir));
                let edges = edges.unwrap_or_default();
                return Ok(Some(Input::EdgesRead(unit, edges, then)));
            }
            // What a directory says does not change.
            Action::Say(_)
            | Action::WatchEdges(_)
            | Action::UnwatchEdges(_)
            | Action::KillCheck(..) => {}
        }
        Ok(None)
    }
}
