//! Descriptors that came through an exec.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes a descriptor that the program before this one left open; it is closed
/// by the next exec. `None` if the number is none of those: what is opened here
/// is close-on-exec from the start, and so is what was taken.
pub fn claim(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl has no memory effects. A descriptor above 2 that is not close-on-exec came
    // through an exec, so nobody here owns it; from now on it is, so nobody takes it twice.
    unsafe {
        let inherited = number > 2 && libc::fcntl(number, libc::F_GETFD) == 0;
        let taken = inherited && libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) == 0;
        taken.then(|| OwnedFd::from_raw_fd(number))
    }
}
