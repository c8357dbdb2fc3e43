//! runit's files whose execute bit is a message to PID 1: `stopit` (go down) and
//! `reboot` (and start again).
//!
//! Their place is /etc/runit; that may be read-only, so /run is another, where Debian has
//! them. Either file may be a link, also to a file that does not exist yet. A message in
//! either place counts. Existing files are changed; if there is none, it is made in the
//! first place that can be written.

use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use model::stages;

use crate::sys::signal;

/// A message.
pub struct Request {
    places: [&'static str; 2],
}

/// Go down at the next CONT.
pub const STOPIT: Request = Request {
    places: [stages::STOPIT, "/run/runit.stopit"],
};

/// Start again after that.
pub const REBOOT: Request = Request {
    places: [stages::REBOOT, "/run/runit.reboot"],
};

const SET: u32 = 0o100;
const CLEAR: u32 = 0;

/// Asks runit to take the machine down, and to start it again or not. How comes first: PID 1
/// may look as soon as `stopit` is there.
///
/// # Errors
/// What was tried, and why it failed, in words.
pub fn ask(reboot: bool) -> Result<(), String> {
    let (attempt, how) = if reboot {
        ("make executable", REBOOT.set())
    } else {
        ("take all permissions from", REBOOT.clear())
    };
    let trouble = |file: &Request, attempt, e| format!("{}: {attempt}: {e}", file.name());
    how.map_err(|e| trouble(&REBOOT, attempt, e))?;
    STOPIT
        .set()
        .map_err(|e| trouble(&STOPIT, "make executable", e))?;
    signal::kill(1, signal::SIGCONT).map_err(|e| format!("signal PID 1: {e}"))
}

/// Whether the owner may execute the file; `None` if it is not there.
pub fn is_executable(path: &str) -> Option<bool> {
    let file = std::fs::metadata(path).ok()?;
    Some(file.mode() & SET != 0)
}

impl Request {
    /// Whether the message is there; `None` if no place has the file.
    pub fn is_set(&self) -> Option<bool> {
        self.places.iter().filter_map(|p| is_executable(p)).max()
    }

    /// Leaves the message.
    pub fn set(&self) -> io::Result<()> {
        let found = self.places.map(|place| chmod(place, SET).is_ok());
        if found.contains(&true) {
            return Ok(());
        }
        let [usual, other] = self.places;
        create(usual).or_else(|e| create(other).map_err(|_| e))
    }

    /// Takes the message back; an error means that it is still there.
    pub fn clear(&self) -> io::Result<()> {
        for place in self.places {
            match chmod(place, CLEAR) {
                Err(e) if is_executable(place) == Some(true) => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// The usual place, for messages.
    pub fn name(&self) -> &'static str {
        self.places[0]
    }
}

fn chmod(path: &str, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

/// Only the file's mode matters: it is opened just to create it.
fn create(path: &str) -> io::Result<()> {
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(SET)
        // A fifo without a reader would make us wait.
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match made {
        Err(e) if is_executable(path).is_none() => Err(e),
        _ => chmod(path, SET),
    }
}
