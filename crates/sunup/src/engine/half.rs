//! A service or its logger: its directory, its `supervise`, and what was
//! complained of.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use model::facts::{Facts, Files, Stat};
use model::format::exits::Sighting;
use model::service::Pid;
use model::supervisor::Job;

use super::directory::Directory;
use super::supervise::{self, Supervise};
use crate::say;
use crate::sys::descriptors::move_aside;

/// What a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// `./run`.
    Run,
    /// `./finish`.
    Finish,
    /// `./control/LETTER`.
    Script(u8),
    /// `./supervise`.
    Files,
    /// A file of our own, by its name.
    Setting(&'static str),
}

impl About {
    /// About the program of a job.
    pub const fn job(job: Job) -> Self {
        match job {
            Job::Run(_) => Self::Run,
            Job::Finish(..) => Self::Finish,
            Job::Prepare(_) => Self::Script(b'u'),
            Job::Script(_, sig, _) => Self::Script(sig.letter()),
            Job::Epilogue(_, letter, _) => Self::Script(letter),
        }
    }
}

/// What is held open for one supervised process.
pub struct Half {
    /// The directory that holds `run`.
    place: Directory,
    /// Its lock, fifos and files.
    pub supervise: Supervise,
    /// Watches a process that is no child of ours.
    pub pidfd: Option<OwnedFd>,
    /// When that certainly had its pid.
    pub sighting: Option<Sighting>,
    /// What `supervise/pid` and `stat` show, if that is known.
    shown: Option<(Pid, Stat)>,
    #[expect(
        clippy::box_collection,
        reason = "most have none: 8 bytes instead of 24"
    )]
    complaints: Option<Box<BTreeMap<About, String>>>,
}

impl Half {
    /// Nothing was complained of yet.
    pub const fn new(home: OwnedFd, supervise: Supervise, pidfd: Option<OwnedFd>) -> Self {
        Self::again(Directory::Held(home), supervise, pidfd)
    }

    /// As a predecessor in this process left it.
    pub const fn again(place: Directory, supervise: Supervise, pidfd: Option<OwnedFd>) -> Self {
        Self {
            place,
            supervise,
            pidfd,
            sighting: None,
            shown: None,
            complaints: None,
        }
    }

    /// The directory that holds `run`. While it is away this is no directory, and
    /// all that is tried in it fails.
    pub fn home(&self) -> BorrowedFd<'_> {
        self.place.held().unwrap_or(self.supervise.record_fd())
    }

    /// The directory, or what it is found by.
    pub const fn place(&self) -> &Directory {
        &self.place
    }

    /// Before something is done: the directory is to be open. `path` is its own.
    pub fn begin(&mut self, path: impl FnOnce() -> PathBuf) {
        self.place.come_back(self.supervise.record_fd(), path);
    }

    /// Nothing is done for now, and descriptors are short: the directory is closed if
    /// it can be found again, else what was opened for the moment has its own place.
    pub fn rest(&mut self) {
        self.place.go_away(self.supervise.record_fd());
        self.place.settle();
    }

    /// The descriptor of the process has its place: from now on it does not move, for
    /// epoll knows it by its number.
    pub fn settle(&mut self) {
        if let Some(pidfd) = &mut self.pidfd {
            move_aside(pidfd);
        }
    }

    /// Writes `status`, and `pid` and `stat` if they are due; true if their directory
    /// had to be made anew.
    pub fn show(&mut self, facts: &Facts, files: Files) -> std::io::Result<bool> {
        let stat = files.stat.then(|| facts.stat());
        // Until all is written, nothing of it counts as known.
        let shown = self.shown.take();
        let anew = supervise::show(self.home(), &facts.status(), stat, shown)?;
        self.shown = stat.map(|stat| (facts.pid, stat));
        Ok(anew)
    }

    /// As [`Supervise::furnish`].
    pub fn furnish(&mut self, anew: bool) -> Result<bool, (&'static str, std::io::Error)> {
        match self.place.held() {
            Some(home) => self.supervise.furnish(home, anew),
            None => Err(("find the directory", std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Says what is wrong, once: the same complaint is not repeated until its
    /// cause is over.
    pub fn complain(&mut self, who: &str, about: About, complaint: String) {
        let complaints = self.complaints.get_or_insert_default();
        if complaints.get(&about) != Some(&complaint) {
            say::offer(who, &complaint);
            complaints.insert(about, complaint);
        }
    }

    /// What was complained of is over.
    pub fn is_well(&mut self, about: About) {
        if let Some(complaints) = &mut self.complaints {
            complaints.remove(&about);
        }
    }

    /// A job was started; a process of our own is in the former one's place.
    pub fn started(&mut self, job: Job) {
        self.is_well(About::job(job));
        if job.is_process() {
            self.pidfd = None;
        }
    }
}
