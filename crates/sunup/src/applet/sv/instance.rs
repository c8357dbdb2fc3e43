//! An instance of a template: a directory in which each entry is a link to that of the
//! template, so that a change of the template is a change of all, and each instance has a
//! `supervise` of its own. It needs nothing of the supervisor, and works under runit's.
//!
//! Not linked are `supervise`, and `down`, which is for each instance to have. `log` is a
//! directory of links for the same reason, and so is each directory in it, for svlogd keeps
//! the log itself there: a log is no part of the template either.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, mkdirat, statat, symlinkat};
use rustix::io::Errno;

use super::entry::within;
use super::hidden::Hidden;
use super::tree::{Place, open_dir};
use crate::service_entries::open;

/// How many entries an instance got; of a new one, all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    More(usize),
}

/// Makes an instance beside its template, or adds to it what the template has and it has not.
/// A directory with programs of its own is no instance, and is left alone.
///
/// # Errors
/// Something cannot be read or made.
pub fn make(database: &Path, name: &[u8], template: &[u8]) -> io::Result<Made> {
    let (from, dir) = (within(database, template), within(database, name));
    let up = [b"../", template, b"/"].concat();
    if !dir.exists() {
        let hidden = Hidden::new(database)?;
        link(&from, hidden.dir(), &up, Place::Service)?;
        let done = hidden.publish(&dir);
        // Else, somebody may have made it meanwhile.
        if done.is_ok() || !dir.is_dir() {
            return done.map(|()| Made::New);
        }
    }
    let is_own = |program| fs::symlink_metadata(dir.join(program)).is_ok_and(|f| f.is_file());
    if ["run", "setup"].into_iter().any(is_own) {
        return Ok(Made::More(0));
    }
    let own = open(CWD, &dir)?;
    link(&from, own.as_fd(), &up, Place::Service).map(Made::More)
}

/// Links what is missing; returns how much that was.
fn link(from: &Path, to: BorrowedFd, up: &[u8], place: Place) -> io::Result<usize> {
    let mut made = 0;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let bytes = name.as_bytes();
        if place.omits(bytes) {
            continue;
        }
        let path = from.join(&name);
        let within = place.within(bytes, path.is_dir(), path.is_symlink());
        if let Some(within) = within.filter(|_| !is_link(to, &name)) {
            let done = mkdirat(to, &name, Mode::from_raw_mode(0o777));
            made += usize::from(is_made(done)?);
            let own = open_dir(to, &name)?;
            let up = [b"../", up, bytes, b"/"].concat();
            made += link(&path, own.as_fd(), &up, within)?;
        } else {
            let target = OsString::from_vec([up, bytes].concat());
            made += usize::from(is_made(symlinkat(target, to, &name))?);
        }
    }
    Ok(made)
}

fn is_link(at: BorrowedFd, name: &OsStr) -> bool {
    let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_symlink())
}

/// False: it was there.
fn is_made(done: Result<(), Errno>) -> io::Result<bool> {
    match done {
        Err(Errno::EXIST) => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}
