//! Starts of programs, their answers, and what happens in between.

use super::super::kernel::{Place, Runs, Serial};
use super::super::world::World;
use super::{Shell, Start, Stop};
use model::format::adopt::Mark;
use model::service::{Exit, Failure, Pid, Role};
use model::supervisor::{Action, Id, Input, Job, UnitId};
use model::time::Instant;

impl Shell {
    /// What is started may be over before its answer is handed in, or hang.
    pub(super) fn load(&self, world: &mut World) {
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

    pub(super) fn is_late(&mut self, world: &mut World, start: Start) -> Result<(), Stop> {
        for other in &mut self.starting {
            other.is_late |= other.serial == start.serial;
        }
        let of_process = start.job.is_process();
        if let Some(half) = self.half_mut(start.job.id()).filter(|_| of_process) {
            half.truth = Some(start.serial);
            half.pidfd = None;
        }
        if let Some(process) = world.kernel.processes.get_mut(&start.pid) {
            process.late = true;
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

    /// Killed instead of an action, or in the midst of it.
    pub(super) fn killed_at(&mut self, world: &mut World, action: &Action) {
        if let Action::Show {
            id,
            facts,
            files,
            lines,
        } = action
            && world.chance.one_in(2)
        {
            self.show_early(world, *id, facts, *files, lines);
            if files.mark && facts.mark == Mark::None && world.chance.one_in(2) {
                self.show_status(world, *id, facts);
            }
        }
        if let Action::Start(job, _) = action
            && job.is_process()
            && world.chance.one_in(2)
            && let Some(place) = self.place(job.id())
            && let Some(pid) = world.kernel.spawn(Some(self.boss), runs(*job, place))
            && let Some(process) = world.kernel.processes.get_mut(&pid)
        {
            process.starting = Some(self.boss);
        }
    }

    /// A service has its logger, and none is called back when its supervisor leaves.
    pub(super) fn check_start(&mut self, job: Job, now: Instant) -> Result<(), String> {
        let (id, leaves) = (job.id(), self.leaves);
        let logger = Role::Log;
        if job == Job::Run(Id { role: logger, ..id })
            && let Some(unit) = self.units.get_mut(&id.unit)
        {
            unit.former = None;
        }
        let Some(unit) = self.units.get(&id.unit).filter(|_| id.role == Role::Main) else {
            return Ok(());
        };
        match job {
            Job::Prepare(_) if leaves && !unit.called => Err(format!("{job:?}: nobody asked")),
            Job::Run(_) if unit.log.is_some() && !unit.piped && !unit.sheds => {
                Err(format!("{job:?}: its log pipe is closed"))
            }
            Job::Run(_) if !unit.called && unit.former.is_some_and(|(_, until)| now < until) => {
                let log = Id { role: logger, ..id };
                let runs = self.core.service(log).is_some_and(|s| s.phase().1 != 0);
                let text = format!("{job:?}: its lines would be in nobody else's hands");
                if runs { Err(text) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// What is done is not done again in the same boot.
    pub(super) fn check_setup(&self, world: &World, job: Job) -> Result<(), String> {
        let place = self.place(job.id());
        let done = place.and_then(|place| world.done.get(&place));
        match (job, done) {
            (Job::Setup(_), Some(boot)) if *boot == world.kernel.boot => {
                Err(format!("{place:?} is done again"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a child on its way; an answer if there is none.
    pub(super) fn start(&mut self, world: &mut World, job: Job) -> Option<Input> {
        let Some(place) = self.place(job.id()) else {
            return Some(Input::NotStarted(job, Failure::Absent));
        };
        // It counts as undone also if that cannot be started.
        if matches!(job, Job::Finish(..)) {
            world.done.remove(&place);
        }
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
    pub(super) fn answer(&mut self, world: &mut World, at: usize) {
        let Start { job, pid, .. } = self.starting.remove(at);
        let answer = self.finish(world, job, pid);
        world.note(|| format!("    {}: => {answer:?}", self.boss));
        self.core.handle(world.kernel.moment(), answer);
    }

    pub(super) fn finish(&mut self, world: &mut World, job: Job, pid: Pid) -> Input {
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

    pub(super) fn started(&mut self, job: Job, pid: Pid, serial: Option<Serial>) -> Input {
        if let Some(half) = self.half_mut(job.id()).filter(|_| job.is_process()) {
            half.truth = serial;
            half.pidfd = None;
            (half.hears, half.has_said) = (true, false);
        }
        Input::Started(job, pid)
    }
}

fn runs(job: Job, place: Place) -> Runs {
    match job {
        Job::Setup(_) => Runs::Setup(place),
        Job::Run(_) => Runs::Run(place),
        Job::Finish(..) => Runs::Finish(place),
        Job::Prepare(_) | Job::Check(_) => Runs::Script(place, None),
        Job::Script(_, _, pid) | Job::Epilogue(_, _, pid) => Runs::Script(place, Some(pid)),
    }
}
