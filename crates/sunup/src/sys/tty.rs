//! Terminals: open one without hanging, make it usable, put it on 0-2.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex,
    tcgetattr, tcsetattr,
};

/// Opens a terminal for reading and writing. A serial line without carrier
/// would block in open(2), so the open does not wait; later reads do. The
/// terminal does not become the controlling one: see [`take`].
pub fn open_terminal(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(path, flags, Mode::empty())?;
    fcntl_setfl(&fd, fcntl_getfl(&fd)? - OFlags::NONBLOCK)?;
    Ok(fd)
}

/// Puts a descriptor on 0, 1 and 2.
pub fn put_on_stdio(fd: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(fd)?;
    rustix::stdio::dup2_stdout(fd)?;
    rustix::stdio::dup2_stderr(fd)?;
    Ok(())
}

/// Makes the terminal the controlling one of this session, whose leader the
/// caller must be. It is not taken away from another session.
pub fn take(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(fd)?)
}

/// Gives the controlling terminal up; if this process leads the session, all of it loses the
/// terminal, and gets HUP and CONT.
pub fn give_up(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the request has no argument.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCNOTTY) };
    super::signal::check(done).map(drop)
}

/// Whether this is a virtual terminal of the kernel (screen and keyboard).
pub fn is_virtual(fd: BorrowedFd) -> bool {
    const VT_OPENQRY: libc::Ioctl = 0x5600;
    let mut number: libc::c_int = 0;
    // SAFETY: VT_OPENQRY writes one int; other drivers refuse the request.
    unsafe { libc::ioctl(fd.as_raw_fd(), VT_OPENQRY, &raw mut number) == 0 }
}

/// How many bytes wait to be sent by a terminal (ioctl_tty(2), `TIOCOUTQ`); 0 for
/// what is none.
pub fn unsent(fd: impl AsFd) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int; what is no terminal refuses the request.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if done == 0 { bytes.unsigned_abs() } else { 0 }
}

/// Gives the terminal the modes a person expects, whatever a crashed program
/// left: line editing with the usual keys, signals, echo. Speed, parity, UTF-8
/// mode and hardware flow control stay. Anything but a terminal is left alone.
pub fn make_sane(fd: BorrowedFd) {
    let Ok(mut t) = tcgetattr(fd) else { return };
    t.control_modes |= ControlModes::CREAD | ControlModes::HUPCL | ControlModes::CLOCAL;
    t.input_modes &= InputModes::IUTF8;
    t.input_modes |= InputModes::ICRNL | InputModes::IXON;
    t.output_modes = OutputModes::OPOST | OutputModes::ONLCR;
    t.local_modes = LocalModes::ISIG
        | LocalModes::ICANON
        | LocalModes::ECHO
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ECHOCTL
        | LocalModes::ECHOKE
        | LocalModes::IEXTEN;
    for (index, key) in [
        (SpecialCodeIndex::VINTR, 3),
        (SpecialCodeIndex::VQUIT, 28),
        (SpecialCodeIndex::VERASE, 127),
        (SpecialCodeIndex::VKILL, 21),
        (SpecialCodeIndex::VEOF, 4),
        (SpecialCodeIndex::VSTART, 17),
        (SpecialCodeIndex::VSTOP, 19),
        (SpecialCodeIndex::VSUSP, 26),
    ] {
        t.special_codes[index] = key;
    }
    let _ = tcsetattr(fd, OptionalActions::Now, &t);
}
