//! What comes before `./run`, or in its place: `./setup` (`docs/decisions/0024-oneshots.md`).
//!
//! ```text
//!              exit 0             there is ./run
//! Run (setup) --------> looks -------------------> Starting (run)
//!      |                  |
//!      |                  | there is none                  d, t, x
//!      |                  +---------------> Done ------------------------> EndingRun
//!      |                                    (no process, wanted up)         (finish 0 0)
//!      |  any other end: as a start that failed
//!      +---------------------------------------------> EndingRun
//!         111: and it is wanted down from now on       (finish 111 0)
//! ```
//!
//! `./setup` is a process as `./run` is: signals reach it, a stop ends it, and a supervisor
//! that takes over adopts it. What a command ended has not failed; if it exits 0 all the
//! same, it counts, unless the service is to be down by now. With `o` (once) a service is
//! wanted down from the start, so the two differ by the stop signal.
//!
//! A oneshot that is done has no process, and nothing to restart: it is up until it is told
//! to be down, or to begin again (`t`). `p`, `c` and `k` need a process; of the other
//! letters the script is run, with the pid 0.
//!
//! *Done* is a word in the record that `./setup` left ([`crate::format::adopt`]). It is
//! there until `./finish` has undone the work, or `d` or `t` says that it is over. A
//! service that is only told to exit, and has no `./finish`, stays done: its link may come
//! back.

use super::{Action, Actions, Running, Service, State, Want};
use crate::command::Sig;
use crate::format::adopt::Mark;
use crate::process::{Exit, Pid, Program};
use crate::restart::{Cause, Streak};
use crate::settings::{Look, Scripts, Settings};
use crate::time::Instant;

const SUCCESS: Exit = Exit::Code(0);
/// The pid in the arguments of a script, if there is no process.
pub(super) const NOBODY: Pid = 0;
/// Done, and no script runs.
pub(super) const DONE: State = State::Done {
    scripts: Scripts::NONE,
    again: Scripts::NONE,
};

impl Service {
    /// `./setup` ended.
    pub(super) fn set_up(
        &mut self,
        setup: Running,
        exit: Exit,
        now: Instant,
        actions: &mut Actions,
    ) {
        self.left = Mark::Over;
        let was_told = setup.was_told || setup.stopping || self.is_stop_held();
        let is_stopped = match self.want {
            Want::Up => false,
            Want::Down => was_told,
            Want::Exit => true,
        };
        let is_told = was_told && !setup.is_overdue();
        if is_stopped || is_told && exit != SUCCESS {
            let next = setup.next_start(now);
            self.end_run(exit, Cause::Command, false, next, actions);
        } else if exit == SUCCESS && !setup.is_overdue() {
            self.state = State::Preparing;
            actions.push(Action::Look(Look::SetUp));
        } else {
            self.failed_to_start(exit, Cause::Setup, now, actions);
        }
    }

    /// The work of `./setup` is done: what follows?
    pub(super) fn go_on(&mut self, found: &Settings, actions: &mut Actions) {
        if found.run {
            return self.begin(Program::Run, actions);
        }
        self.be_done(actions);
    }

    /// A oneshot, a milestone or a probe is done.
    fn be_done(&mut self, actions: &mut Actions) {
        self.gates.start.forget();
        self.state = DONE;
        self.streak = Streak::NONE;
        match self.want {
            Want::Up => {}
            // It was to be started once: that is all there is to a oneshot.
            Want::Down => self.want = Want::Up,
            Want::Exit => self.undo(actions),
        }
    }

    /// Whether only `./check` can tell when it is ready.
    pub const fn awaits_check(&self) -> bool {
        matches!(self.state, State::Probe)
    }

    /// `./check` of a probe has succeeded.
    pub(super) fn probed(&mut self, actions: &mut Actions) {
        if self.state == State::Probe {
            self.be_done(actions);
        }
    }

    /// A oneshot that is done is to be down, or to begin again.
    pub(super) fn undo(&mut self, actions: &mut Actions) {
        let not_before = Instant(0);
        self.end_run(SUCCESS, Cause::Undone, false, not_before, actions);
    }

    /// A signal for a oneshot that is done.
    pub(super) fn signal_done(&mut self, sig: Sig, actions: &mut Actions) {
        match sig {
            Sig::Term => self.undo(actions),
            Sig::Pause | Sig::Cont | Sig::Kill => {}
            _ => self.ask_for_script(sig, actions),
        }
    }

    /// While its script runs, the question is put off.
    fn ask_for_script(&mut self, sig: Sig, actions: &mut Actions) {
        let State::Done { scripts, again } = &mut self.state else {
            return;
        };
        if scripts.has(sig.letter()) {
            return again.add(sig.letter());
        }
        scripts.add(sig.letter());
        actions.push(Action::Look(Look::Signal(sig, NOBODY)));
    }

    /// What a look for a script of a oneshot that is done has found.
    pub(super) fn done_looked(&mut self, sig: Sig, there: Scripts, actions: &mut Actions) {
        let State::Done { scripts, .. } = &mut self.state else {
            return;
        };
        if !scripts.has(sig.letter()) {
            return;
        }
        if there.has(sig.letter()) {
            actions.push(Action::Script(sig, NOBODY));
        } else {
            self.done_script_ended(sig, actions);
        }
    }

    /// A script of a oneshot that is done has ended.
    pub(super) fn done_script_ended(&mut self, sig: Sig, actions: &mut Actions) {
        if let State::Done { scripts, again } = &mut self.state
            && scripts.take(sig.letter())
            && again.take(sig.letter())
        {
            self.ask_for_script(sig, actions);
        }
    }
}
