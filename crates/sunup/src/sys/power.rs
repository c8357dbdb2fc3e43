//! The end of the machine, and what belongs to it. Whatever may hang has a bound.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

pub use model::pid1::End;
use rustix::system::{RebootCommand, reboot};

use super::bounded::{within, within_or_here};

/// How long file systems may take to be written.
const SYNC_LIMIT: Duration = Duration::from_secs(30);
/// How long the console may take to show the last words.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

fn command(end: End) -> RebootCommand {
    match end {
        End::Halt => RebootCommand::Halt,
        End::Poweroff => RebootCommand::PowerOff,
        End::Reboot => RebootCommand::Restart,
        End::Kexec => RebootCommand::Kexec,
    }
}

/// Whether a kernel is loaded that [`End::Kexec`] would start.
pub fn kexec_is_loaded() -> bool {
    std::fs::read("/sys/kernel/kexec_loaded").is_ok_and(|told| told.first() == Some(&b'1'))
}

/// Whether Ctrl-Alt-Del resets the machine at once (`true`) or sends INT to
/// PID 1. In a container it is not ours to say, so a failure is no news.
pub fn ctrl_alt_del_resets(yes: bool) {
    let command = if yes {
        RebootCommand::CadOn
    } else {
        RebootCommand::CadOff
    };
    let _ = reboot(command);
}

/// Writes the file systems to disk; gives up waiting after [`SYNC_LIMIT`].
pub fn sync() {
    within_or_here(Some(SYNC_LIMIT), &mut |_| {}, &mut || {
        rustix::fs::sync();
        0
    });
}

/// Waits until a terminal has sent what was written, for [`DRAIN_LIMIT`] at most.
pub fn drain(terminal: impl AsFd) {
    drop(within(Some(DRAIN_LIMIT), &mut |_| {}, &mut || {
        u8::from(rustix::termios::tcdrain(&terminal).is_err())
    }));
}

/// Ends the machine at once, without a word to anybody. Comes back only on failure.
pub fn end_now(end: End) -> io::Error {
    reboot(command(end)).map_or_else(io::Error::from, |()| io::Error::other("nothing happened"))
}

/// As [`end_now`], for PID 1: the kernel ends the process that asks, and would
/// not survive the end of PID 1, so a child asks. `Ok`: the end is near.
pub fn end_by_child(end: End) -> io::Result<()> {
    let mut ask = || end_now(end).raw_os_error().unwrap_or(libc::EIO) as u8;
    match within_or_here(None, &mut |_| {}, &mut ask) {
        Some(0) | None => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.into())),
    }
}

/// Gives swap space back: what is in it comes into memory.
pub fn swap_off(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string that outlives the call.
    super::signal::check(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}
