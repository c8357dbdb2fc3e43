//! Writing to what may take no more at the moment, without waiting for it.
//!
//! A pipe or a terminal is opened anew, without blocking: the description that we
//! inherited is shared with others, who would be surprised. Where that is not
//! allowed, a write of at most [`PIPE_BUF`] bytes follows a poll that promises room
//! for them. A socket cannot be opened by a path, and needs not.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::{Errno, Result};
use rustix::net::SendFlags;

use crate::sys::clock::timespec;

/// A pipe that can be written to has room for so many bytes, and takes them in one piece (pipe(7)).
const PIPE_BUF: usize = 4096;

/// Where bytes go.
pub enum Outlet {
    /// A description of our own that does not block.
    Own(OwnedFd),
    /// A socket that we inherited.
    Socket(BorrowedFd<'static>),
    /// A pipe or a terminal that we inherited and may not open.
    Shared(BorrowedFd<'static>),
    /// A file, which never blocks.
    File(BorrowedFd<'static>),
}

impl Outlet {
    /// For standard output or standard error.
    pub fn of(fd: BorrowedFd<'static>) -> Self {
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::Socket) => Self::Socket(fd),
            Ok(FileType::Fifo | FileType::CharacterDevice) => {
                reopen(fd).map_or(Self::Shared(fd), Self::Own)
            }
            _ => Self::File(fd),
        }
    }

    /// Writes a part of what it takes at the moment; `EAGAIN` if that is nothing. A part
    /// is whole lines where they are short enough: so lines of several writers do not
    /// mix, and none is cut where the next write fails.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        let bytes = whole_lines(bytes);
        loop {
            let written = match self {
                Self::Own(fd) => rustix::io::write(fd, bytes),
                Self::File(fd) => rustix::io::write(fd, bytes),
                Self::Socket(fd) => {
                    rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                }
                Self::Shared(fd) if self.has_room(0) => rustix::io::write(fd, bytes),
                Self::Shared(_) => Err(Errno::AGAIN),
            };
            if written != Err(Errno::INTR) {
                return written;
            }
        }
    }

    /// Waits so long (ns) for room; whether there is some.
    pub fn has_room(&self, patience: u64) -> bool {
        let timeout = timespec(patience);
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::OUT)];
        poll(&mut fds, Some(&timeout)) != Ok(0)
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Socket(fd) | Self::Shared(fd) | Self::File(fd) => *fd,
        }
    }
}

/// As many of the first lines as a pipe takes in one piece.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let Some(piece) = bytes.get(..PIPE_BUF) else {
        return bytes;
    };
    let lines = piece
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(PIPE_BUF, |i| i + 1);
    piece.get(..lines).unwrap_or(piece)
}

fn reopen(fd: BorrowedFd) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
