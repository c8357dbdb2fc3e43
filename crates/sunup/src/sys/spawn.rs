//! Forking and exec'ing for init and getty, whose children open terminals and
//! ask questions first, and for whoever becomes another program. Services are
//! started by [`super::spawner`].

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::signal;

/// A process id; positive.
pub type Pid = i32;

/// Forks and runs `child` in the new process, which ends with its result. Its
/// signals are as at boot: default actions, none blocked. The caller must be
/// single-threaded.
pub fn fork(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    fork_alike(|| {
        signal::reset_all();
        child()
    })
}

/// As [`fork`], but what is blocked stays blocked, and what is ignored ignored:
/// a signal that comes before the child has made its own arrangements waits. SIGCHLD
/// is not ignored from here on: of such a child nobody would know how it ended.
pub fn fork_alike(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    signal::reset(signal::SIGCHLD);
    // SAFETY: with a single thread, the child may run any code: no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = child();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(c_int::from(code)) }
        }
        pid => Ok(pid),
    }
}

/// Makes `to` a copy of `from` that survives an exec. For a forked child: what
/// was open as `to` is closed, whoever owned it.
pub fn place(from: BorrowedFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup2 has no memory effects; the child that calls this execs next.
    signal::check(unsafe { libc::dup2(from.as_raw_fd(), to) }).map(drop)
}

/// The array of pointers that an exec wants.
pub fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Replaces this process: `path` is taken as it is, `env` is the whole
/// environment, or the present one. Returns only on failure.
pub fn exec(path: &CStr, argv: &[CString], env: Option<&[CString]>) -> io::Error {
    let argv = pointers(argv);
    // SAFETY: both arrays end with a null pointer and point to C strings that outlive the call.
    unsafe {
        match env {
            Some(env) => libc::execve(path.as_ptr(), argv.as_ptr(), pointers(env).as_ptr()),
            None => libc::execv(path.as_ptr(), argv.as_ptr()),
        };
    }
    io::Error::last_os_error()
}

/// As [`exec`] with the present environment, but `argv[0]` is looked up in PATH
/// when it holds no slash.
pub fn exec_in_path(program: &CStr, argv: &[CString]) -> io::Error {
    let argv = pointers(argv);
    // SAFETY: the array ends with a null pointer and points to C strings that outlive the call.
    unsafe { libc::execvp(program.as_ptr(), argv.as_ptr()) };
    io::Error::last_os_error()
}
