//! A child that has ended, before it is reaped.

use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::signal::check;

/// The pid and the raw wait status of a child that has ended, which stays as it
/// is: its pid and its /proc directory are still its own. `None` if there is none.
///
/// # Errors
/// There are no children at all (`ECHILD`).
pub fn ended() -> io::Result<Option<(i32, i32)>> {
    // SAFETY: all-zero bytes are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for writing; with P_ALL the id is ignored.
    check(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) })?;
    // SAFETY: waitid filled the fields of SIGCHLD, or left the zeros.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let raw = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    Ok((pid > 0).then_some((pid, raw)))
}

/// Whether a child has ended and was not reaped; it stays as it is.
///
/// # Errors
/// It is no child, or not any more (`ECHILD`).
pub fn has_ended(pid: Pid) -> rustix::io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).map(|ended| ended.is_some())
}
