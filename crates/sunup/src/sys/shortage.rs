//! Too few descriptors or too little memory is no absence: who looks for something
//! and cannot, for want of those, must not act as if it were not there.

use std::io;

use rustix::io::Errno;

/// What was found; `None`: it is not there, or cannot be looked at.
///
/// # Errors
/// There were too few descriptors, or too little memory.
pub fn unless_short<T>(looked: Result<T, Errno>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(e.into()),
        Err(_) => Ok(None),
    }
}

/// As [`unless_short`], for what std looks at.
///
/// # Errors
/// As there.
pub fn look<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    unless_short(looked.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)))
}
