//! A service or its logger: the decided state, and what the world was told of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use model::format::status::Status;
use model::format::tai64n::Tai64n;
use model::service::{Service, Want};
use model::time::Instant;

use super::supervise::{self, Supervise};
use crate::say;
use crate::sys::clock;

/// One supervised process' worth of state.
pub struct Half {
    /// The state machine.
    pub service: Service,
    /// The directory that holds `run`.
    pub home: OwnedFd,
    /// Its path, for messages; it may go by another one by now.
    pub path: PathBuf,
    /// Its lock, fifos and files.
    pub supervise: Supervise,
    /// Watches a process that an earlier supervisor started.
    pub pidfd: Option<OwnedFd>,
    /// The alarm that is set for the service's deadline.
    pub alarm: Option<Instant>,
    /// The state files are to be written.
    pub dirty: bool,
    /// A `control/d` or `control/x` is running.
    pub epilogue: bool,
    /// When phase or pid last changed.
    changed: Tai64n,
    shown: Option<(Status, Want)>,
    complaint: String,
}

impl Half {
    /// Nothing shown yet; `changed` is now, or what an earlier supervisor knew.
    pub fn new(
        service: Service,
        home: OwnedFd,
        path: PathBuf,
        supervise: Supervise,
        changed: Option<Tai64n>,
    ) -> Self {
        Self {
            service,
            home,
            path,
            supervise,
            pidfd: None,
            alarm: None,
            dirty: false,
            epilogue: false,
            changed: changed.unwrap_or_else(clock::wall),
            shown: None,
            complaint: String::new(),
        }
    }

    /// Takes over the next state of the service.
    pub fn become_state(&mut self, next: Service) {
        if next.phase() != self.service.phase() {
            self.changed = clock::wall();
        }
        self.service = next;
    }

    /// Whether the state files lag behind, or the fifos are missing.
    pub fn is_stale(&self) -> bool {
        self.shown != Some((self.status(), self.service.want()))
            || self.supervise.control().is_none()
    }

    /// Writes the state files.
    pub fn show(&mut self) -> std::io::Result<()> {
        let status = self.status();
        let differs = self.shown.is_none_or(|(shown, _)| shown.pid != status.pid);
        // Until all is written, nothing of it counts as known.
        self.shown = None;
        supervise::show(self.home.as_fd(), &status, &self.service.stat(), differs)?;
        self.shown = Some((status, self.service.want()));
        Ok(())
    }

    /// Makes the fifos; true when `control` is new and is to be watched.
    pub fn furnish(&mut self) -> Result<bool, (&'static str, std::io::Error)> {
        self.supervise.furnish(self.home.as_fd())
    }

    fn status(&self) -> Status {
        let (phase, pid) = self.service.phase();
        Status {
            changed: self.changed,
            pid,
            paused: self.service.paused(),
            want_up: self.service.want() == Want::Up,
            got_term: self.service.got_term(),
            phase,
        }
    }

    /// Says what is wrong, once: the same complaint is not repeated before
    /// [`Half::content`].
    pub fn complain(&mut self, who: &str, complaint: String) {
        if complaint != self.complaint {
            say::offer(who, &complaint);
            self.complaint = complaint;
        }
    }

    /// What was complained of is over.
    pub fn content(&mut self) {
        self.complaint.clear();
    }
}
