//! What a process that takes over a terminal line needs beyond rustix.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::signal::check;

/// Whether this process leads its session. (rustix takes a session to be a
/// process, but the leader may live outside this pid namespace: its number is 0.)
pub fn leads_session() -> bool {
    // SAFETY: two numbers are asked for.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// Makes the terminal the controlling one of this session, which must have none
/// or this one.
/// A process with CAP_SYS_ADMIN takes it away from the session that has it.
pub fn take(tty: impl AsFd) -> io::Result<()> {
    let force: libc::c_int = 1;
    // SAFETY: TIOCSCTTY takes an integer, so no memory is involved.
    check(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCSCTTY, force) }).map(drop)
}

/// Gives up the controlling terminal. The kernel sends SIGHUP to its foreground
/// group, this process perhaps included, so the signal is ignored meanwhile.
pub fn give_up(tty: impl AsFd) -> io::Result<()> {
    // SAFETY: SIG_IGN and the former disposition install no new handler; TIOCNOTTY takes nothing.
    unsafe {
        let before = libc::signal(libc::SIGHUP, libc::SIG_IGN);
        let result = check(libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCNOTTY));
        libc::signal(libc::SIGHUP, before);
        result.map(drop)
    }
}

/// Marks every descriptor above 2 close-on-exec, so that the program gets none
/// by mistake. A kernel before 5.11 cannot, and then they stay as they are.
pub fn close_others_on_exec() {
    // SAFETY: the call changes flags of descriptors only; nothing is closed here.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}
