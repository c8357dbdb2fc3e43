//! How a run is stopped, and how long it may take.
//!
//! d, x and t send the stop signal: `down-signal`, or else TERM; d and x send CONT after
//! it. If `control/t` is there, it runs first, and may do the signal's work. The first
//! stop signal, or a `control/t` that has done its work, starts the clock of
//! `timeout-kill`: if the process still runs when that is over, it gets KILL, once. Neither
//! another stop nor u stops the clock or moves it: the process that was told to end
//! ends, and what is wanted decides what follows. The clock belongs to the process, so it
//! ends with it. If `kill` says so, the rest of its process group follows ([`super::group`]).
//! An adopted process that got its stop signal from an earlier supervisor
//! has its whole time again.
//!
//! `h` sends `reload-signal`, or else HUP. `./finish` may take `timeout-finish`. A stop
//! that comes while it runs waits for it.
//!
//! A logger has none of these files. When it is to end with its pipe, it has a time to
//! read to the end; then it gets TERM, and KILL after another time.

use super::starts::end_early;
use super::{Action, Actions, Exit, LOG_TERM_MS, Program, Role, Running, Service, State, Want};
use crate::command::Sig;
use crate::restart::Cause;
use crate::settings::{Look, Scripts, Settings};
use crate::signal::Signal;
use crate::time::Instant;

/// What a process gets that has outstayed its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Next {
    /// The signal of a stop; KILL comes after that.
    Stop,
    /// KILL.
    Kill,
    /// Nothing: it got KILL at that moment.
    Over,
    /// Nothing: its run is taken for ready.
    Ready,
}

/// What the service asks for, as far as that has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    /// The stop signal.
    pub stop: Signal,
    /// The signal of `h`.
    pub reload: Signal,
    /// How long after the stop signal KILL comes (ms).
    pub kill_ms: Option<u32>,
}

impl Manner {
    /// Of a service that asks for nothing.
    pub const PLAIN: Self = Self {
        stop: Signal::TERM,
        reload: Signal::HUP,
        kill_ms: None,
    };

    /// What is sent for a control letter.
    pub const fn signal(self, sig: Sig) -> Signal {
        match sig {
            Sig::Term => self.stop,
            Sig::Hup => self.reload,
            _ => sig.signal(),
        }
    }
}

impl Service {
    /// d and x.
    pub(super) fn stop(&mut self, want: Want, now: Instant, actions: &mut Actions) {
        // One that another's end has told to stop has not been told before.
        let is_second = self.want != Want::Up;
        self.want = want;
        self.gates.start.forget();
        if self.is_stop_held() && !is_second {
            return;
        }
        match &mut self.state {
            State::Preparing | State::Probe => {
                self.state = State::Down {
                    not_before: Instant(0),
                }
            }
            State::Starting { stop, child, .. } => {
                if core::mem::replace(stop, true) && is_second {
                    self.gates.stop.pass();
                }
                if let Some(pid) = *child {
                    end_early(pid, actions);
                }
            }
            State::Run(_) | State::Done { .. } => self.begin_stop(now, actions),
            State::Down { .. }
            | State::EndingRun { .. }
            | State::Clearing(_)
            | State::Finish { .. }
            | State::Gone => {}
        }
    }

    /// `control/t` or the stop signal comes first; the rest follows in `stop_rest`.
    pub(super) fn begin_stop(&mut self, now: Instant, actions: &mut Actions) {
        if self.holds_stop() {
            return;
        }
        match &mut self.state {
            State::Run(r) => {
                r.stopping = true;
                r.need_not_rise(self.role);
            }
            State::Done { .. } => return self.undo(actions),
            _ => {}
        }
        self.signal(Sig::Term, now, actions);
    }

    /// What a look before a signal to this process found.
    pub(super) fn learn_manner(&mut self, sig: Sig, found: &Settings, now: Instant) {
        if let State::Run(r) = &mut self.state {
            match sig {
                Sig::Term => {
                    r.manner.stop = found.down_signal.unwrap_or(Signal::TERM);
                    r.manner.kill_ms = found.timeout_kill;
                    self.learn_overdue(found, now);
                }
                Sig::Hup => r.manner.reload = found.reload_signal.unwrap_or(Signal::HUP),
                _ => {}
            }
        }
    }

    /// The stop signal was sent, or `control/t` has done its work.
    pub(super) fn start_clock(&mut self, now: Instant) {
        let is_log = self.role == Role::Log;
        if let State::Run(r) = &mut self.state
            && !is_log
            && !matches!(r.ultimatum, Some((_, Next::Kill | Next::Over)))
        {
            let kill_at = |ms: u32| (now.plus_ms(ms.into()), Next::Kill);
            r.ultimatum = r.manner.kill_ms.map(kill_at);
        }
    }

    /// After a stop's signal. `there`: scripts that are known to be there.
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

    /// The time of the present process may be over.
    pub(super) fn end_overdue(&mut self, now: Instant, actions: &mut Actions) {
        match &mut self.state {
            State::Run(r) => {
                let Some((at, next)) = r.ultimatum.filter(|(at, _)| *at <= now) else {
                    return;
                };
                let (sig, then) = match next {
                    Next::Stop if self.role == Role::Main => {
                        return self.end_start(now, actions);
                    }
                    Next::Ready => return self.is_taken_for_ready(now),
                    Next::Stop => (Sig::Term, (now.plus_ms(LOG_TERM_MS), Next::Kill)),
                    Next::Kill => (Sig::Kill, (at, Next::Over)),
                    Next::Over => return,
                };
                r.ultimatum = Some(then);
                self.deliver(sig, now, actions);
                self.stop_rest(sig, None, actions);
            }
            State::Finish { pid, kill_at, .. } if kill_at.is_some_and(|at| at <= now) => {
                *kill_at = None;
                actions.push(Action::Signal(*pid, Signal::KILL));
            }
            State::Clearing(_) => self.clear_on(now, actions),
            _ => {}
        }
    }

    /// When the process that was told to end, by what the service asks for, gets KILL.
    pub const fn kill_at(&self) -> Option<Instant> {
        match (self.role, self.state) {
            (
                Role::Main,
                State::Run(Running {
                    ultimatum: Some((at, Next::Kill)),
                    ..
                }),
            ) => Some(at),
            (_, State::Finish { kill_at, .. }) => kill_at,
            (_, State::Clearing(clearing)) if !clearing.is_killed => Some(clearing.kill_at),
            _ => None,
        }
    }

    /// What is to be looked for when it was adopted: an earlier supervisor has told its
    /// process to end, or `./finish` runs, and nobody knows how much of its time is over.
    pub fn look_when_adopted(&self) -> Option<Look> {
        match self.state {
            State::Run(r) if r.got_term => Some(Look::Stopped(self.epilogue(), r.pid)),
            State::Run(r) if r.ready.is_none() || r.program == Program::Setup => {
                Some(Look::Adopted(r.pid))
            }
            State::Finish { .. } => Some(Look::End {
                exit: Exit::Unknown,
                cause: Cause::Itself,
                grows: false,
            }),
            _ => None,
        }
    }

    /// What that look found: the process has its whole time again.
    #[must_use]
    pub fn has_time_again(mut self, found: &Settings, now: Instant) -> Self {
        match &mut self.state {
            State::Run(r) if r.got_term => {
                r.manner.kill_ms = found.timeout_kill;
                self.start_clock(now);
            }
            State::Run(_) => self.looked_for_ready(found, now),
            State::Finish { kill_at, .. } => {
                *kill_at = found.timeout_finish.map(|ms| now.plus_ms(ms.into()));
                self.finish_decides = found.restart.is_some();
            }
            _ => {}
        }
        self
    }
}
