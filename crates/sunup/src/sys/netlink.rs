//! The kernel's device events, as datagrams of a netlink socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with, sockopt,
};

/// The multicast group that the kernel itself sends to; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;

/// Room for events that were not read yet. It is a limit, not an allocation.
const BUFFER_BYTES: usize = 128 * 1024 * 1024;

/// A socket that receives device events.
pub struct Uevents {
    fd: OwnedFd,
}

/// The outcome of one look at the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The kernel sent an event of so many bytes.
    Event(usize),
    /// Somebody else sent something, or it did not fit into the buffer.
    Unusable,
    /// Events were lost, for the socket's buffer was full.
    Lost,
    /// Nothing has come.
    Nothing,
}

impl Uevents {
    /// Opens the socket (non-blocking, close-on-exec).
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(KOBJECT_UEVENT);
        let fd = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
        // Only CAP_NET_ADMIN goes beyond net.core.rmem_max; a smaller buffer works, too.
        if sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER_BYTES).is_err() {
            let _smaller = sockopt::set_socket_recv_buffer_size(&fd, BUFFER_BYTES);
        }
        bind(&fd, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self { fd })
    }

    /// Takes the next datagram. A port of 0 is the kernel's alone.
    pub fn next(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let room = buffer.len();
        match recvfrom(&self.fd, buffer, RecvFlags::TRUNC) {
            Ok((_, bytes, sender)) => {
                let sender = sender.and_then(|a| SocketAddrNetlink::try_from(a).ok());
                let kernel = sender.is_some_and(|a| a.pid() == 0);
                Ok(if kernel && bytes <= room {
                    Received::Event(bytes)
                } else {
                    Received::Unusable
                })
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
            Err(Errno::NOBUFS) => Ok(Received::Lost),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
