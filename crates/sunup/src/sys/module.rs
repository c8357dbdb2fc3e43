//! Modules of the kernel.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::OFlags;

use super::file;
use super::signal::check;

/// Loads the module in a file, unless it is there. A packed one is unpacked by the kernel, if
/// it can (since Linux 5.17).
pub fn load(path: &Path, settings: &[u8]) -> io::Result<()> {
    const COMPRESSED: libc::c_int = 4;
    let flags = if is_packed(path) { COMPRESSED } else { 0 };
    let settings = CString::new(settings)?;
    let file = file::open(path, OFlags::RDONLY)?;
    let fd = file.as_raw_fd();
    // SAFETY: the settings end with a NUL and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, fd, settings.as_ptr(), flags) };
    match check(result as libc::c_int) {
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        loaded => loaded.map(drop),
    }
}

/// Whether the file is a module that is packed.
pub fn is_packed(path: &Path) -> bool {
    !path.as_os_str().as_encoded_bytes().ends_with(b".ko")
}
