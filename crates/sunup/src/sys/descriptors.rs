//! Where descriptors go that are kept for long: above those that each child copies,
//! and never into the last room that there is.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What is copied is counted in words of the kernel's bitmap of descriptors.
const COPIED: RawFd = 64;

/// So many of those numbers are never kept: where descriptors run short, those
/// that are needed for a moment are still to be had, and what goes on can be dealt with.
pub const FLEETING: RawFd = 8;

/// Moves a descriptor that is kept for long out of the way of starts: else it is
/// among those that each child copies and closes. Without room there it stays.
///
/// # Errors
/// MFILE: no number is left but those for what is needed for a moment.
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
