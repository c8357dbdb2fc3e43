//! The environment of this process, which its children inherit.

use std::ffi::CStr;

/// The path by which the kernel was told to execute this program; empty if it
/// does not say. See `AT_EXECFN` in getauxval(3).
pub fn exec_path() -> &'static [u8] {
    // SAFETY: the kernel put the string on the stack, where it stays and nobody writes.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        if path.is_null() {
            &[]
        } else {
            CStr::from_ptr(path).to_bytes()
        }
    }
}

/// Sets a variable. The program must be single-threaded.
pub fn set(name: &str, value: impl AsRef<std::ffi::OsStr>) {
    // SAFETY: no other thread reads or writes the environment, for there is none.
    unsafe { std::env::set_var(name, value) }
}

/// Removes a variable. The program must be single-threaded.
pub fn remove(name: &str) {
    // SAFETY: as in `set`.
    unsafe { std::env::remove_var(name) }
}
