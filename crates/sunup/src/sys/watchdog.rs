//! The watchdog device of the kernel (Documentation/watchdog/watchdog-api.rst).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::ioctl::opcode;

/// `WDIOC_SETTIMEOUT` and `WDIOC_GETTIMEOUT`; the type differs from libc to libc.
#[allow(clippy::cast_lossless)]
const SET_TIME: libc::Ioctl = opcode::read_write::<libc::c_int>(b'W', 6) as libc::Ioctl;
#[allow(clippy::cast_lossless)]
const GET_TIME: libc::Ioctl = opcode::read::<libc::c_int>(b'W', 7) as libc::Ioctl;

/// Opens the device, which arms it. Without waiting, whatever stands at that path.
pub fn arm(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// Sets the time; the result is the time that the device has then, none if it does not say.
pub fn set_time(device: &OwnedFd, seconds: u32) -> Option<u32> {
    let mut time = seconds as libc::c_int;
    // SAFETY: both read or write one int; what is no watchdog refuses the request.
    let told = unsafe {
        libc::ioctl(device.as_raw_fd(), SET_TIME, &raw mut time) == 0
            || libc::ioctl(device.as_raw_fd(), GET_TIME, &raw mut time) == 0
    };
    told.then_some(time as u32)
}

/// Feeds it.
pub fn feed(device: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::write(device, b"\0").map(drop)?)
}

/// Disarms it: when it is closed after this, it does not reset the machine, if the kernel
/// allows that.
pub fn disarm(device: &OwnedFd) {
    let _ = rustix::io::write(device, b"V");
}
