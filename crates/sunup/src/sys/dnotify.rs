//! Directories of which a signal tells (fcntl(2), `F_NOTIFY`): the forerunner of
//! inotify. The signal says in which directory something changed, not what; but
//! the end of it costs nothing, while the kernel holds up who closes an inotify
//! for 5 to 20 ms.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::signal::{Signal, check};

/// linux/fcntl.h has these; libc has not.
const F_SETSIG: i32 = 10;
const DN_MODIFY: u32 = 0x2;
const DN_CREATE: u32 = 0x4;
const DN_RENAME: u32 = 0x10;
const DN_MULTISHOT: u32 = 0x8000_0000;

/// Has `signal` tell from now on, by the number of `dir`, of files in the directory
/// that are written, made or renamed (not of fifos). It is to be a real-time signal,
/// which is queued. Where the queue is full SIGIO comes, which names no directory.
/// Both must be blocked: they end a process.
///
/// # Errors
/// The kernel has no such thing, or there is no memory.
pub fn tell(dir: BorrowedFd, signal: Signal) -> io::Result<()> {
    let events = DN_MODIFY | DN_CREATE | DN_RENAME | DN_MULTISHOT;
    // SAFETY: fcntl has no memory effects.
    unsafe {
        check(libc::fcntl(dir.as_raw_fd(), F_SETSIG, signal))?;
        check(libc::fcntl(dir.as_raw_fd(), libc::F_NOTIFY, events))?;
    }
    Ok(())
}
