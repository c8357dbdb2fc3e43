//! A service or its logger: its directory, its `supervise`, and what was
//! complained of.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use model::format::status::Status;
use model::service::Pid;
use model::supervisor::Job;

use super::supervise::{self, Supervise};
use crate::say;

/// What is held open for one supervised process.
pub struct Half {
    /// The directory that holds `run`.
    pub home: OwnedFd,
    /// Its path, for messages; it may go by another one by now.
    pub path: PathBuf,
    /// Its lock, fifos and files.
    pub supervise: Supervise,
    /// Watches a process that is no child of ours.
    pub pidfd: Option<OwnedFd>,
    /// What `supervise/pid` shows, if that is known.
    shown_pid: Option<Pid>,
    complaint: String,
}

impl Half {
    /// Nothing was complained of yet.
    pub fn new(home: OwnedFd, path: PathBuf, supervise: Supervise, pidfd: Option<OwnedFd>) -> Self {
        Self {
            home,
            path,
            supervise,
            pidfd,
            shown_pid: None,
            complaint: String::new(),
        }
    }

    /// Writes the state files.
    pub fn show(&mut self, status: &Status, stat: &str) -> std::io::Result<()> {
        let differs = self.shown_pid != Some(status.pid);
        // Until all is written, nothing of it counts as known.
        self.shown_pid = None;
        supervise::show(self.home.as_fd(), status, stat, differs)?;
        self.shown_pid = Some(status.pid);
        Ok(())
    }

    /// Says what is wrong, once: the same complaint is not repeated before
    /// [`Half::renew`].
    pub fn complain(&mut self, who: &str, complaint: String) {
        if complaint != self.complaint {
            say::offer(who, &complaint);
            self.complaint = complaint;
        }
    }

    /// A process of our own was started in the former one's place. If that is
    /// `run`, what was complained of is over.
    pub fn renew(&mut self, job: Job) {
        self.pidfd = None;
        if matches!(job, Job::Run(_)) {
            self.complaint.clear();
        }
    }
}
