//! Lines by UDP (`u` and `U`): one socket for all of them, which never waits.

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
    /// Opens nothing yet.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            socket: None,
        }
    }

    /// Sends one datagram. UDP loses datagrams; this says only whether the
    /// kernel took it.
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
