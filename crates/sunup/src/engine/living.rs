//! Which services seem to have a process that an earlier supervisor left. Only the
//! order in which they are opened follows from it: what a record is worth is looked
//! at when its lock is held (`adopt.rs`). Services that are to start before others are
//! opened early, too: what they say must be known before those start.

use std::path::Path;

use model::adoption;
use model::format::adopt;
use model::format::status::{Phase, Status};
use model::scan::{Identity, Name};
use model::supervisor::Input;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, test_kill_process};

use super::Engine;
use crate::sys::clock;

impl Engine {
    /// Looks at services and their loggers.
    pub(super) fn look_for_living(&self, places: &[(Name, Identity)]) -> Input {
        let is_early = |name: &Name| {
            let home = self.scan_dir.as_ref().map(|dir| dir.path_of(name));
            let comes_first = |home: &Path| {
                self.lives(home) || self.lives(&home.join("log")) || home.join("before").exists()
            };
            home.is_some_and(|home| comes_first(&home))
        };
        let early = places.iter().filter(|(name, _)| is_early(name));
        Input::Living(early.map(|(_, identity)| *identity).collect())
    }

    fn lives(&self, home: &Path) -> bool {
        let world = self.launcher.world.as_ref();
        // Absent where nothing was ever supervised: then there is no status either.
        let Some(lock) = read::<{ adopt::BYTES_MAX }>(&home.join("supervise/lock")) else {
            return false;
        };
        let record = adopt::decode(&lock);
        let record = record.filter(|record| adoption::counts(record, world, clock::now()));
        let recorded = record.map(|record| record.pid);
        recorded.or_else(|| told(home)).is_some_and(is_there)
    }
}

/// The process of the last status, where runit's runsv was, which leaves no record.
fn told(home: &Path) -> Option<u32> {
    let status = read::<21>(&home.join("supervise/status"))?;
    let status = Status::decode(status.as_slice().try_into().ok()?)?;
    (status.phase != Phase::Down).then_some(status.pid)
}

fn read<const BYTES: usize>(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    let mut buffer = [0; BYTES];
    let n = rustix::io::pread(&file, &mut buffer, 0).ok()?;
    buffer.get(..n).map(<[u8]>::to_vec)
}

/// Whether there is a process with this pid, whoever's it is.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
