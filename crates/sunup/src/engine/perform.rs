//! Performs what the supervisor decided: the system calls behind each [`Action`].

use std::ffi::OsStr;
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use model::facts::{Facts, Files, Line, StateFiles};
use model::format::adopt::Mark;
use model::scan::{Identity, Name};
use model::service::{Pid, Role};
use model::settings::OWNER;
use model::signal::Signal;
use model::supervisor::{self, Action, Id, Input, Supervisor, UnitId};
use rustix::fs::{AtFlags, CWD, readlinkat, statat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::adopt::LogPipe;
use super::half::About;
use super::open_unit::{Ground, OpenUnit, Opened, Place};
use super::scandir::ScanDir;
use super::supervise::OpenError;
use super::{Engine, Token, keeper, supervise};
use crate::say;
use crate::sys::descriptors::FLEETING;
use crate::sys::pidfd::is_gone;
use crate::sys::signal;

/// How many further descriptors are open while a service and its logger are opened: their
/// directories and the other end of the pipe.
const OPENING: usize = 4;

impl Engine {
    /// Performs one action; returns its answer.
    pub(super) fn perform(&mut self, action: Action) -> Option<Input> {
        let unit = action.unit();
        self.begin(unit);
        let answer = self.perform_there(action);
        let unit = unit.filter(|_| self.is_short);
        if unit.is_some() {
            self.launcher.wait();
        }
        if let Some(unit) = unit.and_then(|unit| self.units.get_mut(&unit)) {
            unit.rest();
        }
        answer
    }

    /// After a failure: returns whether another try makes sense, because descriptors were
    /// short. From then on, the engine closes descriptors that it can open again.
    pub(super) fn makes_room(&mut self, e: &std::io::Error) -> bool {
        let errno = Errno::from_io_error(e);
        if self.is_short || !matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
            return false;
        }
        self.is_short = true;
        self.launcher.wait();
        self.units.values_mut().for_each(|unit| unit.rest());
        true
    }

    /// Makes sure that the directories of a unit are open.
    fn begin(&mut self, unit_id: Option<UnitId>) {
        let unit = unit_id.and_then(|unit| self.units.get_mut(&unit));
        let Some((unit, id)) = unit.zip(unit_id) else {
            return;
        };
        for (role, half) in unit.halves_mut() {
            let id = Id { unit: id, role };
            half.begin(|| path_of(self.scan_dir.as_ref(), &self.core, id));
        }
        if let Some(pipe) = &mut unit.pipe {
            pipe.begin();
        }
    }

    fn perform_there(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Start(job, announce) => {
                self.budget.start();
                self.start(job, announce)
            }
            Action::Signal(id, pid, signal) => {
                self.send(id, pid, signal.number().into());
                None
            }
            Action::Group(id, pid, signal) => {
                Some(Input::Group(id, pid, signal_group(pid, signal)))
            }
            Action::Show {
                id,
                facts,
                files,
                lines,
            } => self.show(id, &facts, files, &lines),
            Action::Open {
                unit,
                name,
                identity,
            } => Some(self.open(unit, &name, identity)),
            Action::Look { id, look, log } => Some(self.look(id, look, log)),
            Action::LookAtPipe(unit) => Some(self.look_at_pipe(unit)),
            Action::ReadEdges(unit, then) => {
                let name = self.core.name(unit).cloned().unwrap_or_default();
                let edges = self.read_edges(unit, &name);
                Some(Input::EdgesRead(unit, edges, then))
            }
            Action::WatchEdges(unit) => self.watch_edges(unit),
            Action::Scan => Some(self.scan()),
            Action::LookForLiving(places) => Some(self.look_for_living(&places)),
            Action::Leave => Some(self.leave()),
            unanswered => {
                self.carry_out(unanswered);
                None
            }
        }
    }

    /// Performs an action that has no answer.
    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Ask(name) => {
                if let Some(scan_dir) = &self.scan_dir {
                    keeper::ask_for(&scan_dir.path_of(&name));
                }
            }
            Action::ClosePipe(unit) => {
                if let Some(pipe) = self.units.get_mut(&unit).and_then(|u| u.pipe.as_mut()) {
                    pipe.begin();
                    pipe.write = None;
                }
            }
            Action::CloseLog(unit) => {
                self.launcher.wait();
                if let Some(unit) = self.units.get_mut(&unit) {
                    if let Some(log) = unit.log.take() {
                        log.supervise.release(log.state_home());
                    }
                    unit.pipe = None;
                }
            }
            Action::OpenPipe(unit) => self.open_pipe(unit),
            Action::Dismiss(unit) => {
                if let Some(unit) = self.remove(unit) {
                    for half in [Some(&unit.main), unit.log.as_deref()]
                        .into_iter()
                        .flatten()
                    {
                        half.supervise.release(half.state_home());
                    }
                    if let Some(ears) = unit.ears {
                        ears.close();
                    }
                }
            }
            Action::Release(unit) => drop(self.remove(unit)),
            Action::KillCheck(_, pid) => {
                // If its session is not its own, its group is this process'.
                let group = rustix::process::Pid::from_raw(pid as i32).and_then(|of| {
                    let group = rustix::process::getpgid(Some(of)).ok()?;
                    (group != rustix::process::getpgrp()).then_some(group)
                });
                let group = group.map(|group| group.as_raw_pid() as Pid);
                drop(group.map(|group| signal::kill_group(group, signal::SIGKILL)));
                drop(signal::kill(pid, signal::SIGKILL));
            }
            Action::UnwatchEdges(unit) => {
                if let Some(scan_dir) = &mut self.scan_dir {
                    scan_dir.leave_names(unit);
                }
            }
            Action::Say(text) => say::offer(self.who, text),
            Action::Start(..)
            | Action::Signal(..)
            | Action::Group(..)
            | Action::Show { .. }
            | Action::Open { .. }
            | Action::Look { .. }
            | Action::LookAtPipe(_)
            | Action::ReadEdges(..)
            | Action::WatchEdges(_)
            | Action::Scan
            | Action::LookForLiving(_)
            | Action::Leave => {}
        }
    }

    /// The logger that still reads the old pipe has its own descriptors.
    fn open_pipe(&mut self, unit: UnitId) {
        let make = || LogPipe::take_over(&[]);
        let pipe = make().or_else(|e| {
            let again = self.makes_room(&e);
            if again { make() } else { Err(e) }
        });
        let role = Role::Log;
        match (pipe, self.units.get_mut(&unit)) {
            (Ok(pipe), Some(unit)) => unit.pipe = Some(pipe),
            (Ok(_), None) => {}
            (Err(e), _) => {
                let title = self.title_of(Id { unit, role });
                say::offer(self.who, format_args!("{title}: make the log pipe: {e}"));
            }
        }
    }

    /// Sends a signal to the process of a service, by its descriptor if it has one.
    pub(super) fn send(&mut self, id: Id, pid: Pid, number: signal::Signal) {
        let held = self.half(id).and_then(|half| half.pidfd.as_ref());
        let sent = held.map(|fd| signal::send_by_pidfd(fd.as_fd(), number));
        // The process has just ended and will be reaped: nothing to report.
        drop(sent.unwrap_or_else(|| signal::kill(pid, number)));
    }

    fn show(&mut self, id: Id, facts: &Facts, files: Files, lines: &[Line]) -> Option<Input> {
        self.let_go(id);
        let half = self.half(id)?;
        // A stop is in one of the two at every moment.
        let is_cleared = facts.mark == Mark::None;
        if files.mark && !is_cleared {
            half.supervise.mark(facts.mark);
        }
        if files.crash_loop {
            supervise::show_crash_loop(half.site(), facts.crash_loop.as_ref());
        }
        for line in lines {
            supervise::show_line(half.site(), line);
        }
        if files.state == StateFiles::None {
            return None;
        }
        let answer = self.show_state(id, facts, files);
        let is_shown = !matches!(answer, Some(Input::NotWritten(_)));
        if files.mark && is_cleared && is_shown {
            self.half(id)?.supervise.mark(facts.mark);
        }
        answer
    }

    /// The state files that runit writes, too, and the fifos.
    fn show_state(&mut self, id: Id, facts: &Facts, files: Files) -> Option<Input> {
        let half = self.half(id)?;
        // Write the status before the fifos are made: a client that can open a fifo can
        // then read a status, unless it cannot be written. Commands work even then.
        let shown = half
            .show(facts, files)
            .map_err(|e| ("write supervise/status", e));
        let anew = *shown.as_ref().unwrap_or(&false);
        let watched = match half.furnish(anew, facts.is_named) {
            Ok(false) => Ok(()),
            Ok(true) => self.watch_control(id),
            Err(failed) => Err(failed),
        };
        let Err((attempt, e)) = shown.and(watched) else {
            self.half(id)?.is_well(About::Files);
            // A start does not wait for the rest of the files.
            let late = id.role == Role::Main && files.state == StateFiles::All;
            return late.then(|| self.watch_home(id.unit))?;
        };
        if self.makes_room(&e) {
            self.begin(Some(id.unit));
            return self.show_state(id, facts, files);
        }
        if self.half(id)?.is_removed() {
            // Nobody can look there any more.
            return None;
        }
        let complaint = format!("{}: {attempt}: {e}; trying again", self.title_of(id));
        let who = self.who;
        self.half(id)?.complain(who, About::Files, complaint);
        Some(Input::NotWritten(id))
    }

    pub(super) fn watch_control(&mut self, id: Id) -> Result<(), (&'static str, std::io::Error)> {
        let half = self.units.get(&id.unit).and_then(|u| u.half(id.role));
        let Some(control) = half.and_then(|h| h.supervise.control()) else {
            return Ok(());
        };
        let watched = self.watch(control, Token::Control(id));
        if let (Err(_), Some(half)) = (&watched, self.half(id)) {
            half.supervise.strip();
        }
        watched.map_err(|e| ("watch supervise/control", e))
    }

    fn remove(&mut self, unit: UnitId) -> Option<Box<OpenUnit>> {
        self.launcher.wait();
        let id = unit;
        let unit = self.units.remove(&unit)?;
        if let Some(scan_dir) = &mut self.scan_dir {
            scan_dir.leave_names(id);
            if let Some(watch) = unit.watch {
                scan_dir.leave_home(watch);
            }
        }
        Some(unit)
    }

    /// How many bytes the logger left in the pipe; 0 if the kernel does not tell.
    fn look_at_pipe(&self, unit: UnitId) -> Input {
        let pipe = self.units.get(&unit).and_then(|unit| unit.pipe.as_ref());
        let bytes = pipe.and_then(|pipe| rustix::io::ioctl_fionread(pipe.any()?).ok());
        let bytes = bytes.unwrap_or(0).try_into().unwrap_or(u32::MAX);
        Input::PipeSeen(unit, bytes)
    }

    /// Watches for changes of `log`. A change that came before the watch is reported,
    /// too.
    fn watch_home(&mut self, unit_id: UnitId) -> Option<Input> {
        let unit = self.units.get_mut(&unit_id).filter(|u| u.watch.is_none())?;
        let id = Id {
            unit: unit_id,
            role: Role::Main,
        };
        let path = path_of(self.scan_dir.as_ref(), &self.core, id);
        let home = unit.main.home();
        unit.watch = self.scan_dir.as_mut()?.watch_home(unit_id, home, &path);
        let is_there = statat(unit.main.home(), c"log", AtFlags::empty()).is_ok();
        (is_there != unit.log.is_some()).then_some(Input::LogChanged(unit_id))
    }

    /// If watches could not be set before, tries again. Then reports the service
    /// directories that may have changed while they were not watched.
    fn look_at_unwatched(&mut self) {
        let unwatched = self.units.iter().filter(|(_, unit)| unit.watch.is_none());
        let unwatched: Vec<UnitId> = unwatched.map(|(id, _)| *id).collect();
        for unit in unwatched {
            self.begin(Some(unit));
            if self.watch_home(unit).is_some() {
                self.overlooked.push(Input::LogChanged(unit));
            }
        }
    }

    fn scan(&mut self) -> Input {
        let Some(scan_dir) = &mut self.scan_dir else {
            return Input::NotScanned;
        };
        self.trims = true;
        let was_blind = scan_dir.is_blind();
        let entries = scan_dir.entries();
        if was_blind {
            let unwatched = scan_dir.unwatched().iter().copied();
            self.overlooked.extend(unwatched.map(Input::EdgesChanged));
            self.look_at_unwatched();
        }
        let Some(scan_dir) = &mut self.scan_dir else {
            return Input::NotScanned;
        };
        let next_look = scan_dir.next_look();
        match entries {
            Ok(entries) => Input::Scanned { entries, next_look },
            Err(text) => {
                if scan_dir.is_news(&text) {
                    say::offer(self.who, text);
                }
                Input::NotScanned
            }
        }
    }

    /// Opens an entry of the scan directory.
    fn open(&mut self, unit: UnitId, name: &Name, identity: Identity) -> Input {
        let Some(scan_dir) = &self.scan_dir else {
            return Input::NotOpened(identity, None);
        };
        let obstacle = match Place::open(&scan_dir.path_of(name)) {
            Ok(place) if place.identity == identity => match self.open_unit(unit, name, place) {
                Ok(opened) if self.is_for_good(&opened) => return opened,
                Ok(_) => {
                    drop(self.remove(unit));
                    let e = std::io::Error::from(Errno::MFILE);
                    Some(format!("{}: open: {e}", name.escape_ascii()))
                }
                Err(text) => Some(text),
            },
            Ok(_) => None,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => {
                // The model tries again in any case.
                self.makes_room(&e);
                Some(format!("{}: open: {e}", name.escape_ascii()))
            }
        };
        Input::NotOpened(identity, obstacle)
    }

    /// Whether a unit that was just opened may stay open. If descriptors are short, no
    /// unit is begun that a successor could not take over: a successor needs one more for
    /// each process.
    fn is_for_good(&self, opened: &Input) -> bool {
        let Input::Opened(found) = opened else {
            return true;
        };
        let lives = found.main.adopted || found.log.as_ref().is_some_and(|log| log.adopted);
        !self.is_short || lives || self.leaves_room()
    }

    fn leaves_room(&self) -> bool {
        let limit = getrlimit(Resource::Nofile).current;
        let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
        let (Some(limit), Ok(open)) = (limit, open) else {
            return true;
        };
        let units = self.units.values();
        let halves = units.flat_map(|unit| [Some(&unit.main), unit.log.as_deref()]);
        let unwatched = halves.flatten().filter(|half| half.pidfd.is_none()).count();
        ((open + unwatched + OPENING) as u64) < limit.saturating_sub(FLEETING as u64)
    }

    /// Opens a service directory, or returns why that failed.
    pub(super) fn open_unit(
        &mut self,
        unit_id: UnitId,
        name: &Name,
        place: Place,
    ) -> Result<Input, String> {
        let identity = place.identity;
        if !self.table.has_room_above(&place.home) {
            self.launcher.wait();
            self.table.double(&place.home);
        }
        let opened = OpenUnit::open(place, self.ground(), self.turn);
        if let Err(OpenError::Failed(_, e)) = &opened {
            self.makes_room(e);
        }
        let opened = opened.map_err(|e| complaint(name.escape_ascii(), &e))?;
        let Opened {
            unit,
            mut main,
            log,
            mistaken,
        } = opened;
        self.units.insert(unit_id, Box::new(unit));
        if let Some(reason) = mistaken {
            self.tell_of_owner(unit_id, name, &reason);
        }
        for role in [Role::Main, Role::Log] {
            let id = Id {
                unit: unit_id,
                role,
            };
            let log = if role == Role::Log { "/log" } else { "" };
            self.tell_of_state(id, &format!("{}{log}", name.escape_ascii()));
            self.watch_process(id);
        }
        let edges = self.read_edges(unit_id, name);
        self.adopt_voice(unit_id, &mut main);
        Ok(Input::Opened(supervisor::Opened {
            unit: unit_id,
            name: name.clone(),
            identity,
            main,
            log,
            edges,
        }))
    }

    /// What all units have in common.
    pub(super) fn ground(&self) -> Ground<'_> {
        Ground {
            world: self.launcher.world.as_ref(),
            rooms: self.rooms,
            access: self.access,
        }
    }

    fn tell_of_owner(&mut self, unit: UnitId, name: &Name, reason: &str) {
        let (title, instead) = (name.escape_ascii(), OWNER.instead_is);
        let text = format!("{title}/{}: {reason}; taken for {instead}", OWNER.name);
        if let Some(unit) = self.units.get_mut(&unit) {
            let about = About::Setting(OWNER.name);
            unit.main.complain(self.who, about, text);
        }
    }

    /// Reports what the administrator must know: a recorded process may still run, so that a
    /// second copy of a service may start; or the state is not where it is looked for.
    pub(super) fn tell_of_state(&self, id: Id, title: &str) {
        let half = self.units.get(&id.unit).and_then(|unit| unit.half(id.role));
        if half.is_some_and(|half| half.supervise.is_distrusted) {
            say::offer(
                self.who,
                format_args!(
                    "{title}: supervise/lock was not written by us alone (see its owner, mode and \
                     links): the process that it names is not taken over"
                ),
            );
        }
        let room = half.and_then(|half| half.room.as_ref());
        if let Some(room) = room.filter(|_| self.guard.is_none()) {
            // Without /proc the path is missing in the message.
            let path = readlinkat(CWD, format!("/proc/self/fd/{}", room.as_raw_fd()), vec![]);
            let path = path.unwrap_or_default();
            say::offer(
                self.who,
                format_args!(
                    "{title}: no space left for supervise; its state is in {}",
                    path.to_bytes().escape_ascii()
                ),
            );
        }
    }

    /// Watches a process that is not our child, if it has a pidfd.
    pub(super) fn watch_process(&mut self, id: Id) {
        let is_short = self.is_short;
        if let Some(half) = self.half(id) {
            if is_short {
                half.rest();
            }
            half.settle();
        }
        let half = self.units.get(&id.unit).and_then(|unit| unit.half(id.role));
        let watched = half
            .and_then(|half| half.pidfd.as_ref())
            .map(|fd| self.watch(fd, Token::Pidfd(id)));
        if let Some(Err(e)) = watched {
            say::offer(self.who, format_args!("watch a process: {e}"));
        }
    }

    /// The name for messages: printable, and with `/log` for the logger.
    pub(super) fn title_of(&self, id: Id) -> String {
        let name = self.core.name(id.unit).map(Vec::as_slice);
        let log = if id.role == Role::Log { "/log" } else { "" };
        format!("{}{log}", name.unwrap_or_default().escape_ascii())
    }
}

/// The directory of a service or logger by the name that it has now.
pub(super) fn path_of(scan_dir: Option<&ScanDir>, core: &Supervisor, id: Id) -> PathBuf {
    let name = core.name(id.unit).map(Vec::as_slice).unwrap_or_default();
    let dir = match scan_dir {
        Some(scan_dir) => scan_dir.path_of(name),
        None => PathBuf::from(OsStr::from_bytes(name)),
    };
    match id.role {
        Role::Main => dir,
        Role::Log => dir.join("log"),
    }
}

pub(super) fn complaint(name: impl Display, error: &OpenError) -> String {
    match error {
        OpenError::Locked => format!("{name}: another supervisor holds supervise/lock"),
        OpenError::Failed(attempt, e) if e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
            format!("{name}: {attempt}: {e}; link supervise to a writable directory")
        }
        OpenError::Failed(attempt, e) => format!("{name}: {attempt}: {e}"),
    }
}

/// Signals what is left of the group that a process led which has ended, or only looks;
/// returns whether anything is left.
fn signal_group(leader: Pid, sent: Option<Signal>) -> bool {
    // While the group exists, no other process gets its number.
    let is_others = rustix::process::Pid::from_raw(leader as i32).is_none_or(|pid| !is_gone(pid));
    let number = sent.map_or(0, |signal| signal.number().into());
    let gone = Some(Errno::SRCH.raw_os_error());
    !is_others && !matches!(signal::kill_group(leader, number), Err(e) if e.raw_os_error() == gone)
}
