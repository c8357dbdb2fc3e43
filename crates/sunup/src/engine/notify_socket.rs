//! The socket by which a service sends messages to its supervisor (sd_notify(3)), and its
//! address for `NOTIFY_SOCKET` (`docs/decisions/0025-readiness.md`).
//!
//! Each service that asks for one has a socket of its own, RUN/notify/DEV-INO, by device and
//! inode of its directory (hexadecimal), so that the address says whose message it is. If no
//! directory can be had, the address is abstract, `@sunup/DEV-INO`, which only processes in
//! the same network namespace reach.
//!
//! The service inherits the socket by the number [`INHERITED`]: what it sends while no
//! supervisor lives waits there, and the successor takes the socket from it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use model::scan::Identity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, chmodat, statat, unlinkat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::state_rooms;
use crate::sys::datagram::{self, Datagram};
use crate::sys::descriptors::{aside, move_aside};

/// The number of the socket in the service: below 64, so that the kernel's table of a small
/// process need not grow for it.
pub const INHERITED: RawFd = 62;

/// What an earlier run may have left in the socket: as many messages as a kernel lets wait
/// (net.unix.max_dgram_qlen is 512 at most, usually).
const STALE_MAX: usize = 1024;

/// A socket for one service.
pub struct NotifySocket {
    fd: OwnedFd,
    address: Address,
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Path(PathBuf),
    /// A name without its leading zero.
    Abstract(String),
}

impl NotifySocket {
    /// Binds one for a service; where there is one of an earlier supervisor, it is replaced.
    ///
    /// # Errors
    /// There is no place for it, or descriptors are short.
    pub fn bind(of: Identity) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        let fd = aside(fd)?;
        sockopt::set_socket_passcred(&fd, true)?;
        let name = name(of);
        let is_there = |path: &PathBuf| statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        // A running service knows the old address.
        let (old, others): (Vec<_>, Vec<_>) = paths(&name).partition(is_there);
        for path in old.into_iter().chain(others) {
            if bind_at(&fd, &path, &name).is_ok() {
                let address = Address::Path(path);
                return Ok(Self { fd, address });
            }
        }
        let address = Address::nowhere(&name);
        bind(&fd, &address.encode()?)?;
        Ok(Self { fd, address })
    }

    /// The one that the process of a service holds, if it is the service's.
    pub fn of_run(pidfd: BorrowedFd, of: Identity) -> Option<Self> {
        let fd = pidfd_getfd(pidfd, INHERITED, PidfdGetfdFlags::empty()).ok()?;
        Self::again(fd, of)
    }

    /// As a predecessor in this process left it, if it is the service's.
    pub fn again(mut fd: OwnedFd, of: Identity) -> Option<Self> {
        let is_dgram = sockopt::socket_type(&fd) == Ok(SocketType::DGRAM);
        let bound = SocketAddrUnix::try_from(getsockname(&fd).ok()?).ok()?;
        let name = name(of);
        let mut addresses = paths(&name).map(Address::Path);
        let is_it = |address: &Address| address.encode().is_ok_and(|encoded| encoded == bound);
        let nowhere = Some(Address::nowhere(&name)).filter(is_it);
        let address = addresses.find(is_it).or(nowhere).filter(|_| is_dgram)?;
        move_aside(&mut fd);
        Some(Self { fd, address })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> Vec<u8> {
        match &self.address {
            Address::Path(path) => path.as_os_str().as_bytes().into(),
            Address::Abstract(name) => format!("@{name}").into(),
        }
    }

    /// Takes the next message; `None` if there is none.
    pub fn next(&self, buffer: &mut [u8]) -> Option<Datagram> {
        // Of this socket, a message is all that there is to ask for.
        datagram::receive(&self.fd, buffer, false).ok().flatten()
    }

    /// Looks at the next message, which stays the next.
    pub fn look(&self, buffer: &mut [u8]) -> Option<Datagram> {
        datagram::receive(&self.fd, buffer, true).ok().flatten()
    }

    /// Before a run starts: drops what processes of an earlier one have sent.
    pub fn forget(&self) {
        for _ in 0..STALE_MAX {
            if self.next(&mut []).is_none() {
                break;
            }
        }
    }

    /// Closes it for good.
    pub fn close(self) {
        if let Address::Path(path) = self.address {
            let _gone = unlinkat(CWD, path, AtFlags::empty());
        }
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Address {
    fn nowhere(name: &str) -> Self {
        Self::Abstract(format!("sunup/{name}"))
    }

    fn encode(&self) -> rustix::io::Result<SocketAddrUnix> {
        match self {
            Self::Path(path) => SocketAddrUnix::new(path),
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        }
    }
}

fn name(of: Identity) -> String {
    format!("{:x}-{:x}", of.dev, of.ino)
}

/// Where the socket of a service may be, in order.
fn paths(name: &str) -> impl Iterator<Item = PathBuf> {
    state_rooms::notify_paths().map(move |dir| dir.join(name))
}

fn bind_at(fd: &OwnedFd, path: &PathBuf, name: &str) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(path)?;
    let dir = path.parent().ok_or(Errno::INVAL)?;
    let dir = state_rooms::notify_dir(dir)?;
    match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
            return Err(Errno::ISDIR);
        }
        Ok(_) => unlinkat(&dir, name, AtFlags::empty())?,
        Err(_) => {}
    }
    bind(fd, &address)?;
    // Who may speak is decided for each message. Without it, only this user can.
    let _narrow = chmodat(&dir, name, Mode::from_raw_mode(0o666), AtFlags::empty());
    Ok(())
}
