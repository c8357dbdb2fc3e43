//! One service directory: the service, its logger if `log` is a directory, and
//! the pipe between them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::format::adopt::{Record, World};
use model::scan::{Identity, Name};
use model::service::{Event, Role, Want};

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

impl Unit {
    /// Locks the supervise directories of `home` (absolute) and takes over what
    /// an earlier supervisor left.
    pub fn open(
        name: Name,
        home: PathBuf,
        identity: Identity,
        world: Option<&World>,
    ) -> Result<Opened, OpenError> {
        let mut records = Vec::new();
        let mut missed = Vec::new();
        let main_lock = Supervise::open(&home)?;
        let log_dir = home.join("log");
        let log = if log_dir.is_dir() {
            let lock = Supervise::open(&log_dir)?;
            Some(half(
                log_dir,
                lock,
                Role::Log,
                world,
                &mut records,
                &mut missed,
            ))
        } else {
            None
        };
        let main = half(
            home,
            main_lock,
            Role::Main,
            world,
            &mut records,
            &mut missed,
        );
        let pipe = match &log {
            Some(_) => Some(
                LogPipe::take_over(&records)
                    .map_err(|e| OpenError::Failed("make the log pipe", e))?,
            ),
            None => None,
        };
        let unit = Self {
            name,
            identity,
            main,
            log,
            pipe,
            removed: false,
        };
        Ok(Opened { unit, missed })
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
        let path = self
            .main
            .dir
            .join("control")
            .join(char::from(letter).to_string());
        fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o100 != 0)
    }
}

fn half(
    dir: PathBuf,
    supervise: Supervise,
    role: Role,
    world: Option<&World>,
    records: &mut Vec<Record>,
    missed: &mut Vec<(Role, Event)>,
) -> Half {
    let default = if exists(&dir.join("down")) {
        Want::Down
    } else {
        Want::Up
    };
    let found = inherit(&supervise, world, role, default);
    missed.extend(found.missed.map(|event| (role, event)));
    let mut half = Half::new(found.service, dir, supervise, found.changed);
    if let Some((pidfd, record)) = found.process {
        half.pidfd = Some(pidfd);
        records.push(record);
    }
    half
}

/// As runsv looks for `down`: anything by that name counts, a dangling link does not.
fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}
