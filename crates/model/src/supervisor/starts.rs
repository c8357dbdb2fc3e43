//! Starts that have no answer yet.
//!
//! A program takes time to load, or hangs because its disk does not answer. The start is
//! then a state of its own service, and no other service waits for it:
//!
//! - A start that was handed out is under way. Its service's state files are not
//!   written before the answer, and its commands stay in the fifo
//!   ([`Supervisor::holds_back`]), so that a signal for a service that is just
//!   being started is not lost.
//! - A start whose answer is late ([`super::Input::Late`]) holds back nothing any more.
//!   The record shows that it is down and names the process, which gets signals.
//! - The end of a child is handed in after the answer of its start.
//! - Who leaves, or is replaced, hands in all answers first
//!   ([`Action::needs_all_answers`]), and a keeper that lets go of a unit those of the
//!   unit ([`super::Input::Obeyed`]). What is late then is taken for started: there
//!   is a process, and whoever goes on watches it like any other.

use alloc::vec::Vec;

use super::{Action, Job, Supervisor, UnitId};
use crate::service::{Event, Pid, Role};

/// The starts under way, in the order in which they were handed out.
#[derive(Clone, Debug, Default)]
pub struct Starts(Vec<(Job, bool)>);

impl Starts {
    /// A start was handed out.
    pub fn begin(&mut self, job: Job) {
        self.0.push((job, false));
    }

    /// The answer came; a job that was handed out twice has two answers.
    pub fn end(&mut self, job: Job) {
        if let Some(at) = self.0.iter().position(|(of, _)| *of == job) {
            self.0.remove(at);
        }
    }

    fn late(&mut self, job: Job) {
        for (of, is_late) in &mut self.0 {
            *is_late |= *of == job;
        }
    }

    /// Forgets all starts.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn in_time(&self) -> impl Iterator<Item = Job> {
        let starts = self.0.iter().filter(|(_, is_late)| !is_late);
        starts.map(|(job, _)| *job)
    }

    /// Whether the answer for a service's or logger's process is still to come, and not
    /// late.
    pub fn settle_soon(&self, id: super::Id) -> bool {
        self.in_time().any(|job| job.is_process() && job.id() == id)
    }

    /// Whether a process of the service is being started with its present descriptors.
    pub fn has_begun(&self, unit: UnitId) -> bool {
        let role = Role::Main;
        let id = super::Id { unit, role };
        let mut jobs = self.0.iter().map(|(job, _)| job);
        jobs.any(|job| job.is_process() && job.id() == id)
    }
}

impl Action {
    /// Whether this action must wait for the answers of all starts.
    pub const fn needs_all_answers(&self) -> bool {
        matches!(self, Self::Leave)
    }
}

impl Supervisor {
    /// Whether commands of a unit are to stay in its fifos for now.
    pub fn holds_back(&self, unit: UnitId) -> bool {
        self.starts.in_time().any(|job| job.id().unit == unit)
    }

    /// See [`super::Input::Late`].
    pub(super) fn late(&mut self, job: Job, pid: Pid) {
        self.starts.late(job);
        if job.is_process() {
            self.drive(job.id(), Event::Late(pid));
        }
    }
}
