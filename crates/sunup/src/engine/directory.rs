//! The directory of a service or logger, held open, so that it stays the same directory
//! even if its path changes.
//!
//! If descriptors run short, it is closed while it is not in use. So more services can be
//! supervised, and all of them can be taken over, which takes one pidfd for each process.
//! A closed directory is opened again by the path of the lock in it, which the kernel
//! knows, or by its own name, and must be the same directory. If it cannot be found
//! again, its service has to wait: so it stays open if there are enough descriptors.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::scan::Identity;
use rustix::fs::{CWD, fstat};

use crate::service_entries;
use crate::sys::descriptors::move_aside;

/// See the module.
pub enum Directory {
    /// Open.
    Held(OwnedFd),
    /// Closed, and it can be found again.
    Away(Identity),
}

impl Directory {
    /// What is open of it.
    pub fn held(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Held(fd) => Some(fd.as_fd()),
            Self::Away(_) => None,
        }
    }

    /// What tells it from others.
    pub fn identity(&self) -> Option<Identity> {
        match self {
            Self::Held(fd) => identity(fd).ok(),
            Self::Away(identity) => Some(*identity),
        }
    }

    /// Opens it again, if it is closed and can be found. `path` is its path by name.
    pub fn come_back(&mut self, lock: BorrowedFd, path: impl FnOnce() -> PathBuf) {
        let Self::Away(identity) = *self else { return };
        let found = find(lock, identity).or_else(|| open(&path(), identity));
        if let Some(fd) = found {
            *self = Self::Held(fd);
        }
    }

    /// Moves the descriptor to a high number, if there is room.
    pub fn settle(&mut self) {
        if let Self::Held(fd) = self {
            move_aside(fd);
        }
    }

    /// Closes it if it can be found again, which may fail where `supervise` is a link to
    /// elsewhere.
    pub fn go_away(&mut self, lock: BorrowedFd) {
        if self.held().is_none() {
            return;
        }
        if let Some(identity) = self.identity().filter(|i| find(lock, *i).is_some()) {
            *self = Self::Away(identity);
        }
    }
}

/// What tells an open directory from others.
pub fn identity(dir: impl AsFd) -> rustix::io::Result<Identity> {
    let found = fstat(dir)?;
    Ok(Identity {
        dev: found.st_dev,
        ino: found.st_ino,
    })
}

/// The directory that holds `supervise/lock`, by the path that this has now.
fn find(lock: BorrowedFd, wanted: Identity) -> Option<OwnedFd> {
    let path = fs::read_link(format!("/proc/self/fd/{}", lock.as_raw_fd())).ok()?;
    open(path.parent().and_then(Path::parent)?, wanted)
}

fn open(dir: &Path, wanted: Identity) -> Option<OwnedFd> {
    let fd = service_entries::open(CWD, dir).ok()?;
    (identity(&fd) == Ok(wanted)).then_some(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_directory_is_found_wherever_it_is_by_now() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("web/supervise")).unwrap();
        let lock = File::create(at("web/supervise/lock")).unwrap();
        let mut home = Directory::Held(service_entries::open(CWD, &at("web")).unwrap());
        let is = home.identity().unwrap();
        let mut goes_and_comes = || {
            home.go_away(lock.as_fd());
            assert!(home.held().is_none());
            home.come_back(lock.as_fd(), PathBuf::new);
            assert_eq!(home.held().map(identity), Some(Ok(is)));
        };
        goes_and_comes();
        fs::rename(at("web"), at("other")).unwrap();
        goes_and_comes();
        // Removes the lock with its directory.
        fs::remove_dir_all(at("other/supervise")).unwrap();
        goes_and_comes();
    }

    #[test]
    fn what_could_not_be_found_stays_open() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("web")).unwrap();
        fs::create_dir_all(at("run/web")).unwrap();
        symlink("../run/web", at("web/supervise")).unwrap();
        let lock = File::create(at("web/supervise/lock")).unwrap();
        let mut home = Directory::Held(service_entries::open(CWD, &at("web")).unwrap());
        home.go_away(lock.as_fd());
        assert!(home.held().is_some());
    }

    /// A directory `web`, its lock, and what is not held of it.
    fn away(place: &Path) -> (PathBuf, File, Directory) {
        let web = place.join("web");
        fs::create_dir_all(web.join("supervise")).unwrap();
        let lock = File::create(web.join("supervise/lock")).unwrap();
        let mut home = Directory::Held(service_entries::open(CWD, &web).unwrap());
        home.go_away(lock.as_fd());
        (web, lock, home)
    }

    #[test]
    fn what_is_gone_or_another_does_not_come_back() {
        let place = tempfile::tempdir().unwrap();
        let (web, lock, mut home) = away(place.path());
        fs::rename(&web, place.path().join("web.old")).unwrap();
        fs::remove_dir_all(place.path().join("web.old")).unwrap();
        fs::create_dir_all(web.join("supervise")).unwrap();
        home.come_back(lock.as_fd(), || web.clone());
        assert!(home.held().is_none());
    }

    #[test]
    fn where_supervise_went_elsewhere_the_name_helps() {
        let place = tempfile::tempdir().unwrap();
        let (web, lock, mut home) = away(place.path());
        fs::rename(web.join("supervise"), place.path().join("elsewhere")).unwrap();
        home.come_back(lock.as_fd(), || web.clone());
        assert!(home.held().is_some());
    }
}
