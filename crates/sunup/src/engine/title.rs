//! runsvdir's log argument (runsvdir(8)): standard error, of runsvdir and of all
//! its services, is shown in the process title, where ps finds it on a machine
//! whose disks are not writable yet.
//!
//! The argument is a place holder: its first five bytes stay (`log: `), the rest
//! scrolls, in the memory of the process itself. As runit has it, the pipe blocks
//! nobody: what does not fit is lost.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use model::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::sys::arguments::LastArgument;
use crate::sys::clock;

/// The shortest place holder that is taken.
pub const BYTES_MIN: usize = 7;
/// Bytes at its beginning that stay.
const LABEL_BYTES: usize = 5;
/// A dot is added so often (ms), so that old messages expire.
const DOT_MS: u64 = 900_000;

/// The title and the pipe that feeds it.
pub struct Title {
    pipe: OwnedFd,
    place: LastArgument,
    text: Vec<u8>,
    next_dot: Instant,
}

impl Title {
    /// Takes the last argument of this process for the title and makes the
    /// pipe its standard error. `fed`: a predecessor's pipe, which is that already.
    pub fn new(fed: Option<OwnedFd>) -> io::Result<Self> {
        let place = LastArgument::find()
            .ok_or_else(|| io::Error::other("the last argument is not found in memory"))?;
        let pipe = fed.map_or_else(feed, Ok)?;
        Ok(Self {
            pipe,
            text: place.text(),
            place,
            next_dot: clock::now().plus_ms(DOT_MS),
        })
    }

    /// What is shown.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// When [`Title::dot_if_due`] is to be called.
    pub fn next_dot(&self) -> Instant {
        self.next_dot
    }

    /// Adds the dot, if its moment has come.
    pub fn dot_if_due(&mut self, now: Instant) {
        if self.next_dot <= now {
            self.next_dot = now.plus_ms(DOT_MS);
            self.scroll(b".");
        }
    }

    /// Readable when there is something to show.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Shows what waits in the pipe; a part of it at a time.
    pub fn take(&mut self) {
        let mut buffer = [0; 4096];
        let n = rustix::io::read(&self.pipe, &mut buffer).unwrap_or(0);
        self.scroll(buffer.get(..n).unwrap_or_default());
    }

    /// Adds bytes at the end, but for NUL, which would end the title.
    fn scroll(&mut self, bytes: &[u8]) {
        let room = self.text.len().saturating_sub(LABEL_BYTES);
        self.text.extend(bytes.iter().filter(|b| **b != 0));
        let surplus = self.text.len().saturating_sub(LABEL_BYTES + room);
        self.text.drain(LABEL_BYTES..LABEL_BYTES + surplus);
        self.place.show(&self.text);
    }
}

/// A pipe whose end is standard error.
fn feed() -> io::Result<OwnedFd> {
    let (pipe, end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Open for reading too, so that writers meet a full pipe and not SIGPIPE
    // when this supervisor is gone; without /proc that is not to be had.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let end = rustix::fs::open(path, flags, Mode::empty()).unwrap_or(end);
    rustix::stdio::dup2_stderr(end)?;
    Ok(pipe)
}
