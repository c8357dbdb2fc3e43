//! Where the directory `supervise` of a service is, and making what belongs there, for
//! those who are let in ([`model::access`]). What is there already keeps the owner and the
//! mode that it has: an administrator may have chosen them.
//!
//! Something is given away only after it was made, and only if it is certain to be what was
//! made. A file is: the open that made it is the one that is used. A fifo is given away by
//! its name, in a directory that nobody else can write to, and which is held. A directory
//! that may have been exchanged meanwhile must be empty and as private as a new one.
//! What cannot be given away stays private.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use model::access::{Access, Grant, Made};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, RawMode, Uid, chmodat, chownat, fchmod, fchown,
    fstat, mkdirat, mkfifoat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use crate::sys::guarded::{self, Regular};

/// What the files of the state are made with, if nobody else is let in.
const STATE_MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::ROTH);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY: &CStr = c"supervise";

/// See the module.
#[derive(Clone, Copy)]
pub struct Site<'h> {
    /// The directory that holds `supervise`.
    pub home: BorrowedFd<'h>,
    /// Who is let in.
    pub access: Access,
}

impl Site<'_> {
    /// Makes `supervise`, of mode 0700 unless others are let in, through a dangling link if
    /// need be. True if it was not there.
    pub fn make_dir(self) -> io::Result<bool> {
        match mkdirat(self.home, DIRECTORY, Mode::RWXU) {
            Ok(()) => {
                self.give_dir(DIRECTORY);
                return Ok(true);
            }
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        match statat(self.home, DIRECTORY, AtFlags::empty()) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => Ok(false),
            Ok(_) => Err(Errno::NOTDIR.into()),
            Err(Errno::NOENT) => {
                let target = readlinkat(self.home, DIRECTORY, vec![])?;
                mkdirat(self.home, &target, Mode::RWXU).map_err(|e| {
                    let target = target.to_bytes().escape_ascii();
                    io::Error::new(e.kind(), format!("{target}, where it leads: {e}"))
                })?;
                self.give_dir(&target);
                Ok(true)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn give_dir(self, made: &CStr) {
        let Some(grant) = self.access.grant(Made::Directory) else {
            return;
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(self.home, made, flags, Mode::empty());
        if let Ok(dir) = dir.and_then(|dir| is_as_made(&dir).map(|is| is.then_some(dir)))
            && let Some(dir) = dir
        {
            give(&dir, grant);
        }
    }

    /// Makes a fifo.
    pub fn make_fifo(self, name: &CStr) -> rustix::io::Result<()> {
        let Some(grant) = self.access.grant(Made::Fifo) else {
            return mkfifoat(self.home, name, PRIVATE);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(self.home, DIRECTORY, flags, Mode::empty())?;
        let name = name.to_bytes().rsplit(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default();
        mkfifoat(&dir, name, PRIVATE)?;
        if guarded::is_private_dir(&dir) {
            let (uid, gid) = (grant.uid.map(Uid::from_raw), grant.gid.map(Gid::from_raw));
            if chownat(&dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                let _stays_private = chmodat(&dir, name, mode(grant), AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Opens our file for writing, as [`guarded::to_write`].
    pub fn to_write(self, name: &CStr) -> rustix::io::Result<Option<Regular>> {
        let Some(grant) = self.access.grant(made(name)) else {
            return guarded::to_write(self.home, name, STATE_MODE);
        };
        match guarded::file(self.home, name, OFlags::WRONLY, Mode::empty()) {
            Err(Errno::NOENT) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let made = guarded::file(self.home, name, flags, PRIVATE)?;
                give(&made.file, grant);
                Ok(Some(made))
            }
            Err(e) if !guarded::stands_in_the_way(e) => Err(e),
            found => Ok(found.ok().filter(|found| found.is_ours)),
        }
    }

    /// Replaces whatever has that name, as [`guarded::replace`].
    pub fn replace(self, name: &CStr, content: &[u8]) -> io::Result<()> {
        let grant = self.access.grant(made(name));
        let mode = if grant.is_some() { PRIVATE } else { STATE_MODE };
        guarded::replace(self.home, name, mode, content, |file| {
            if let Some(grant) = grant {
                give(file, grant);
            }
        })
    }
}

fn made(name: &CStr) -> Made {
    match name.to_bytes() {
        b"supervise/reason" | b"supervise/status-text" => Made::Words,
        _ => Made::State,
    }
}

/// The group comes first: the mode is meant for it.
fn give(made: &OwnedFd, grant: Grant) {
    let gid = grant.gid.map(Gid::from_raw);
    if gid.is_none() || fchown(made, None, gid).is_ok() {
        let _stays_private = fchmod(made, mode(grant));
    }
}

const fn mode(grant: Grant) -> Mode {
    Mode::from_raw_mode(grant.mode as RawMode)
}

/// Whether a directory is empty, and ours alone.
fn is_as_made(dir: &OwnedFd) -> rustix::io::Result<bool> {
    let found = fstat(dir)?;
    let mode = Mode::from_raw_mode(found.st_mode);
    let is_private = !mode.intersects(Mode::RWXG | Mode::RWXO);
    let is_ours = found.st_uid == rustix::process::geteuid().as_raw();
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(is_private && is_ours)
}
