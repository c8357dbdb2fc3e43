//! Descriptors 0-2 before `main`.
//!
//! std aborts before `main` when 0-2 are closed and /dev/null cannot be opened:
//! exactly what PID 1 of an initramfs without /dev/console meets. A constructor
//! runs earlier than std's check and fills the holes with whatever can be had. The
//! console is for PID 1 alone: anybody else would read what is typed there.

use std::ffi::c_int;

#[used]
#[unsafe(link_section = ".init_array")]
static FILL_STDIO: extern "C" fn() = fill_stdio;

extern "C" fn fill_stdio() {
    for fd in 0..3 {
        // SAFETY: fcntl on a number has no memory effects.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            fill(fd);
        }
    }
}

/// Opens the first of console, null and the root directory on `fd`, the lowest free number.
fn fill(fd: c_int) {
    // SAFETY: getpid has no memory effects.
    let is_pid_1 = unsafe { libc::getpid() } == 1;
    for path in [is_pid_1.then_some(c"/dev/console"), Some(c"/dev/null")] {
        let Some(path) = path else { continue };
        // SAFETY: a constant C string; open returns the lowest free descriptor, which is `fd`.
        let got = unsafe {
            libc::open(
                path.as_ptr(),
                libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK,
            )
        };
        if got < 0 {
            continue;
        }
        if got == fd {
            // SAFETY: as above; a console must block again once it is open.
            unsafe { libc::fcntl(fd, libc::F_SETFL, 0) };
            return;
        }
        // SAFETY: `got` was opened here and is not used elsewhere.
        unsafe { libc::close(got) };
    }
    // SAFETY: "/" can be opened for reading on any machine; a write to it fails harmlessly.
    unsafe { libc::open(c"/".as_ptr(), libc::O_RDONLY) };
}
