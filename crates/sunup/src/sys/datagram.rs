//! Datagrams of a unix socket, with who sent them and what came along. (rustix takes the
//! sender's pid for one above 0; it is 0 if the sender is in no pid namespace of ours.)

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// Who sent a datagram, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its pid here; 0 if it has none.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// A datagram.
#[derive(Debug)]
pub struct Datagram {
    /// How many bytes of the buffer it has.
    pub bytes: usize,
    /// All of it is there.
    pub is_whole: bool,
    /// Who sent it, if the socket has SO_PASSCRED.
    pub sender: Option<Sender>,
    /// The descriptor that came along, if it is one and no more. Others were closed.
    pub fd: Option<OwnedFd>,
}

/// Room for a sender and a descriptor; of more descriptors, the kernel passes on what fits.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Takes the next datagram, or looks at it, so that it stays; `None` if there is none. It does
/// not wait.
///
/// # Errors
/// As recvmsg(2), but for those that another try answers.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], stays: bool) -> io::Result<Option<Datagram>> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    let look = if stays { libc::MSG_PEEK } else { 0 };
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | look;
    // SAFETY: the header names both buffers with their sizes, and both outlive the call.
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    let Ok(bytes) = usize::try_from(received) else {
        let e = io::Error::last_os_error();
        return match Errno::from_io_error(&e) {
            Some(Errno::AGAIN | Errno::INTR) => Ok(None),
            _ => Err(e),
        };
    };
    // SAFETY: the kernel has just filled the header and what it names.
    let (sender, mut fds) = unsafe { along(&header) };
    let is_cut = |flag| header.msg_flags & flag != 0;
    let is_one = fds.len() == 1 && !is_cut(libc::MSG_CTRUNC);
    Ok(Some(Datagram {
        bytes,
        is_whole: !is_cut(libc::MSG_TRUNC),
        sender,
        fd: fds.pop().filter(|_| is_one),
    }))
}

/// What came along with a datagram.
///
/// # Safety
/// recvmsg(2) has filled the header and its buffer for control messages, and nobody has
/// taken the descriptors in it.
unsafe fn along(header: &libc::msghdr) -> (Option<Sender>, Vec<OwnedFd>) {
    let (mut sender, mut fds) = (None, vec![]);
    // SAFETY: the macros of cmsg(3) stay within the buffer that the kernel has filled, and a
    // control message is as long as it says.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = next.as_ref() {
            let data = libc::CMSG_DATA(next);
            let bytes = length(found).saturating_sub(libc::CMSG_LEN(0) as usize);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for at in (0..bytes).step_by(size_of::<RawFd>()) {
                        let number = data.add(at).cast::<[u8; 4]>().read();
                        fds.push(OwnedFd::from_raw_fd(RawFd::from_ne_bytes(number)));
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                    let told = data.cast::<libc::ucred>().read_unaligned();
                    let pid = u32::try_from(told.pid).unwrap_or(0);
                    sender = Some(Sender { pid, uid: told.uid });
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    (sender, fds)
}

#[allow(
    clippy::unnecessary_cast,
    reason = "other C libraries have another type there"
)]
const fn length(found: &libc::cmsghdr) -> usize {
    found.cmsg_len as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::set_socket_passcred;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::{IoSlice, Read, pipe};
    use std::mem::MaybeUninit;

    fn pair() -> (OwnedFd, OwnedFd) {
        let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
        let (ours, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        set_socket_passcred(&ours, true).unwrap();
        (ours, theirs)
    }

    fn send(socket: &OwnedFd, text: &[u8], fds: &[&OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        sendmsg(
            socket,
            &[IoSlice::new(text)],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
    }

    #[test]
    fn text_and_sender() {
        let (ours, theirs) = pair();
        let mut buffer = [0; 16];
        assert!(receive(&ours, &mut buffer, false).unwrap().is_none());
        send(&theirs, b"READY=1", &[]);
        send(&theirs, b"", &[]);
        send(&theirs, b"more than sixteen bytes", &[]);
        for stays in [true, false] {
            let got = receive(&ours, &mut buffer, stays).unwrap().unwrap();
            assert_eq!(&buffer[..got.bytes], b"READY=1");
            let uid = rustix::process::getuid().as_raw();
            let pid = std::process::id();
            assert_eq!(got.sender, Some(Sender { pid, uid }));
            assert!(got.is_whole && got.fd.is_none());
        }
        let nothing = receive(&ours, &mut buffer, false).unwrap().unwrap();
        assert!(nothing.bytes == 0 && nothing.is_whole);
        assert!(
            !receive(&ours, &mut buffer, false)
                .unwrap()
                .unwrap()
                .is_whole
        );
    }

    #[test]
    fn one_descriptor_is_kept_and_more_are_closed() {
        let (ours, theirs) = pair();
        let mut buffer = [0; 16];
        for (count, is_kept) in [(1, true), (2, false), (3, false), (200, false)] {
            let (mut end, writer) = pipe().unwrap();
            let writer = OwnedFd::from(writer);
            send(&theirs, b"BARRIER=1", &vec![&writer; count]);
            drop(writer);
            let got = receive(&ours, &mut buffer, false).unwrap().unwrap();
            assert_eq!((got.bytes, got.fd.is_some()), (9, is_kept), "{count}");
            drop(got);
            // Were one of them open, this would not end.
            assert_eq!(end.read(&mut buffer).unwrap(), 0);
        }
    }
}
