//! An instance of a template: a directory in which each entry is a link to that of the
//! template, so that a change of the template is a change of all, and each instance has a
//! `supervise` of its own. It needs nothing of the supervisor, and works under runit's.
//!
//! Not linked are `supervise`, and `down`, which is for each instance to have. `log` is a
//! directory of links for the same reason, and so is each directory in it, for svlogd keeps
//! the log itself there: a log is no part of the template either.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkdirat};

use super::entry::within;
use super::hidden::Hidden;
use super::tree::Place;

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
        link(&from, hidden.path(), &up, Place::Service)?;
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
    link(&from, &dir, &up, Place::Service).map(Made::More)
}

/// Links what is missing; returns how much that was.
fn link(from: &Path, to: &Path, up: &[u8], place: Place) -> io::Result<usize> {
    let mut made = 0;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let bytes = name.as_bytes();
        if place.omits(bytes) {
            continue;
        }
        let own = to.join(&name);
        let within = place.within(bytes, &from.join(&name));
        if let Some(within) = within.filter(|_| !own.is_symlink()) {
            let done = mkdirat(CWD, &own, Mode::from_raw_mode(0o777));
            made += usize::from(is_made(done.map_err(io::Error::from))?);
            let up = [b"../", up, bytes, b"/"].concat();
            made += link(&from.join(&name), &own, &up, within)?;
        } else {
            let target = OsString::from_vec([up, bytes].concat());
            made += usize::from(is_made(symlink(target, &own))?);
        }
    }
    Ok(made)
}

/// False: it was there.
fn is_made(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        done => done.map(|()| true),
    }
}
