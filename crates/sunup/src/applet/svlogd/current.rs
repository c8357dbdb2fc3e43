//! `current`: the file that grows, or what stands in its place.
//!
//! svlogd follows a link only to a pipe, a socket or a terminal, for example in a container
//! where `current` leads to /dev/stdout. These pass the bytes on, so there is nothing to
//! rotate, to sync or to mark. svlogd never follows a link to a file: otherwise anybody who
//! may write to the directory could make root append to any file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, statat};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};
use rustix::termios::isatty;

use crate::outlet::Outlet;

/// Mode of `current` while it is written.
pub const LIVE: Mode = Mode::from_raw_mode(0o644);
/// The devices null and full. Besides terminals, svlogd writes to no other devices.
const HARMLESS: [(u32, u32); 2] = [(1, 3), (1, 7)];

const FLAGS: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Where lines go.
pub enum Current {
    /// A file, which is rotated.
    File(OwnedFd),
    /// A pipe, a socket or a terminal, which passes bytes on.
    Stream(Outlet),
}

impl Current {
    /// Opens `current`. If it does not exist, makes a file.
    ///
    /// # Errors
    /// It cannot be used. `ENXIO`: it is a pipe, and nobody reads it yet.
    pub fn open(dir: BorrowedFd) -> io::Result<Self> {
        match look(dir, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if kind(&found) == FileType::Symlink => follow(dir),
            Ok(found) if kind(&found) != FileType::RegularFile => {
                pass_on(dir, &found, OFlags::NOFOLLOW)
            }
            Ok(_) | Err(Errno::NOENT) => {
                let flags = FLAGS | OFlags::CREATE | OFlags::NOFOLLOW;
                let file = openat(dir, "current", flags, LIVE)?;
                match kind(&fstat(&file)?) {
                    FileType::RegularFile => Ok(Self::File(file)),
                    // Somebody replaced it between the two looks.
                    _ => Err(not_a_file()),
                }
            }
            Err(e) => Err(e.into()),
        }
    }
}

fn follow(dir: BorrowedFd) -> io::Result<Current> {
    let found = look(dir, AtFlags::empty())?;
    // Our own streams are open already. A socket cannot be opened again, and we may have no
    // right to open a pipe that root made.
    for own in [stdout(), stderr()] {
        let same = |stat: Stat| (stat.st_dev, stat.st_ino) == (found.st_dev, found.st_ino);
        if fstat(own).is_ok_and(same) {
            return Ok(Current::Stream(Outlet::of(own)));
        }
    }
    pass_on(dir, &found, OFlags::empty())
}

fn pass_on(dir: BorrowedFd, found: &Stat, flags: OFlags) -> io::Result<Current> {
    match kind(found) {
        FileType::Directory => return Err(Errno::ISDIR.into()),
        FileType::RegularFile => return Err(io::Error::other("a link to a file; not followed")),
        FileType::Fifo | FileType::CharacterDevice => {}
        _ => return Err(not_a_file()),
    }
    let file = match openat(dir, "current", FLAGS | flags, Mode::empty()) {
        Err(Errno::NXIO) if kind(found) != FileType::Fifo => return Err(not_a_file()),
        opened => opened?,
    };
    let opened = fstat(&file)?;
    let number = (major(opened.st_rdev), minor(opened.st_rdev));
    match kind(&opened) {
        FileType::Fifo => {}
        FileType::CharacterDevice if HARMLESS.contains(&number) || isatty(&file) => {}
        _ => return Err(not_a_file()),
    }
    Ok(Current::Stream(Outlet::Own(file)))
}

fn look(dir: BorrowedFd, flags: AtFlags) -> rustix::io::Result<Stat> {
    statat(dir, "current", flags)
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn not_a_file() -> io::Error {
    io::Error::other("not a file, pipe or terminal")
}

impl AsFd for Current {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Stream(outlet) => outlet.as_fd(),
        }
    }
}
