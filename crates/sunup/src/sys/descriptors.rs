//! Descriptors that stay open get high numbers, above those that each child copies, and
//! never the last free ones.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What is copied is counted in words of the kernel's bitmap of descriptors.
const COPIED: RawFd = 64;

/// How many low numbers are never used for long: if descriptors run short, there are
/// still some for short uses, so that the program can go on.
pub const FLEETING: RawFd = 8;

/// Moves a descriptor that stays open to a high number; otherwise each child would copy
/// and close it. If there is no room, it keeps its number.
///
/// # Errors
/// MFILE: only the numbers for short uses are left.
pub fn aside(mut fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    move_aside(&mut fd);
    if fd.as_raw_fd() >= COPIED {
        return Ok(fd);
    }
    let limit = getrlimit(Resource::Nofile).current;
    let end = limit.and_then(|limit| RawFd::try_from(limit).ok());
    let end = end.map_or(COPIED, |end| end.min(COPIED));
    // The kernel gives the lowest number that is free.
    let is_kept = fd.as_raw_fd() < end - FLEETING;
    is_kept.then_some(fd).ok_or(Errno::MFILE)
}

/// As [`aside`], but what has no room stays whatever its number.
pub fn move_aside(fd: &mut OwnedFd) {
    if fd.as_raw_fd() < COPIED
        && let Ok(moved) = rustix::io::fcntl_dupfd_cloexec(&*fd, COPIED)
    {
        *fd = moved;
    }
}

/// The kernel's table of this process' descriptors, which it doubles when it is
/// full. If a child shares it then, that takes a grace period of RCU, 10 ms; so it
/// is better done when none does.
pub struct Table {
    /// The lowest number for which there may be no room.
    end: RawFd,
}

/// So many more may be opened before anybody looks again.
const AHEAD: RawFd = 32;

impl Table {
    /// That of a process of few descriptors.
    pub const fn new() -> Self {
        Self { end: COPIED }
    }

    /// Whether there is room above a descriptor.
    pub fn has_room_above(&self, fd: impl AsFd) -> bool {
        fd.as_fd().as_raw_fd() + AHEAD < self.end
    }

    /// Enlarges the table as far as the limit allows.
    pub fn double(&mut self, any: impl AsFd) {
        self.end *= 2;
        // Without room there is nothing to enlarge it for.
        drop(rustix::io::fcntl_dupfd_cloexec(any, self.end - 1));
    }
}
