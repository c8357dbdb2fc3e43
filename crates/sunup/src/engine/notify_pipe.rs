//! The pipe by which a run says that it is ready: it writes a newline to the descriptor whose
//! number is in `notification-fd`, as for s6 (`docs/decisions/0025-readiness.md`).
//!
//! The run's end is open in both directions, as that of a log pipe is: a newline that it
//! writes while no supervisor lives neither ends it by SIGPIPE nor is lost. The successor
//! opens the pipe by /proc/PID/fd and knows it by its sticky bit, which nobody else sets on a
//! pipe. If there is no such pipe any more, the run has closed it, as it does after the
//! newline.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fchmod, fstat, stat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use crate::sys::descriptors::{aside, move_aside};
use crate::sys::shortage::unless_short;

/// Bytes that are read before others have their turn.
const READ_BYTES: usize = 512;

/// Our end, until the run is ready.
pub struct NotifyPipe(OwnedFd);

/// What came through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that matters.
    Nothing,
    /// A newline.
    Ready,
    /// The other end is closed, and nobody said anything.
    Closed,
}

impl NotifyPipe {
    /// A new one, and its other end, which is for the run alone.
    ///
    /// # Errors
    /// Descriptors are short.
    pub fn new() -> rustix::io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // If it cannot be marked, a successor takes the run for ready.
        let _unmarked = fchmod(&ours, Mode::RWXU.difference(Mode::XUSR) | Mode::SVTX);
        let path = format!("/proc/self/fd/{}", ours.as_raw_fd());
        let both = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let theirs = match both {
            Ok(both) => both,
            Err(e @ (Errno::MFILE | Errno::NFILE)) => return Err(e),
            // Without /proc.
            Err(_) => {
                rustix::fs::fcntl_setfl(&theirs, OFlags::empty())?;
                theirs
            }
        };
        Ok((Self(aside(ours)?), theirs))
    }

    /// The one that a run still holds; `None`: it has closed it.
    ///
    /// # Errors
    /// Descriptors are short.
    pub fn of_run(pid: u32, number: u16) -> io::Result<Option<Self>> {
        let path = format!("/proc/{pid}/fd/{number}");
        if !stat(&path).is_ok_and(|found| is_marked(&found)) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = unless_short(rustix::fs::open(path, flags, Mode::empty()))?;
        // By now it may be another one.
        let ours = opened.filter(|fd| fstat(fd).is_ok_and(|found| is_marked(&found)));
        Ok(ours.map(|mut fd| {
            move_aside(&mut fd);
            Self(fd)
        }))
    }

    /// As a predecessor in this process left it.
    pub const fn again(ours: OwnedFd) -> Self {
        Self(ours)
    }

    /// Takes what has come. A newline stays in the pipe: should this process be killed before
    /// it has written down that the run is ready, the successor finds it there.
    pub fn hear(&self, glass: &mut Glass) -> Heard {
        let mut buffer = [0; READ_BYTES];
        let seen = glass.look(&self.0, &mut buffer);
        if seen.is_ok_and(|seen| seen.contains(&b'\n')) {
            return Heard::Ready;
        }
        match rustix::io::read(&self.0, &mut buffer) {
            Ok(0) => Heard::Closed,
            Ok(bytes) if buffer.iter().take(bytes).any(|byte| *byte == b'\n') => Heard::Ready,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Heard::Nothing,
            Err(_) => Heard::Closed,
        }
    }
}

/// A pipe of our own that shows what is in another, which stays there. It is made for the first
/// look, and is empty between two.
#[derive(Default)]
pub struct Glass(Option<(OwnedFd, OwnedFd)>);

impl Glass {
    /// What is in the pipe.
    fn look<'b>(
        &mut self,
        pipe: &OwnedFd,
        buffer: &'b mut [u8; READ_BYTES],
    ) -> rustix::io::Result<&'b [u8]> {
        let (copy, into) = self.0.take().map_or_else(Self::make, Ok)?;
        let copied = tee(pipe, &into, READ_BYTES, SpliceFlags::NONBLOCK);
        let seen = match copied {
            Ok(1..) => rustix::io::read(&copy, &mut *buffer),
            nothing => nothing,
        };
        // What is left in it would be taken for another's word.
        if copied == seen {
            self.0 = Some((copy, into));
        }
        Ok(buffer.get(..seen?).unwrap_or_default())
    }

    fn make() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let (copy, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok((aside(copy)?, aside(into)?))
    }
}

impl AsFd for NotifyPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_marked(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Fifo
        && Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;

    fn say(theirs: &OwnedFd, text: &[u8]) {
        assert_eq!(rustix::io::write(theirs, text), Ok(text.len()));
    }

    #[test]
    fn a_newline_says_it_and_nothing_else() {
        let (ours, theirs) = NotifyPipe::new().unwrap();
        let glass = &mut Glass::default();
        assert_eq!(ours.hear(glass), Heard::Nothing);
        say(&theirs, &[b'x'; READ_BYTES]);
        say(&theirs, b"unix:path=/run/bus\n");
        assert_eq!(ours.hear(glass), Heard::Nothing);
        assert_eq!(ours.hear(glass), Heard::Ready);
        // What one has said is nobody else's word.
        let (others, _theirs) = NotifyPipe::new().unwrap();
        assert_eq!(others.hear(glass), Heard::Nothing);
    }

    #[test]
    fn who_has_closed_it_will_say_nothing() {
        let (ours, theirs) = NotifyPipe::new().unwrap();
        say(&theirs, b"address");
        drop(theirs);
        assert_eq!(ours.hear(&mut Glass::default()), Heard::Nothing);
        assert_eq!(ours.hear(&mut Glass::default()), Heard::Closed);
    }

    #[test]
    fn what_was_heard_is_still_there_for_the_next() {
        let (ours, theirs) = NotifyPipe::new().unwrap();
        say(&theirs, b"\n");
        assert_eq!(ours.hear(&mut Glass::default()), Heard::Ready);
        drop(ours);
        let number = theirs.as_raw_fd() as u16;
        let successor = NotifyPipe::of_run(std::process::id(), number).unwrap();
        assert_eq!(successor.unwrap().hear(&mut Glass::default()), Heard::Ready);
    }

    #[test]
    fn what_is_written_without_a_supervisor_is_there_for_the_next() {
        let (ours, theirs) = NotifyPipe::new().unwrap();
        let number = theirs.as_raw_fd() as u16;
        drop(ours);
        // SIGPIPE would end this test.
        say(&theirs, b"\n");
        let successor = NotifyPipe::of_run(std::process::id(), number).unwrap();
        assert_eq!(successor.unwrap().hear(&mut Glass::default()), Heard::Ready);
    }

    #[test]
    fn no_other_pipe_is_taken_for_it() {
        let (read, write) = pipe().unwrap();
        for number in [read.as_raw_fd(), write.as_raw_fd()] {
            let found = NotifyPipe::of_run(std::process::id(), number as u16);
            assert!(found.unwrap().is_none());
        }
        let file = std::fs::File::open("/tmp").unwrap();
        let found = NotifyPipe::of_run(std::process::id(), file.as_raw_fd() as u16);
        assert!(found.unwrap().is_none());
        assert!(
            NotifyPipe::of_run(std::process::id(), 1023)
                .unwrap()
                .is_none()
        );
    }
}
