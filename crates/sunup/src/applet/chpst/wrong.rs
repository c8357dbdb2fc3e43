//! A failure in words: subject, attempt, reason.

use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// See the module.
pub type Wrong = String;

/// Composes the words.
pub fn wrong(subject: &[u8], attempt: &str, reason: impl Display) -> Wrong {
    format!("{}: {attempt}: {reason}", subject.escape_ascii())
}

/// Takes the bytes of an argument as a path.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
