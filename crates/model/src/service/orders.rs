//! What a service is told: commands, and the way of a signal to its process, past
//! the script that may stand in its place.

use super::starts::end_early;
use super::{Action, Actions, Role, Running, Service, State, Want};
use crate::command::{Command, Sig};
use crate::process::Pid;
use crate::settings::{Look, Scripts};
use crate::signal::Signal;
use crate::time::Instant;

impl Service {
    pub(super) fn command(&mut self, command: Command, actions: &mut Actions) {
        let ending = self.role == Role::Log && self.want == Want::Exit;
        match command {
            // A logger whose pipe is closed has nothing to come back for; the next
            // supervisor's has.
            Command::Up | Command::StartNow if ending => self.resumes = true,
            Command::Once if ending => self.resumes = false,
            Command::Down if ending => {
                self.resumes = false;
                self.stop(Want::Exit, actions);
            }
            Command::Up | Command::StartNow => {
                self.want_unless_gone(Want::Up);
                if command == Command::StartNow {
                    self.start_past_gate();
                }
                self.start_if_down(actions);
            }
            Command::Once => {
                self.want_unless_gone(Want::Down);
                self.start_if_down(actions);
            }
            Command::Down => self.stop(Want::Down, actions),
            // runsv(8): ignored if it is given to the logger.
            Command::Exit if self.role == Role::Log => {}
            Command::Exit => self.stop(Want::Exit, actions),
            Command::Signal(sig) => self.signal(sig, actions),
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

    pub(super) fn stop(&mut self, want: Want, actions: &mut Actions) {
        self.want = want;
        self.gates.start.forget();
        match &mut self.state {
            State::Preparing => {
                self.state = State::Down {
                    not_before: Instant(0),
                }
            }
            State::Starting { stop, child, .. } => {
                if core::mem::replace(stop, true) {
                    self.gates.stop.pass();
                }
                if let Some(pid) = *child {
                    end_early(pid, actions);
                }
            }
            State::Run(_) => self.begin_stop(actions),
            State::Down { .. }
            | State::Done { .. }
            | State::EndingRun { .. }
            | State::Finish { .. }
            | State::Gone => {}
        }
    }

    /// d and x: control/t or TERM first; the rest follows in `stop_rest`.
    pub(super) fn begin_stop(&mut self, actions: &mut Actions) {
        if self.holds_stop() {
            return;
        }
        if let State::Run(r) = &mut self.state {
            r.stopping = true;
        }
        self.signal(Sig::Term, actions);
    }

    pub(super) fn signal(&mut self, sig: Sig, actions: &mut Actions) {
        match &mut self.state {
            State::Run(_) if self.role == Role::Main => self.look_for_script(sig, actions),
            State::Run(_) => {
                self.deliver(sig, actions);
                self.stop_rest(sig, None, actions);
            }
            State::Finish { pid, paused, .. } => {
                note_pause(paused, sig);
                actions.push(Action::Signal(*pid, sig.signal()));
            }
            // It has no script yet that could do the signal's work.
            State::Starting {
                child: Some(pid), ..
            }
            | State::EndingRun {
                child: Some(pid), ..
            } => actions.push(Action::Signal(*pid, sig.signal())),
            _ => {}
        }
    }

    /// Sends the signal to the running process.
    pub(super) fn deliver(&mut self, sig: Sig, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state {
            note_pause(&mut r.paused, sig);
            r.got_term |= sig == Sig::Term;
            actions.push(Action::Signal(r.pid, sig.signal()));
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
        there: Scripts,
        actions: &mut Actions,
    ) {
        let waits = |r: Running| r.pid == pid && r.scripts.has(sig.letter());
        if !matches!(self.state, State::Run(r) if waits(r)) {
            return;
        }
        if there.has(sig.letter()) {
            actions.push(Action::Script(sig, pid));
        } else {
            self.script_ended(sig, pid, false, Some(there), actions);
        }
    }

    pub(super) fn epilogue(&self) -> u8 {
        if self.want == Want::Exit { b'x' } else { b'd' }
    }

    /// After a stop's TERM. `there`: scripts that are known to be there.
    pub(super) fn stop_rest(&mut self, sig: Sig, there: Option<Scripts>, actions: &mut Actions) {
        let letter = self.epilogue();
        let State::Run(r) = &mut self.state else {
            return;
        };
        if sig != Sig::Term || !r.stopping {
            return;
        }
        r.stopping = false;
        r.paused = false;
        actions.push(Action::Signal(r.pid, Signal::CONT));
        match there {
            _ if self.role == Role::Log => {}
            None => actions.push(Action::Look(Look::Stopped(letter, r.pid))),
            Some(there) if there.has(letter) => actions.push(Action::Epilogue(letter, r.pid)),
            Some(_) => {}
        }
    }

    pub(super) fn script_ended(
        &mut self,
        sig: Sig,
        pid: Pid,
        handled: bool,
        there: Option<Scripts>,
        actions: &mut Actions,
    ) {
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
            note_pause(&mut r.paused, sig);
        } else {
            self.deliver(sig, actions);
        }
        self.stop_rest(sig, there, actions);
    }
}

fn note_pause(paused: &mut bool, sig: Sig) {
    match sig {
        Sig::Pause => *paused = true,
        Sig::Cont => *paused = false,
        _ => {}
    }
}
