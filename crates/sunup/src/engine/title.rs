//! runsvdir's log argument (runsvdir(8)): standard error, of runsvdir and of all
//! its services, is shown in the process title, where ps finds it on a machine
//! whose disks are not writable yet.
//!
//! The argument is a place holder: its first five bytes stay (`log: `), the rest
//! scrolls. It is written through /proc/self/mem, at the address that
//! proc_pid_stat(5) gives for the arguments. As runit has it, the pipe blocks
//! nobody: what does not fit is lost.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use model::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

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
    memory: File,
    address: u64,
    text: Vec<u8>,
    next_dot: Instant,
}

impl Title {
    /// Takes the last argument of this process for the title and makes the
    /// pipe its standard error. `fed`: a predecessor's pipe, which is that already.
    pub fn new(fed: Option<OwnedFd>) -> io::Result<Self> {
        let args: Vec<_> = std::env::args_os().collect();
        let Some((last, before)) = args.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let offset: usize = before.iter().map(|arg| arg.len() + 1).sum();
        let start = arguments_address()
            .ok_or_else(|| io::Error::other("/proc/self/stat has no arg_start"))?;
        let memory = File::options().write(true).open("/proc/self/mem")?;
        let pipe = fed.map_or_else(feed, Ok)?;
        Ok(Self {
            pipe,
            memory,
            address: start + offset as u64,
            text: last.as_bytes().to_vec(),
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
        // A title that cannot be written harms nobody.
        drop(self.memory.write_all_at(&self.text, self.address));
    }
}

/// A pipe whose end is standard error.
fn feed() -> io::Result<OwnedFd> {
    let (pipe, _) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Open for reading too, so that writers meet a full pipe and not SIGPIPE
    // when this supervisor is gone.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::stdio::dup2_stderr(rustix::fs::open(path, flags, Mode::empty())?)?;
    Ok(pipe)
}

/// Where the arguments begin: field 48 of /proc/self/stat.
fn arguments_address() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(48 - 3)?.parse().ok()
}
