//! Finding a program in PATH, and becoming it, with an environment of one's own.

use std::ffi::{CStr, CString};
use std::io;

use super::spawn;

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Replaces this process by `program` with the whole environment `env`; a name
/// without a slash is looked up in `path`. Returns only on failure.
pub fn exec(program: &CStr, argv: &[CString], env: &[CString], path: Option<&[u8]>) -> io::Error {
    let name = program.to_bytes();
    if name.is_empty() {
        return io::Error::from_raw_os_error(libc::ENOENT);
    }
    if name.contains(&b'/') {
        return spawn::exec(program, argv, Some(env));
    }
    let mut denied = None;
    for dir in path.unwrap_or(DEFAULT_PATH).split(|b| *b == b':') {
        let error = match candidate(dir, name) {
            Ok(file) => spawn::exec(&file, argv, Some(env)),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            // A later directory may have a program that may be started.
            Some(libc::EACCES) => denied = Some(error),
            _ => return error,
        }
    }
    denied.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
}

/// An empty entry of PATH means the current directory.
fn candidate(dir: &[u8], name: &[u8]) -> io::Result<CString> {
    let dir = if dir.is_empty() { b"." } else { dir };
    Ok(CString::new([dir, b"/", name].concat())?)
}

/// The present environment, ready for [`exec`], with `changes` made in order:
/// a value sets the variable, none removes it.
pub fn environment(changes: &[(&[u8], Option<&[u8]>)]) -> Vec<CString> {
    use std::os::unix::ffi::OsStringExt;
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    for (name, value) in changes {
        variables.retain(|(other, _)| other != name);
        if let Some(value) = value {
            variables.push((name.to_vec(), value.to_vec()));
        }
    }
    variables
        .into_iter()
        // No variable of a running process holds a NUL, and changes that do cannot be passed on.
        .filter_map(|(name, value)| CString::new([&name[..], b"=", &value].concat()).ok())
        .collect()
}
