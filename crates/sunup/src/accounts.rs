//! Users and groups of /etc/passwd and /etc/group, read without a library that might ask
//! other machines: a supervisor may not wait for these.

use std::path::Path;

use model::format::account::{self, Fault, User};

use crate::sys::file;

/// Where users are.
pub const PASSWD: &str = "/etc/passwd";
/// Where groups are.
pub const GROUP: &str = "/etc/group";
/// How many bytes of either are searched.
const BYTES_MAX: usize = 16 << 20;

/// The whole content of either.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn read(path: &str) -> std::io::Result<Vec<u8>> {
    file::read(Path::new(path), BYTES_MAX)
}

/// The number of a group, by its name, or else by this number itself.
///
/// # Errors
/// Why there is no such group, in words.
pub fn group(name: &[u8]) -> Result<u32, String> {
    let find = |file: &[u8]| account::group(file, name);
    look_up(GROUP, find, name, "group")
}

/// The number of a user, as [`group`].
///
/// # Errors
/// As [`group`].
pub fn user(name: &[u8]) -> Result<u32, String> {
    let find = |file: &[u8]| Ok(account::user(file, name)?.map(|User { uid, .. }| uid));
    look_up(PASSWD, find, name, "user")
}

fn look_up(
    path: &str,
    find: impl Fn(&[u8]) -> Result<Option<u32>, Fault>,
    name: &[u8],
    kind: &str,
) -> Result<u32, String> {
    let found = match read(path) {
        Ok(content) => find(&content).map_err(|Fault { line, reason }| {
            format!("{}: {path}:{line}: {reason}", name.escape_ascii())
        })?,
        // A number needs no file.
        Err(_) if account::id(name).is_some() => None,
        Err(e) => return Err(format!("{}: read {path}: {e}", name.escape_ascii())),
    };
    let found = found.or_else(|| account::id(name));
    found.ok_or_else(|| format!("{}: no such {kind} in {path}", name.escape_ascii()))
}
