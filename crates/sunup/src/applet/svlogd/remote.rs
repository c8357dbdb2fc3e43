//! Sends lines by UDP (`u` and `U`), all through one socket, and never waits.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};

/// Where datagrams go.
pub struct Remote {
    address: SocketAddr,
    socket: Option<OwnedFd>,
}

impl Remote {
    /// The socket is opened with the first line.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            socket: None,
        }
    }

    /// Sends one datagram. Returns whether the kernel took it; UDP may still lose it.
    pub fn send(&mut self, message: &[u8]) -> bool {
        if self.socket.is_none() {
            self.socket = open(self.address).ok();
        }
        let Some(socket) = &self.socket else {
            return false;
        };
        sendto(socket, message, SendFlags::DONTWAIT, &self.address).is_ok()
    }
}

fn open(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    socket_with(
        family,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::UDP),
    )
}
