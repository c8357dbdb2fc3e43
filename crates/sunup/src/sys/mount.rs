//! Room for swapping.

use std::ffi::CStr;
use std::io;

use super::signal::check;

/// swapon(2).
pub fn swap_on(path: &CStr, flags: i32) -> io::Result<()> {
    // SAFETY: the path ends with a NUL and outlives the call.
    check(unsafe { libc::swapon(path.as_ptr(), flags) }).map(drop)
}
