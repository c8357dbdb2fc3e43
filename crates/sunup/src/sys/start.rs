//! From the C library to our `main`: as much of std's own start as is needed here.
//!
//! For a message about a full stack, std asks for the bounds of the stack. The C library
//! answers from /proc/self/maps, by its scanf: 140 KB of code, and half of the system calls
//! between exec and `main`. Without that message, a full stack ends the program just so.
//!
//! std aborts when descriptors 0-2 are closed and /dev/null cannot be opened: exactly what
//! PID 1 of an initramfs without /dev/console meets. Here the holes are filled with whatever
//! can be had. The console is for PID 1 alone: anybody else would read what is typed there.

use std::ffi::{c_char, c_int};

/// Makes a function, which answers with an exit code, the one that the C library calls.
/// (In a test the harness of std is in its place.)
macro_rules! entry {
    ($main:path) => {
        #[cfg(not(test))]
        #[unsafe(export_name = "main")]
        extern "C" fn entry(
            count: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            $crate::sys::start::prepare(count, words);
            std::ffi::c_int::from($main())
        }
    };
}
pub(crate) use entry;

/// What comes before everything else.
#[cfg_attr(test, allow(dead_code))]
pub fn prepare(count: c_int, words: *const *const c_char) {
    fill_stdio();
    super::signal::ignore_pipe();
    super::arguments::remember(count, words);
}

fn fill_stdio() {
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
