//! Starts under way. The supervisor goes on while a child loads its program; the
//! answer is handed in before what has to wait for it, as [`model::supervisor`] says.

use std::collections::VecDeque;

use model::service::{Exit, Pid};
use model::supervisor::{Action, Id, Input, Job};

use super::half::About;
use super::launch::Refusal;
use super::perform::path_of;
use super::{Engine, adopt};
use crate::sys::child;
use crate::sys::spawner::{SEATS, Start};

/// Those whose outcome is not known yet, in their order.
#[derive(Default)]
pub struct Starting(VecDeque<(Job, Start)>);

impl Starting {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an action must wait for the first of them.
    pub fn hold_up(&self, action: &Action) -> bool {
        let is_full = matches!(action, Action::Start(_)) && self.0.len() >= SEATS;
        is_full || self.ids().any(|id| action.waits_for(id))
    }

    fn ids(&self) -> impl Iterator<Item = Id> {
        self.0.iter().map(|(job, _)| job.id())
    }
}

impl Engine {
    /// Before a child is reaped: whether it has ended and is still there, once the
    /// answers that its end waits for are handed in. Once it is reaped, its pid may be
    /// given to what is started then.
    pub(super) fn may_be_reaped(&mut self, pid: rustix::process::Pid) -> bool {
        let has_ended = || child::has_ended(pid) == Ok(true);
        if self.starting.is_empty() {
            return true;
        }
        if !has_ended() {
            return false;
        }
        let end = Input::ChildEnded(pid.as_raw_pid() as Pid, Exit::Unknown);
        self.finish_before(&end);
        has_ended()
    }

    /// Before an input is handed in: the answers that it waits for.
    pub(super) fn finish_before(&mut self, input: &Input) {
        while self.starting.ids().any(|id| self.core.waits_for(input, id)) {
            self.finish_one();
            self.act();
        }
    }

    /// Starts a child; a refusal is an answer at once.
    pub(super) fn start(&mut self, job: Job) -> Option<Input> {
        let id = job.id();
        let Some(unit) = self.units.get(&id.unit) else {
            return Some(Input::NotStarted(job, model::service::Failure::Absent));
        };
        let dir = || path_of(self.scan_dir.as_ref(), &self.core, id);
        match self.launcher.launch(unit, job, dir) {
            Ok(start) => {
                self.starting.0.push_back((job, start));
                None
            }
            Err(refusal) => Some(self.refused(job, refusal)),
        }
    }

    /// Hands in the answer of the start that came first, if there is one.
    pub(super) fn finish_one(&mut self) {
        let Some((job, start)) = self.starting.0.pop_front() else {
            return;
        };
        let dir = || path_of(self.scan_dir.as_ref(), &self.core, job.id());
        let answer = match self.launcher.finish(start, job, dir) {
            Ok(pid) => {
                if let Some(half) = self.half(job.id()) {
                    half.started(job);
                }
                Input::Started(job, pid as Pid)
            }
            Err(refusal) => self.refused(job, refusal),
        };
        self.core.handle(adopt::moment(), answer);
    }

    fn refused(&mut self, job: Job, refusal: Refusal) -> Input {
        if let Some(text) = refusal.complaint {
            let id = job.id();
            let (who, text) = (self.who, format!("{}: {text}", self.title_of(id)));
            if let Some(half) = self.half(id) {
                half.complain(who, About::job(job), text);
            }
        }
        Input::NotStarted(job, refusal.failure)
    }
}
