//! Drives one service: hands in its events, passes on its actions, and sees to the
//! consequences: its alarm, its state files, its end.

use alloc::vec::Vec;

use super::{Action, Alarm, Id, Job, Log, Supervisor};
use crate::command::Command;
use crate::facts::{Facts, Files, Line};
use crate::format::adopt::Mark;
use crate::format::notify_message::Message;
use crate::format::state::ready::Source;
use crate::format::state::reason::Reason;
use crate::format::status::Phase;
use crate::service::{self, Announce, Event, Exit, Failure, Pid, Role};
use crate::settings::{Look, Settings};
use crate::time::Instant;

use super::own::Own;
use super::unit::{FIRST, Half};

/// Delay before state files that could not be written are tried again (ms).
const REWRITE_MS: u64 = 1000;
/// For how many services one round writes state files.
const WRITES_MAX: usize = 64;

impl Supervisor {
    pub(super) fn half(&self, id: Id) -> Option<&Half> {
        self.units.get(&id.unit)?.half(id.role)
    }

    pub(super) fn half_mut(&mut self, id: Id) -> Option<&mut Half> {
        self.units.get_mut(&id.unit)?.half_mut(id.role)
    }

    /// Hands an event to a service and passes on what it decides.
    pub(super) fn drive(&mut self, id: Id, event: Event) {
        self.drive_at(id, self.now.at, event);
    }

    /// As [`Supervisor::drive`], for an event of an earlier moment.
    fn drive_at(&mut self, id: Id, at: Instant, event: Event) {
        // A process that has been reaped gets no signal, and a verdict starts nobody when all
        // is to leave.
        let comes_first = matches!(
            event,
            Event::Exited(..) | Event::NotStarted(_) | Event::Retire
        );
        if comes_first {
            self.step(id, at, event);
            self.give_order_to(id.unit);
            self.heed(id);
        } else {
            self.give_order_to(id.unit);
            self.heed(id);
            self.step(id, at, event);
        }
    }

    fn step(&mut self, id: Id, at: Instant, event: Event) {
        let now = self.now;
        let Some(half) = self.half_mut(id) else {
            return;
        };
        let before = half.service;
        let at = at.min(now.at);
        half.own.note(&before, event, at, now.wall);
        let (next, actions) = before.step(at, event);
        let is_told = event == Event::Command(Command::Reset);
        let crashes = !is_told && before.is_crash_looping() != next.is_crash_looping();
        half.become_state(next, now.wall);
        let gives_up = next.gave_up().is_some() && before.gave_up().is_none();
        if next.gave_up().is_some() != before.gave_up().is_some() {
            half.own.give_up(gives_up);
        }
        if crashes {
            self.tell_of_crash_loop(id);
        }
        if gives_up {
            self.tell_of_giving_up(id, event, before.streak().lives());
        }
        for action in actions {
            self.pass_on(id, action);
        }
        self.settle(id);
        if next.is_done() && !before.is_done() {
            self.note_done(id);
            // A successor must not do it again.
            self.write_one(id);
        }
    }

    fn pass_on(&mut self, id: Id, action: service::Action) {
        let job = match action {
            service::Action::StartSetup => {
                self.connect_log(id);
                Job::Setup(id)
            }
            service::Action::StartRun(announce) => {
                self.connect_log(id);
                return self.push(Action::Start(Job::Run(id), announce));
            }
            service::Action::StartFinish(exit, report) => Job::Finish(id, exit, report),
            service::Action::Prepare => Job::Prepare(id),
            service::Action::Script(sig, pid) => Job::Script(id, sig, pid),
            service::Action::Look(look) => {
                let log = look.is_start() && self.looks_at_log(id.unit);
                return self.push(Action::Look { id, look, log });
            }
            service::Action::Signal(pid, signal) => {
                return self.push(Action::Signal(id, pid, signal));
            }
            service::Action::Group(pid, signal) => {
                return self.push(Action::Group(id, pid, signal));
            }
            service::Action::Epilogue(letter, pid) => {
                // A second script could only follow from a second stop of the same
                // process.
                let half = self.half_mut(id);
                if half.is_none_or(|half| core::mem::replace(&mut half.epilogue, true)) {
                    return;
                }
                Job::Epilogue(id, letter, pid)
            }
        };
        self.push(Action::Start(job, Announce::NONE));
    }

    /// A service is about to start, with its present logger if it has one.
    fn connect_log(&mut self, id: Id) {
        if id.role == Role::Main {
            self.shed_log(id.unit);
            self.need_pipe(id.unit);
        }
    }

    /// After a service has decided: its alarm, its files, its end.
    fn settle(&mut self, id: Id) {
        let Some(unit) = self.units.get_mut(&id.unit) else {
            return;
        };
        let Some(half) = unit.half_mut(id.role) else {
            return;
        };
        let is_down = half.is_down();
        if is_down {
            self.busy.remove(&id);
        } else {
            self.busy.insert(id);
        }
        if half.is_stale() {
            self.unshown.add(id, self.now.at);
        }
        if half.own.is_last_waiting() {
            self.unshown.add_last(id, self.now.at);
        }
        let deadline = half.service.deadline();
        self.alarms.set(Alarm::Service(id), deadline);
        self.order_settled(id);
        if is_down {
            if id.role == Role::Log && self.asks_for_rest(id.unit) {
                return;
            }
            if id.role == Role::Main {
                self.shed_log(id.unit);
            }
            self.log_shed(id.unit);
            self.wind_up(id.unit);
        }
        self.logger_came(id);
    }

    /// Handles a look at a service's directory. The logger comes first. Before a start, a
    /// logger whose directory had gone is ended, even if there is a directory again.
    pub(super) fn looked(&mut self, id: Id, look: Look, found: Settings, log: Option<Log>) {
        if let Some(log) = log {
            if look.is_start() {
                self.shed_log(id.unit);
            }
            self.log_seen(id.unit, log);
        }
        if look.is_start() && id.role == Role::Main {
            self.note_check(id.unit, &found);
        }
        if look != Look::Logger {
            self.drive(id, Event::Looked(look, found));
        }
    }

    pub(super) fn started(&mut self, job: Job, pid: Pid) {
        self.starts.end(job);
        self.owners.insert(pid, job);
        if let Job::Check(id) = job {
            self.check_started(id.unit, pid);
        }
        if job.is_process() {
            // The child has written a new record.
            if let Some(half) = self.half_mut(job.id()) {
                half.mark = Mark::None;
            }
            self.drive(job.id(), Event::Started(pid));
        }
    }

    pub(super) fn not_started(&mut self, job: Job, failure: Failure) {
        self.starts.end(job);
        if let Some(half) = self.half_mut(job.id())
            && matches!(job, Job::Setup(_))
        {
            // The child may have written a new record.
            half.mark = Mark::None;
        }
        if job.is_process() {
            if matches!(job, Job::Run(_) | Job::Setup(_)) {
                self.note_failure(job.id(), failure);
            }
            self.drive(job.id(), Event::NotStarted(failure));
        } else {
            self.script_over(job, false);
        }
    }

    pub(super) fn child_ended(&mut self, pid: Pid, exit: Exit, by: Instant) {
        match self.owners.remove(&pid) {
            None => {}
            Some(job) if job.is_process() => self.ended(job.id(), pid, exit, by),
            Some(job) => self.script_over(job, exit == Exit::of_status(0)),
        }
    }

    /// A process of an earlier supervisor ended. As PID 1 we may have seen its end
    /// already, because PID 1 inherits orphans.
    pub(super) fn adopted_ended(&mut self, id: Id, exit: Exit) {
        let Some(half) = self.half(id).filter(|half| half.held) else {
            return;
        };
        let (_, pid) = half.service.phase();
        let owner = self.owners.get(&pid);
        if owner.is_some_and(|job| job.is_process() && job.id() == id) {
            self.owners.remove(&pid);
        }
        self.ended(id, pid, exit, self.now.at);
    }

    fn ended(&mut self, id: Id, pid: Pid, exit: Exit, by: Instant) {
        self.note_hurry(id);
        if id.role == Role::Main && self.order.has_edges(id.unit) {
            self.push(Action::ReadEdges(id.unit, None));
        }
        self.note_end(id, exit);
        if let Some(half) = self.half_mut(id) {
            half.held = false;
        }
        self.drive_at(id, by, Event::Exited(pid, exit));
    }

    /// A script ended, or could not be started. `handled`: it did its work.
    pub(super) fn script_over(&mut self, job: Job, handled: bool) {
        match job {
            Job::Setup(_) | Job::Run(_) | Job::Finish(..) => {}
            Job::Prepare(id) => self.drive(id, Event::Prepared),
            Job::Script(id, sig, pid) => self.drive(id, Event::ScriptEnded { sig, pid, handled }),
            Job::Check(id) => self.check_over(id.unit, handled),
            Job::Epilogue(id, ..) => {
                if let Some(half) = self.half_mut(id) {
                    half.epilogue = false;
                }
            }
        }
    }

    pub(super) fn ready(&mut self, id: Id, pid: Pid, source: Source) {
        self.drive(id, Event::Ready(pid, source));
    }

    /// Whoever says in one message that it is ready and ends was ready first.
    pub(super) fn notified(&mut self, id: Id, pid: Pid, message: &Message) {
        let is_present = |half: &Half| half.service.phase() == (Phase::Run, pid);
        if !self.half(id).is_some_and(is_present) {
            return;
        }
        if message.restart_reset {
            self.drive(id, Event::Command(Command::Reset));
        }
        if message.ready {
            self.ready(id, pid, Source::Message);
            // The message counts as heard, and is gone, once this is written.
            self.write_one(id);
        }
        match (message.stopping, message.extend_ms) {
            (true, ms) => self.drive(id, Event::Stopping(ms.unwrap_or(0))),
            (false, Some(ms)) => self.drive(id, Event::Extend(ms)),
            (false, None) => {}
        }
        if let Some(text) = &message.status {
            self.tell(id, pid, text);
        }
    }

    pub(super) fn command(&mut self, id: Id, command: Command) {
        self.keep_on();
        // Also before one that is not permitted: its state files tell of the order.
        self.give_order_to(id.unit);
        if let Some(command) = self.permitted(id, command) {
            match id.role {
                Role::Main => self.command_in_order(id.unit, command),
                Role::Log => self.drive(id, Event::Command(command)),
            }
        }
    }

    /// A service without an entry, or after everything was told to exit, is not
    /// called back: the supervisor would stay with it for ever.
    fn permitted(&self, id: Id, command: Command) -> Option<Command> {
        let removed = self.units.get(&id.unit).is_some_and(|unit| unit.removed);
        match command {
            Command::Signal(_) | Command::Exit | Command::Ready | Command::Reset => Some(command),
            _ if id.role == Role::Log || !(removed || self.is_stopping()) => Some(command),
            Command::Down => Some(Command::Exit),
            Command::Up | Command::StartNow | Command::Once => None,
        }
    }

    pub(super) fn obeyed(&mut self, id: Id, release: bool) {
        self.keep_on();
        // sv waits for this, so it does not wait for the end of the round.
        self.write_one(id);
        if release {
            self.release(id.unit);
        }
    }

    /// Writes the changed state files of a bounded number of services, and continues
    /// after the last one of the previous round. The files of a service that is starting
    /// are written when the answer has come, or is late.
    pub(super) fn write_some(&mut self) {
        if self.has_more() && !self.unshown.are_late(self.now.at) {
            return;
        }
        let starts = &self.starts;
        let due = self.unshown.next(WRITES_MAX, |id| !starts.settle_soon(id));
        let (now, is_alone) = (self.now.at, due.is_empty());
        for id in due {
            self.write_one(id);
        }
        for id in self.unshown.take_lasts(WRITES_MAX, now, is_alone) {
            let shown = self.half_mut(id).and_then(Half::show_last);
            self.push_show(id, shown);
        }
    }

    /// When files are due that may wait: [`super::Input::RoundOver`] writes them.
    pub fn files_at(&self) -> Option<Instant> {
        self.unshown.lasts_at()
    }

    /// Whether state files are due that no round has written yet.
    pub(super) fn has_unwritten(&self) -> bool {
        // Only a handful start at a time.
        self.unshown.any(|id| !self.starts.settle_soon(id))
            || self.files_at().is_some_and(|at| at <= self.now.at)
    }

    /// Writes one service's files, if they are due.
    pub(super) fn write_one(&mut self, id: Id) {
        if !self.unshown.take(id) {
            return;
        }
        let half = self.half_mut(id).filter(|half| half.is_stale());
        let shown = half.map(Half::show);
        self.push_show(id, shown);
    }

    fn push_show(&mut self, id: Id, shown: Option<(Facts, Files, Vec<Line>)>) {
        if let Some((facts, files, lines)) = shown {
            self.push(Action::Show {
                id,
                facts,
                files,
                lines,
            });
        }
    }

    /// The last state of a service or logger is about to be written: `last` goes with it.
    pub(super) fn hurry_last(&mut self, id: Id) {
        let half = self.half_mut(id).map(|half| &mut half.own);
        if let Some(own) = half.filter(|own| own.is_last_waiting()) {
            own.hurry_last();
            self.unshown.add(id, self.now.at);
        }
    }

    /// Makes the fifos and a first status, because a run script may command its own
    /// service at once. The rest is written when it has started, or at once if it does
    /// not start.
    pub(super) fn write_first(&mut self, id: Id) {
        self.unshown.add(id, self.now.at);
        let half = self.half(id).filter(|half| half.is_about_to_start());
        match half.map(Half::facts) {
            Some(facts) => self.push(Action::Show {
                id,
                facts,
                files: FIRST,
                lines: Vec::new(),
            }),
            None => self.write_one(id),
        }
    }

    /// From now on this holds the service up, or nothing does.
    pub fn hold(&mut self, id: Id, reason: Option<Reason>) {
        self.show_own(id, |own| own.hold(reason));
    }

    /// A process of the service said this about itself.
    pub fn tell(&mut self, id: Id, pid: Pid, text: &[u8]) {
        let at = self.now.wall;
        self.show_own(id, |own| own.tell(pid, at, text));
    }

    fn show_own(&mut self, id: Id, change: impl FnOnce(&mut Own)) {
        let at = self.now.at;
        if let Some(half) = self.half_mut(id) {
            change(&mut half.own);
            if half.is_stale() {
                self.unshown.add(id, at);
            }
        }
    }

    pub(super) fn not_written(&mut self, id: Id) {
        if let Some(half) = self.half_mut(id) {
            half.not_shown();
            self.unshown.fail(id);
            self.alarms
                .set_by(Alarm::Rewrite, self.now.at.plus_ms(REWRITE_MS));
        }
    }

    /// Tries again to write the files that could not be written.
    pub(super) fn mark_unwritten(&mut self) {
        self.unshown.try_again(self.now.at);
    }
}
