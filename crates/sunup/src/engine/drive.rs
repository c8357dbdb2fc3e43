//! Events in, decisions out, actions done: the engine's dealings with one
//! service at a time.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use model::command::{Command, Sig};
use model::service::{Action, Event, Exit, Failure, Pid, Role};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, wait, waitid};

use super::launch::Program;
use super::{Alarm, Ending, Engine, Id, Owner, REWRITE_MS, Token, adopt, keeper};
use crate::sys::{pidfd, signal};

/// Control bytes taken from one fifo before the others have their turn.
const CONTROL_BYTES: usize = 64;

impl Engine {
    /// Hands an event to a service and does what it decides, answers included.
    pub(super) fn drive(&mut self, id: Id, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = adopt::now();
            let Some(half) = self.half(id) else { return };
            let (next, actions) = half.service.step(now, event);
            half.become_state(next);
            events.extend(actions.iter().filter_map(|action| self.act(id, action)));
        }
        self.settle(id);
    }

    /// Does one action; the result is its answer, where it comes at once.
    fn act(&mut self, id: Id, action: Action) -> Option<Event> {
        match action {
            Action::StartRun => Some(self.start(id, &Program::Run)),
            Action::StartFinish(exit) => Some(self.start(id, &Program::Finish(exit))),
            Action::Prepare => self
                .start_script(id, b'u', None, Owner::Prepare(id))
                .is_none()
                .then_some(Event::Prepared),
            Action::Script(sig, pid) => self
                .start_script(id, sig.letter(), Some(pid), Owner::Script(id, sig, pid))
                .is_none()
                .then_some(Event::ScriptEnded {
                    sig,
                    pid,
                    handled: false,
                }),
            Action::Epilogue(letter, pid) => {
                // A second one would follow from a second stop of the same process.
                if !self.half(id)?.epilogue {
                    let started = self
                        .start_script(id, letter, Some(pid), Owner::Epilogue(id))
                        .is_some();
                    self.half(id)?.epilogue = started;
                }
                None
            }
            Action::Kill(pid, sig) => {
                self.kill(id, pid, sig);
                None
            }
        }
    }

    fn start(&mut self, id: Id, program: &Program) -> Event {
        let Some(unit) = self.units.get_mut(&id.unit) else {
            return Event::SpawnFailed(Failure::Absent);
        };
        match self.launcher.launch(unit, id.role, program) {
            Ok(pid) => {
                let pid = pid as Pid;
                self.owners.insert(pid, Owner::Process(id));
                if let (Program::Run, Some(half)) = (program, unit.half_mut(id.role)) {
                    half.content();
                }
                Event::Spawned(pid)
            }
            Err(refusal) => {
                let title = unit.title(id.role);
                if let (Some(text), Some(half)) = (refusal.complaint, unit.half_mut(id.role)) {
                    half.complain(self.who, format!("{title}: {text}"));
                }
                Event::SpawnFailed(refusal.failure)
            }
        }
    }

    /// Starts a control script if there is one.
    fn start_script(&mut self, id: Id, letter: u8, pid: Option<Pid>, owner: Owner) -> Option<Pid> {
        let unit = self.units.get_mut(&id.unit)?;
        if !unit.has_script(letter) {
            return None;
        }
        match self
            .launcher
            .launch(unit, Role::Main, &Program::Script(letter, pid))
        {
            Ok(script) => {
                let script = script as Pid;
                self.owners.insert(script, owner);
                Some(script)
            }
            Err(refusal) => {
                let title = unit.title(Role::Main);
                if let Some(text) = refusal.complaint {
                    unit.main.complain(self.who, format!("{title}: {text}"));
                }
                None
            }
        }
    }

    fn kill(&mut self, id: Id, pid: Pid, sig: Sig) {
        let number = number(sig);
        let Some(half) = self.half(id) else { return };
        let adopted = half
            .pidfd
            .as_ref()
            .map(|fd| send_by_pidfd(fd.as_fd(), number));
        // A process that has just ended is about to be reaped: nothing to say.
        drop(adopted.unwrap_or_else(|| signal::kill(pid as i32, number)));
    }

    /// Control bytes came in.
    pub(super) fn obey(&mut self, id: Id) {
        let mut buffer = [0; CONTROL_BYTES];
        let Some(half) = self.half(id) else { return };
        let bytes = half.supervise.read_control(&mut buffer);
        let keeping = matches!(self.ending, Ending::Keep(_));
        if keeping {
            self.keep_on();
        }
        for command in bytes.iter().filter_map(|b| Command::from_byte(*b)) {
            self.drive(id, Event::Command(command));
        }
        // sv waits for this: it is not put off to the end of the round.
        self.write_one(id);
        if keeping && bytes.contains(&keeper::RELEASE) {
            self.release(id.unit);
        }
    }

    /// A service's deadline came.
    pub(super) fn deadline(&mut self, id: Id) {
        if let Some(half) = self.half(id) {
            half.alarm = None;
            self.drive(id, Event::Tick);
        }
    }

    /// Takes every dead child, whoever's it is.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_pid() as Pid;
            let Some(owner) = self.owners.remove(&pid) else {
                self.notice_ended(pid);
                continue;
            };
            let exit = Exit::Status(status.as_raw());
            match owner {
                Owner::Process(id) => self.ended(id, pid, exit),
                Owner::Prepare(id) => self.drive(id, Event::Prepared),
                Owner::Script(id, sig, target) => {
                    let handled = exit == Exit::Status(0);
                    self.drive(
                        id,
                        Event::ScriptEnded {
                            sig,
                            pid: target,
                            handled,
                        },
                    );
                }
                Owner::Epilogue(id) => {
                    if let Some(half) = self.half(id) {
                        half.epilogue = false;
                    }
                }
            }
        }
    }

    /// A process of an earlier supervisor ended.
    pub(super) fn adopted_ended(&mut self, id: Id) {
        let Some(half) = self.half(id) else { return };
        let Some(fd) = half.pidfd.take() else { return };
        let (_, pid) = half.service.phase();
        // It may be our child all the same: PID 1 inherits orphans.
        let waited = waitid(
            WaitId::PidFd(fd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        let exit = match waited {
            Ok(Some(status)) => raw_status(&status),
            _ => pidfd::exit_status(fd.as_fd()).map_or(Exit::Unknown, Exit::Status),
        };
        if self.owners.get(&pid) == Some(&Owner::Process(id)) {
            self.owners.remove(&pid);
        }
        self.ended(id, pid, exit);
    }

    fn ended(&mut self, id: Id, pid: Pid, exit: Exit) {
        if let Some(half) = self.half(id) {
            half.pidfd = None;
        }
        self.drive(id, Event::Exited(pid, exit));
    }

    /// After a service has decided: its alarm, its files, its end.
    fn settle(&mut self, id: Id) {
        let Some(half) = self.half(id) else { return };
        let deadline = half.service.deadline();
        let old = std::mem::replace(&mut half.alarm, deadline);
        let idle = half.service.is_idle() || half.service.is_gone();
        let newly_dirty = !half.dirty && half.is_stale();
        half.dirty |= newly_dirty;
        if newly_dirty {
            self.dirty.push(id);
        }
        if old != deadline {
            if let Some(old) = old {
                self.alarms.remove(&(old, Alarm::Service(id)));
            }
            if let Some(at) = deadline {
                self.set_alarm(at, Alarm::Service(id));
            }
        }
        if idle {
            self.wind_up(id.unit);
        }
    }

    /// Writes what has changed, all services' in one go.
    pub(super) fn write_state(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            self.write_one(id);
        }
    }

    /// Writes one service's files, later if that fails now.
    pub(super) fn write_one(&mut self, id: Id) {
        let who = self.who;
        let Some(half) = self.half(id) else { return };
        if !std::mem::take(&mut half.dirty) {
            return;
        }
        // In this order: who finds a fifo open finds a status, too.
        let shown = half.show().map_err(|e| ("write supervise/status", e));
        let watched = match shown.and_then(|()| half.furnish()) {
            Ok(false) => Ok(()),
            Ok(true) => self.watch_control(id),
            Err(failed) => Err(failed),
        };
        if let Err((attempt, e)) = watched {
            if let Some(unit) = self.units.get_mut(&id.unit) {
                let complaint = format!("{}: {attempt}: {e}; trying again", unit.title(id.role));
                if let Some(half) = unit.half_mut(id.role) {
                    half.complain(who, complaint);
                }
            }
            self.rewrite_later();
        }
    }

    fn watch_control(&mut self, id: Id) -> Result<(), (&'static str, std::io::Error)> {
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

    fn rewrite_later(&mut self) {
        let is_set = |(_, alarm): &(_, Alarm)| *alarm == Alarm::Rewrite;
        if !self.alarms.iter().any(is_set) {
            self.set_alarm(adopt::now().plus_ms(REWRITE_MS), Alarm::Rewrite);
        }
    }

    /// Files that could not be written are due again.
    pub(super) fn mark_stale(&mut self) {
        for (unit, entry) in &mut self.units {
            for role in [Role::Main, Role::Log] {
                if let Some(half) = entry.half_mut(role).filter(|h| !h.dirty && h.is_stale()) {
                    half.dirty = true;
                    self.dirty.push(Id { unit: *unit, role });
                }
            }
        }
    }

    pub(super) fn half(&mut self, id: Id) -> Option<&mut super::half::Half> {
        self.units.get_mut(&id.unit)?.half_mut(id.role)
    }
}

fn send_by_pidfd(fd: std::os::fd::BorrowedFd, number: signal::Signal) -> std::io::Result<()> {
    let signal =
        rustix::process::Signal::from_named_raw(number).ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_send_signal(fd, signal)?)
}

fn raw_status(status: &rustix::process::WaitIdStatus) -> Exit {
    let dumped = if status.dumped() { 0x80 } else { 0 };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Status((code & 0xff) << 8),
        (None, Some(signal)) => Exit::Status(signal | dumped),
        (None, None) => Exit::Unknown,
    }
}

fn number(sig: Sig) -> signal::Signal {
    match sig {
        Sig::Pause => signal::SIGSTOP,
        Sig::Cont => signal::SIGCONT,
        Sig::Hup => signal::SIGHUP,
        Sig::Alarm => signal::SIGALRM,
        Sig::Interrupt => signal::SIGINT,
        Sig::Quit => signal::SIGQUIT,
        Sig::Usr1 => signal::SIGUSR1,
        Sig::Usr2 => signal::SIGUSR2,
        Sig::Term => signal::SIGTERM,
        Sig::Kill => signal::SIGKILL,
    }
}
