//! One service directory: the service, its logger if `log` is a directory, and
//! the pipe between them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::format::adopt::{Record, World};
use model::scan::{Identity, Name};
use model::service::{Event, Role, Want};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::adopt::{LogPipe, inherit};
use super::half::Half;
use super::supervise::{OpenError, Supervise};

/// A supervised service directory.
pub struct Unit {
    /// Its name in the scan directory, or the argument of runsv.
    pub name: Name,
    /// Its directory's identity.
    pub identity: Identity,
    /// The service.
    pub main: Half,
    /// Its logger.
    pub log: Option<Half>,
    /// The pipe between them.
    pub pipe: Option<LogPipe>,
    /// No entry leads to it any more.
    pub removed: bool,
}

/// What opening a unit found that the engine has to act on.
pub struct Opened {
    /// The unit.
    pub unit: Unit,
    /// Events that happened while no supervisor lived.
    pub missed: Vec<(Role, Event)>,
}

/// A service directory that was found: held open, and known by its identity.
pub struct Place {
    /// The directory.
    pub home: OwnedFd,
    /// The path it was found by, for messages.
    pub path: PathBuf,
    /// What tells it from others.
    pub identity: Identity,
}

impl Place {
    /// Opens a directory.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let home = open_dir(CWD, path)?;
        let found = fstat(&home)?;
        let identity = Identity {
            dev: found.st_dev,
            ino: found.st_ino,
        };
        Ok(Self {
            home,
            path: path.to_owned(),
            identity,
        })
    }
}

impl Unit {
    /// Locks the supervise directories and takes over what an earlier supervisor left.
    pub fn open(name: Name, place: Place, world: Option<&World>) -> Result<Opened, OpenError> {
        let Place {
            home,
            path,
            identity,
        } = place;
        let log_home = match open_dir(&home, Path::new("log")) {
            Ok(log) => Some(log),
            Err(Errno::NOENT | Errno::NOTDIR) => None,
            Err(e) => return Err(OpenError::Failed("open log", e.into())),
        };
        let mut found = Found {
            world,
            records: vec![],
            missed: vec![],
        };
        let log_path = path.join("log");
        let main = found.half(home, path, Role::Main)?;
        let log = log_home
            .map(|home| found.half(home, log_path, Role::Log))
            .transpose()?;
        let pipe = log
            .is_some()
            .then(|| LogPipe::take_over(&found.records))
            .transpose()
            .map_err(|e| OpenError::Failed("make the log pipe", e))?;
        let unit = Self {
            name,
            identity,
            main,
            log,
            pipe,
            removed: false,
        };
        Ok(Opened {
            unit,
            missed: found.missed,
        })
    }

    /// The service or the logger.
    pub fn half(&self, role: Role) -> Option<&Half> {
        match role {
            Role::Main => Some(&self.main),
            Role::Log => self.log.as_ref(),
        }
    }

    /// As [`Unit::half`].
    pub fn half_mut(&mut self, role: Role) -> Option<&mut Half> {
        match role {
            Role::Main => Some(&mut self.main),
            Role::Log => self.log.as_mut(),
        }
    }

    /// The name for messages: printable, and with `/log` for the logger.
    pub fn title(&self, role: Role) -> String {
        let log = if role == Role::Log { "/log" } else { "" };
        format!("{}{log}", self.name.escape_ascii())
    }

    /// Whether a script `control/LETTER` exists and is executable (runsv(8)).
    pub fn has_script(&self, letter: u8) -> bool {
        let name = ["control/", &char::from(letter).to_string()].concat();
        statat(&self.main.home, name, AtFlags::empty())
            .is_ok_and(|found| Mode::from_raw_mode(found.st_mode).contains(Mode::XUSR))
    }
}

/// What was found while a unit was opened.
struct Found<'w> {
    world: Option<&'w World>,
    records: Vec<Record>,
    missed: Vec<(Role, Event)>,
}

impl Found<'_> {
    fn half(&mut self, home: OwnedFd, path: PathBuf, role: Role) -> Result<Half, OpenError> {
        let supervise = Supervise::open(home.as_fd())?;
        // As runsv looks for it: anything by that name counts, a dangling link does not.
        let is_down = statat(&home, c"down", AtFlags::empty()).is_ok();
        let default = if is_down { Want::Down } else { Want::Up };
        let found = inherit(home.as_fd(), self.world, role, default)
            .map_err(|e| OpenError::Failed("look for an earlier supervisor's process", e))?;
        self.missed.extend(found.missed.map(|event| (role, event)));
        let mut half = Half::new(found.service, home, path, supervise, found.changed);
        if let Some((pidfd, record)) = found.process {
            half.pidfd = Some(pidfd);
            self.records.push(record);
        }
        Ok(half)
    }
}

fn open_dir(at: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(
        at,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}
