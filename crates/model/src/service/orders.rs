//! What a service is told: commands, and the way of a signal to its process, past
//! the script that may stand in its place.

use super::oneshot::NOBODY;
use super::{Action, Actions, Role, Running, Service, State, Want};
use crate::command::{Command, Sig};
use crate::process::Pid;
use crate::restart::Streak;
use crate::settings::{Look, Scripts, Settings};
use crate::signal::Signal;
use crate::time::Instant;

impl Service {
    pub(super) fn command(&mut self, command: Command, now: Instant, actions: &mut Actions) {
        if !matches!(command, Command::Signal(_)) {
            self.gave_up = None;
        }
        let ending = self.role == Role::Log && self.want == Want::Exit;
        match command {
            // A logger whose pipe is closed has nothing to come back for; the next
            // supervisor's has.
            Command::Up | Command::StartNow if ending => self.resumes = true,
            Command::Once if ending => self.resumes = false,
            Command::Down if ending => {
                self.resumes = false;
                self.stop(Want::Exit, now, actions);
            }
            Command::Up | Command::StartNow => {
                self.want_unless_gone(Want::Up);
                if command == Command::StartNow {
                    self.start_past_gate();
                }
                self.start_if_down(actions);
            }
            // There is nothing to come.
            Command::Once if self.is_done() => self.want_unless_gone(Want::Up),
            Command::Once => {
                self.want_unless_gone(Want::Down);
                self.start_if_down(actions);
            }
            Command::Down => self.stop(Want::Down, now, actions),
            // runsv(8): ignored if it is given to the logger.
            Command::Exit if self.role == Role::Log => {}
            Command::Exit => self.stop(Want::Exit, now, actions),
            Command::Reset => self.streak = Streak::NONE,
            Command::Ready => self.ready_by_command(now),
            Command::Signal(sig) => self.signal(sig, now, actions),
        }
    }

    pub(super) fn want_unless_gone(&mut self, want: Want) {
        if !self.is_gone() {
            self.want = want;
        }
        self.gates.start.forget();
        self.gates.stop.forget();
        if let State::Starting { stop, .. } = &mut self.state {
            *stop = false;
        }
    }

    /// A command is an order: the restart gap does not hold it up. The gate does.
    pub(super) fn start_if_down(&mut self, actions: &mut Actions) {
        let State::Down { not_before } = &mut self.state else {
            return;
        };
        if self.gates.start.holds() {
            *not_before = Instant(0);
            if self.want == Want::Down {
                self.gates.start.wait();
            }
        } else {
            self.start(actions);
        }
    }

    pub(super) fn signal(&mut self, sig: Sig, now: Instant, actions: &mut Actions) {
        match &mut self.state {
            State::Run(_) if self.role == Role::Main => self.look_for_script(sig, actions),
            State::Run(_) => {
                self.deliver(sig, now, actions);
                self.stop_rest(sig, None, actions);
            }
            State::Clearing(_) => self.signal_group(sig, actions),
            State::Finish { pid, paused, .. } => {
                note_pause(paused, sig.signal());
                actions.push(Action::Signal(*pid, sig.signal()));
            }
            // It has no script yet that could do the signal's work.
            State::Starting {
                child: Some(pid), ..
            }
            | State::EndingRun {
                child: Some(pid), ..
            } => actions.push(Action::Signal(*pid, sig.signal())),
            State::Done { .. } => self.signal_done(sig, actions),
            _ => {}
        }
    }

    /// Sends the signal to the running process.
    pub(super) fn deliver(&mut self, sig: Sig, now: Instant, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state {
            let signal = r.manner.signal(sig);
            r.note(sig, signal);
            r.got_term |= sig == Sig::Term;
            actions.push(Action::Signal(r.pid, signal));
        }
        if sig == Sig::Term {
            self.start_clock(now);
        }
    }

    /// The question before a signal; a stop has a script that follows. While the
    /// script runs it is put off.
    pub(super) fn look_for_script(&mut self, sig: Sig, actions: &mut Actions) {
        let letter = self.epilogue();
        let State::Run(r) = &mut self.state else {
            return;
        };
        if r.scripts.has(sig.letter()) {
            return r.again.add(sig.letter());
        }
        r.scripts.add(sig.letter());
        let look = if sig == Sig::Term && r.stopping {
            Look::Stop(letter, r.pid)
        } else {
            Look::Signal(sig, r.pid)
        };
        actions.push(Action::Look(look));
    }

    pub(super) fn script_looked_for(
        &mut self,
        sig: Sig,
        pid: Pid,
        found: &Settings,
        now: Instant,
        actions: &mut Actions,
    ) {
        if pid == NOBODY {
            return self.done_looked(sig, found.scripts, actions);
        }
        let waits = |r: Running| r.pid == pid && r.scripts.has(sig.letter());
        if !matches!(self.state, State::Run(r) if waits(r)) {
            return;
        }
        self.learn_manner(sig, found, now);
        if found.scripts.has(sig.letter()) {
            actions.push(Action::Script(sig, pid));
        } else {
            let there = Some(found.scripts);
            self.script_ended((sig, pid), false, there, now, actions);
        }
    }

    pub(super) fn epilogue(&self) -> u8 {
        if self.want == Want::Exit { b'x' } else { b'd' }
    }

    pub(super) fn script_ended(
        &mut self,
        (sig, pid): (Sig, Pid),
        handled: bool,
        there: Option<Scripts>,
        now: Instant,
        actions: &mut Actions,
    ) {
        if pid == NOBODY {
            return self.done_script_ended(sig, actions);
        }
        let State::Run(r) = &mut self.state else {
            return;
        };
        if r.pid != pid || !r.scripts.take(sig.letter()) {
            return;
        }
        if r.again.take(sig.letter()) {
            return self.look_for_script(sig, actions);
        }
        if handled {
            r.note(sig, sig.signal());
            if sig == Sig::Term {
                // A successor has to know that it was told to end, to give it its time again.
                r.got_term |= r.manner.kill_ms.is_some();
                self.start_clock(now);
            }
        } else {
            self.deliver(sig, now, actions);
        }
        self.stop_rest(sig, there, actions);
    }
}

impl Running {
    /// It gets a signal for this letter, or a script has done the signal's work.
    fn note(&mut self, sig: Sig, signal: Signal) {
        note_pause(&mut self.paused, signal);
        self.was_told |= matches!(sig, Sig::Term | Sig::Kill);
    }
}

fn note_pause(paused: &mut bool, signal: Signal) {
    match signal {
        Signal::STOP => *paused = true,
        Signal::CONT => *paused = false,
        _ => {}
    }
}
