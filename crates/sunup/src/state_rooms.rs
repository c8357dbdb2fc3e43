//! Where a container keeps the state of services whose directories it may not write to, for
//! example on a read-only root: RUN/state/DEV-INO, by device and inode of the directory. RUN
//! is the first of a few directories that can be had. It must be this user's, and nobody else
//! may write there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdir, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Whether a supervisor keeps state there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A service directory that cannot be written to is not supervised.
    No,
    /// As a container.
    Yes,
}

/// The directories that RUN may be, in order.
fn runs() -> impl Iterator<Item = PathBuf> {
    let of = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let own = format!("sunup-{}", geteuid().as_raw());
    [
        of("SUNUP_RUN"),
        Some("/run/sunup".into()),
        of("XDG_RUNTIME_DIR").map(|dir| dir.join("sunup")),
        Some(Path::new("/tmp").join(&own)),
        Some(Path::new("/dev/shm").join(&own)),
    ]
    .into_iter()
    .flatten()
}

/// The directory of a service's state, which is made.
///
/// # Errors
/// None of the directories can be had; why not the last.
pub fn make(home: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let name = name(home)?;
    let mut why = Errno::NOENT;
    for run in runs() {
        let state = run.join("state");
        let room = state.join(&name);
        let made = own(&run).and_then(|_| own(&state)).and_then(|_| own(&room));
        match made {
            Ok(room) => return Ok(room),
            Err(e) => why = e,
        }
    }
    Err(why)
}

/// The directories in which the state of a service may be, with their paths.
pub fn find(home: impl AsFd) -> impl Iterator<Item = (PathBuf, OwnedFd)> {
    let name = name(home);
    let room = move |run: PathBuf| {
        let path = run.join("state").join(name.as_deref().ok()?);
        open(&run).ok()?;
        Some((path.clone(), open(&path).ok()?))
    };
    runs().filter_map(room)
}

fn name(home: impl AsFd) -> rustix::io::Result<String> {
    let found = fstat(home)?;
    Ok(format!("{}-{}", found.st_dev, found.st_ino))
}

/// Makes a directory, unless it is there, and opens it.
fn own(dir: &Path) -> rustix::io::Result<OwnedFd> {
    match mkdir(dir, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(dir),
        Err(e) => Err(e),
    }
}

/// Opens a directory of ours.
fn open(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(CWD, dir, flags, Mode::empty())?;
    let found = fstat(&fd)?;
    let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    let others = Mode::WGRP | Mode::WOTH;
    let is_private = !Mode::from_raw_mode(found.st_mode).intersects(others);
    if is_dir && is_private && found.st_uid == geteuid().as_raw() {
        Ok(fd)
    } else {
        Err(Errno::PERM)
    }
}
