//! Modules of the kernel.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::signal::check;

/// finit_module(2). A compressed file is unpacked by the kernel, if it can (since Linux 5.17).
pub fn load(file: &File, settings: &CStr, is_compressed: bool) -> io::Result<()> {
    const COMPRESSED: libc::c_int = 4;
    let flags = if is_compressed { COMPRESSED } else { 0 };
    let fd = file.as_raw_fd();
    // SAFETY: the settings end with a NUL and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, fd, settings.as_ptr(), flags) };
    check(result as libc::c_int).map(drop)
}
