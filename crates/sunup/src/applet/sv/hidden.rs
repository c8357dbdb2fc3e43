//! A directory that is made under a hidden name, and then has its name at once: nobody sees
//! half of it. What a killed sv has left is removed by the next that makes one there.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::process::{Pid, test_kill_process};

use super::tree::{Place, open_dir, remove};

/// How the hidden names begin; the process that makes it follows.
const PREFIX: &str = ".sv-new.";

/// Not published yet; dropping it removes it.
pub struct Hidden {
    path: PathBuf,
    dir: OwnedFd,
}

impl Hidden {
    /// An empty one, in this directory.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let own = std::process::id();
        for entry in fs::read_dir(parent)? {
            let name = entry?.file_name();
            let maker = name.as_bytes().strip_prefix(PREFIX.as_bytes());
            let maker = maker.and_then(|pid| str::from_utf8(pid).ok()?.parse().ok());
            if maker.is_some_and(|pid: u32| pid == own || is_gone(pid)) {
                let _swept = remove(&parent.join(name), Place::Hidden);
            }
        }
        let path = parent.join(format!("{PREFIX}{own}"));
        mkdirat(CWD, &path, Mode::from_raw_mode(0o777))?;
        let dir = open_dir(CWD, &path)?;
        Ok(Self { path, dir })
    }

    /// The directory, whatever has its path.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Gives it its name. It fails if there is something by that name.
    pub fn publish(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // After it was published, there is none.
        let _gone = remove(&self.path, Place::Hidden);
    }
}

fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}
