//! Directories of which SIGIO tells (fcntl(2), `F_NOTIFY`): the forerunner of
//! inotify. The signal does not say what changed, but the end of it costs
//! nothing, while the kernel holds up who closes an inotify for 5 to 20 ms.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::signal::check;

/// linux/fcntl.h has these; libc has not.
const DN_MODIFY: u32 = 0x2;
const DN_CREATE: u32 = 0x4;
const DN_RENAME: u32 = 0x10;
const DN_MULTISHOT: u32 = 0x8000_0000;

/// Tells from now on of files in the directory that are written, made or renamed
/// (not of fifos). SIGIO must be blocked: it ends a process.
///
/// # Errors
/// The kernel has no such thing, or there is no memory.
pub fn tell(dir: BorrowedFd) -> io::Result<()> {
    let events = DN_MODIFY | DN_CREATE | DN_RENAME | DN_MULTISHOT;
    // SAFETY: fcntl has no memory effects.
    check(unsafe { libc::fcntl(dir.as_raw_fd(), libc::F_NOTIFY, events) }).map(drop)
}
