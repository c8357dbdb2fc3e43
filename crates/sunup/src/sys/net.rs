//! Network devices, by ioctl (netdevice(7)).

use std::ffi::{CStr, c_char, c_short};
use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::signal::check;

/// Brings a network device up. `lo` gets its addresses, 127.0.0.1/8 and ::1, from the kernel.
pub fn bring_up(name: &CStr) -> io::Result<()> {
    // Such requests are answered by a socket of any family, and this one every kernel has.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (slot, byte) in request
        .ifr_name
        .iter_mut()
        .zip(name.to_bytes().iter().take(room))
    {
        *slot = *byte as c_char;
    }
    // SAFETY: both requests get a whole ifreq; the first fills its flags, the second reads them.
    unsafe {
        let fd = socket.as_raw_fd();
        check(libc::ioctl(fd, libc::SIOCGIFFLAGS as _, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as c_short;
        check(libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &raw mut request))?;
    }
    Ok(())
}
