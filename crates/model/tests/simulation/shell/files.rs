//! What is done in a service directory, and to its process.

use super::super::kernel::{
    self, DOWN_SIGNAL, FINISH_MS, KILL_MS, Kind, Place, Process, Runs, TICK_NS, WRAP_MS, identity,
};
use super::super::wishes::Wishes;
use super::super::world::World;
use super::{Half, Shell, Stop, Unit};
use model::adoption::{Evidence, Inheritance, Seen};
use model::facts::{Facts, Files, Line, StateFiles};
use model::format::adopt::{Mark, Part};
use model::format::kill::Kill;
use model::format::status::{Phase, Status};
use model::scan::Identity;
use model::service::{Exit, Pid, Role, Want};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::supervisor::{Id, Input, Log, Opened, UnitId};

impl Shell {
    pub(super) fn signal(
        &mut self,
        world: &mut World,
        id: Id,
        pid: Pid,
        signal: Signal,
    ) -> Result<(), Stop> {
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
                "{signal} for {place:?} is sent to {target}, which is somebody else"
            )));
        }
        let process = world.kernel.processes.get(&target);
        let is_overdue = |process: &Process| {
            let due = process.started.plus_ms(FINISH_MS.into());
            matches!(process.runs, Runs::Finish(_)) && due <= world.kernel.now
        };
        let kind = world.kernel.kinds.get(&place.0);
        let has_time = kind.is_some_and(|kind| kind.stops);
        let is_late = signal == Signal::KILL && has_time && process.is_some_and(is_overdue);
        let is_late = is_late | Self::check_overdue(world, place, (target, signal))?;
        if !is_late && !world.touched.contains(&place.0) {
            return Err(Stop::Wrong(format!(
                "nobody asked for {signal} to {place:?}"
            )));
        }
        check_signal(world, place, target, signal)?;
        world.kernel.signal(target, signal);
        Ok(())
    }

    /// Something may be left of a group, as long as it has not got KILL.
    pub(super) fn group(world: &mut World, id: Id, pid: Pid, signal: Option<Signal>) -> Input {
        let is_left = signal != Some(Signal::KILL) && world.chance.below(3) > 0;
        Input::Group(id, pid, is_left)
    }

    /// What is written before the status.
    pub(super) fn show_early(
        &self,
        world: &mut World,
        id: Id,
        facts: &Facts,
        files: Files,
        lines: &[Line],
    ) {
        let Some(place) = self.place(id) else {
            return;
        };
        if files.mark && (facts.mark != Mark::None || world.rules.clears_first) {
            mark(world, place, facts.mark);
        }
        let shown = world.kernel.files(place);
        if files.crash_loop {
            shown.crash_loop = facts.crash_loop;
        }
        for line in lines {
            match line {
                Line::Last(last) => {
                    shown.last = Some(*last);
                    shown.lasts += 1;
                    shown.owes = None;
                }
                Line::Ready(ready) => shown.ready = *ready,
                _ => {}
            }
        }
    }

    pub(super) fn show(
        &mut self,
        world: &mut World,
        id: Id,
        facts: Facts,
        files: Files,
        lines: &[Line],
    ) -> Result<Option<Input>, Stop> {
        self.show_early(world, id, &facts, files, lines);
        if files.state == StateFiles::None {
            return Ok(None);
        }
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
        self.show_status(world, id, &facts);
        if files.mark && facts.mark == Mark::None {
            mark(world, place, facts.mark);
        }
        Ok(None)
    }

    /// Writes the status: from now on it counts.
    pub(super) fn show_status(&mut self, world: &mut World, id: Id, facts: &Facts) {
        let place = self.place(id);
        let Some((half, place)) = self.half_mut(id).zip(place) else {
            return;
        };
        half.furnished = true;
        let status = facts.status();
        let files = world.kernel.files(place);
        note_end(files, &status);
        files.status = Some(status);
        files.readers.insert(self.boss);
        world.wishes(place).written();
    }

    pub(super) fn open(
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
            former: None,
            main: Half::default(),
            log: kind.log.then(Half::default),
        };
        let main = self.open_half(world, &mut open.main, (dir, Role::Main), short)?;
        let log = match &mut open.log {
            Some(log) => Some(self.open_half(world, log, (dir, Role::Log), short)?),
            None => None,
        };
        let logger = open.log.as_ref().and_then(|log| log.pidfd);
        let until = world.kernel.now.plus_ms(1000);
        open.former = logger.map(|serial| (serial, until));
        if open.main.pidfd.is_some() {
            open.former = None;
        }
        self.units.insert(unit, open);
        Ok(Input::Opened(Opened {
            unit,
            name,
            identity: wanted,
            main,
            log,
            edges: world.edges_of(dir),
        }))
    }

    /// Locks one of the two and looks for its process. `short`: of descriptors.
    pub(super) fn open_half(
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
        let pid = record.map(|r| r.pid);
        let here = world.kernel.world();
        let evidence = Evidence {
            role: place.1,
            default: if is_down { Want::Down } else { Want::Up },
            since: model::time::Instant(0),
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
        let mut found = (world.rules.judge)(&evidence, world.kernel.moment());
        if process.is_some_and(|p| found.adopted && p.runs.place() != Some(place)) {
            return Err(Stop::Wrong(format!("{place:?} adopts {process:?}")));
        }
        half.pidfd = process.filter(|_| found.adopted).map(|p| p.serial);
        half.truth = half.pidfd;
        half.hears = true;
        if files.record.is_some_and(|r| r.world == here) {
            world.wishes(place).taken_over(files.status.is_some());
        } else {
            *world.wishes(place) = Wishes::none();
            let files = world.kernel.files(place);
            (files.status, files.last, files.ran, files.ready) = (None, None, None, None);
        }
        // If what came after the run has its record, nobody knows how the run ended.
        let phase = found.service.phase();
        let files = world.kernel.files(place);
        files.ran = files.ran.filter(|(ran, _)| phase == (Phase::Run, *ran));
        // Whoever was killed may have owed it.
        files.owes = None;
        world.kernel.files(place).lock.insert(self.boss);
        if let (Role::Main, true, Some(pid)) = (place.1, found.adopted, pid) {
            Self::adopt_words(world, (place.0, pid), &mut found);
        }
        if let (Role::Main, true, Some(_)) =
            (place.1, found.adopted, found.service.look_when_adopted())
        {
            let kind = world.kernel.kinds.get(&place.0).copied();
            let asked = stop_settings(kind.unwrap_or_default());
            found.service = found.service.has_time_again(&asked, world.kernel.now);
        }
        Ok(found)
    }

    /// Looks what is in a directory. Every other service asks for delays that grow.
    pub(super) fn look(
        &mut self,
        world: &mut World,
        id: Id,
        look: Look,
        log: bool,
    ) -> Result<Input, Stop> {
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
        if look.is_start()
            && let Some(dir) = dir
        {
            world.note_look(dir);
        }
        let found = Settings {
            setup: kind.setup,
            run: !kind.no_run || !kind.setup,
            finish: kind.finish,
            scripts: scripts.collect(),
            backoff: (grows && asks).then_some(8),
            ..stop_settings(kind)
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

    pub(super) fn look_at_log(
        &mut self,
        world: &mut World,
        unit_id: UnitId,
        look: Look,
    ) -> Result<Log, Stop> {
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
                world.touch(unit.dir);
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
                Log::Opened(Box::new(found))
            }
        })
    }

    pub(super) fn release(&mut self, world: &mut World, unit: UnitId, for_good: bool) {
        for id in self.ids().into_iter().filter(|id| id.unit == unit) {
            self.let_go(world, id, for_good);
        }
        self.units.remove(&unit);
    }

    /// Closes a supervise directory. `for_good`: nothing is left to adopt.
    pub(super) fn let_go(&self, world: &mut World, id: Id, for_good: bool) {
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
}

/// Writes the word into the record.
fn mark(world: &mut World, place: Place, mark: Mark) {
    let boot = world.kernel.boot;
    if let Some(record) = &mut world.kernel.files(place).record {
        record.mark = mark;
        if mark == Mark::Done && record.part == Part::Setup {
            world.done.insert(place, boot);
        }
    }
}

/// What a directory says about stops.
fn stop_settings(kind: Kind) -> Settings {
    let stop = Settings {
        down_signal: kind.stops.then_some(DOWN_SIGNAL),
        timeout_kill: kind.stops.then_some(KILL_MS),
        timeout_finish: kind.stops.then_some(FINISH_MS),
        kill: if kind.group {
            Kill::Group
        } else {
            Kill::Process
        },
        ..Settings::default()
    };
    kind.manners.settings(stop)
}

/// A service that says how it is stopped gets its own signal, and KILL in its time.
fn check_signal(world: &World, place: Place, target: Pid, signal: Signal) -> Result<(), Stop> {
    let kind = world.kernel.kinds.get(&place.0);
    let process = world.kernel.processes.get(&target);
    let (Some(process), true, Role::Main) = (process, kind.is_some_and(|kind| kind.stops), place.1)
    else {
        return Ok(());
    };
    // One whose start was late was told as any child is.
    if !matches!(process.runs, Runs::Run(_)) || process.late {
        return Ok(());
    }
    // Pids may come round between a decision and its act.
    let now = world.kernel.now.plus_ms(5 * WRAP_MS);
    let due = process.told.map(|told| told.plus_ms(KILL_MS.into()));
    let is_due = due.is_some_and(|due| due <= now) || process.words.had_its_time(now);
    match signal {
        Signal::TERM => Err(Stop::Wrong(format!("{place:?} gets TERM"))),
        Signal::KILL if !is_due && !world.killed.contains(&place.0) => {
            let told = process.told;
            Err(Stop::Wrong(format!("{place:?} gets KILL, told {told:?}")))
        }
        _ => Ok(()),
    }
}

/// Soon after a status says that a run has ended, `last` says how; or before it.
fn note_end(files: &mut kernel::Files, status: &Status) {
    match (status.phase, files.ran) {
        (Phase::Run, _) => {
            files.ran = (status.pid != 0).then_some((status.pid, files.lasts));
        }
        (_, Some((ran, lasts))) => {
            files.ran = None;
            if files.lasts == lasts {
                files.owes = Some(ran);
            }
        }
        (_, None) => {}
    }
}
