//! What became of a process that is not our child.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Whether there is no process of that number, or it has ended, reaped or not. Where
/// the kernel cannot say, there is one.
pub fn is_gone(pid: Pid) -> bool {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => {
            let mut fds = [PollFd::new(&fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
        }
        Err(e) => e == Errno::SRCH,
    }
}

/// The raw wait status of a process that was reaped by its own parent, from
/// `PIDFD_GET_INFO` (Linux 6.15); `None` before it was reaped.
///
/// # Errors
/// The kernel cannot say.
pub fn exit_status(pidfd: BorrowedFd) -> io::Result<Option<i32>> {
    // SAFETY: all-zero bytes are a valid pidfd_info.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(libc::PIDFD_INFO_EXIT);
    // SAFETY: the request carries the size of `info`, which the kernel fills at most.
    super::signal::check(unsafe {
        libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO as _, &raw mut info)
    })?;
    Ok((info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0).then_some(info.exit_code))
}
