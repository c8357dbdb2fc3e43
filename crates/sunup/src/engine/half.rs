//! A service or its logger: its directory, its `supervise`, and which complaints were
//! reported.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use model::access::Access;
use model::facts::{Facts, Files, Stat, StateFiles};
use model::format::exits::Sighting;
use model::service::Pid;
use model::supervisor::Job;

use super::directory::Directory;
use super::site::Site;
use super::supervise::{self, Supervise};
use crate::say;
use crate::sys::descriptors::move_aside;

/// What a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// `./setup`.
    Setup,
    /// `./run`.
    Run,
    /// `./finish`.
    Finish,
    /// `./control/LETTER`.
    Script(u8),
    /// `./supervise`.
    Files,
    /// `./check`.
    Check,
    /// What a run is given to be heard, by the file that asks for it.
    Voice(&'static str),
    /// A file of our own, by its name.
    Setting(&'static str),
}

impl About {
    /// About the program of a job.
    pub const fn job(job: Job) -> Self {
        match job {
            Job::Setup(_) => Self::Setup,
            Job::Run(_) => Self::Run,
            Job::Finish(..) => Self::Finish,
            Job::Prepare(_) => Self::Script(b'u'),
            Job::Check(_) => Self::Check,
            Job::Script(_, sig, _) => Self::Script(sig.letter()),
            Job::Epilogue(_, letter, _) => Self::Script(letter),
        }
    }
}

/// What is held open for one supervised process.
pub struct Half {
    /// The directory that holds `run`.
    place: Directory,
    /// The directory that holds `supervise`, if the service's own cannot.
    pub room: Option<OwnedFd>,
    /// Its lock, fifos and files.
    pub supervise: Supervise,
    /// Who is let in there besides the supervisor's user.
    pub access: Access,
    /// Watches a process that is no child of ours.
    pub pidfd: Option<OwnedFd>,
    /// A moment when that process certainly had its pid.
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
    /// One without complaints.
    pub const fn new(home: OwnedFd, supervise: Supervise, pidfd: Option<OwnedFd>) -> Self {
        Self::again(Directory::Held(home), supervise, pidfd)
    }

    /// As a predecessor in this process left it.
    pub const fn again(place: Directory, supervise: Supervise, pidfd: Option<OwnedFd>) -> Self {
        Self {
            place,
            room: None,
            supervise,
            access: Access::PLAIN,
            pidfd,
            sighting: None,
            shown: None,
            complaints: None,
        }
    }

    /// The directory that holds `run`. While it is closed this is no directory, and
    /// everything that is tried in it fails.
    pub fn home(&self) -> BorrowedFd<'_> {
        self.place.held().unwrap_or(self.supervise.record_fd())
    }

    /// The directory that holds `supervise`.
    pub fn state_home(&self) -> BorrowedFd<'_> {
        self.room.as_ref().map_or_else(|| self.home(), AsFd::as_fd)
    }

    /// Where `supervise` is, and who is let in.
    pub fn site(&self) -> Site<'_> {
        Site {
            home: self.state_home(),
            access: self.access,
        }
    }

    /// Whether the directory that holds `supervise` was removed while it was open.
    pub fn is_removed(&self) -> bool {
        rustix::fs::fstat(self.state_home()).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// The open directory, or how to open it again.
    pub const fn place(&self) -> &Directory {
        &self.place
    }

    /// Opens the directory if it is closed, before it is used. `path` is its own path.
    pub fn begin(&mut self, path: impl FnOnce() -> PathBuf) {
        self.place.come_back(self.supervise.record_fd(), path);
    }

    /// Descriptors are short, and the directory is not in use: closes it if it can be
    /// opened again, else moves it to its lasting number.
    pub fn rest(&mut self) {
        if self.room.is_none() {
            self.place.go_away(self.supervise.record_fd());
        }
        self.place.settle();
    }

    /// Gives the pidfd its lasting number: from now on it must not move, because epoll
    /// knows it by number.
    pub fn settle(&mut self) {
        if let Some(pidfd) = &mut self.pidfd {
            move_aside(pidfd);
        }
    }

    /// Writes `status`, and `pid` and `stat` if they are due; true if their directory
    /// had to be made anew.
    pub fn show(&mut self, facts: &Facts, files: Files) -> std::io::Result<bool> {
        let stat = (files.state == StateFiles::All).then(|| facts.stat());
        // Until all is written, the content of the files is not known.
        let shown = self.shown.take();
        let anew = supervise::show(self.site(), &facts.status(), stat, shown)?;
        self.shown = stat.map(|stat| (facts.pid, stat));
        Ok(anew)
    }

    /// As [`Supervise::furnish`].
    pub fn furnish(
        &mut self,
        anew: bool,
        is_named: bool,
    ) -> Result<bool, (&'static str, std::io::Error)> {
        match self.place.held() {
            Some(home) => {
                let site = Site {
                    home: self.room.as_ref().map_or(home, AsFd::as_fd),
                    access: self.access,
                };
                self.supervise.furnish(site, anew, is_named)
            }
            None => Err(("find the directory", std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Reports a problem once: the same complaint is not repeated until its cause is
    /// over.
    pub fn complain(&mut self, who: &str, about: About, complaint: String) {
        let complaints = self.complaints.get_or_insert_default();
        if complaints.get(&about) != Some(&complaint) {
            say::offer(who, &complaint);
            complaints.insert(about, complaint);
        }
    }

    /// The cause of a complaint is over.
    pub fn is_well(&mut self, about: About) {
        if let Some(complaints) = &mut self.complaints {
            complaints.remove(&about);
        }
    }

    /// A job was started: our own child replaces the adopted process.
    pub fn started(&mut self, job: Job) {
        self.is_well(About::job(job));
        if job.is_process() {
            self.pidfd = None;
        }
    }
}
