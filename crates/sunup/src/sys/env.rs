//! The environment of this process, which its children inherit.

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
