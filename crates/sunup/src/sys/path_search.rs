//! Finding a program in PATH, and becoming it, with an environment of one's own.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use super::{signal, spawn};

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Replaces this process by `program` with the whole environment `env`; a name
/// without a slash is looked up in the present PATH. Returns only on failure.
pub fn exec(program: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let path = std::env::var_os("PATH").map(OsStringExt::into_vec);
    signal::default_pipe();
    let error = search(program, argv, env, path.as_deref());
    signal::ignore_pipe();
    error
}

fn search(program: &CStr, argv: &[CString], env: &[CString], path: Option<&[u8]>) -> io::Error {
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

/// A change of the environment: a variable, and its value unless it is removed.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The present environment, ready for [`exec`], with `changes` made in order.
pub fn environment(changes: &[Change]) -> Vec<CString> {
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    for (name, value) in changes {
        variables.retain(|(other, _)| other != name);
        if let Some(value) = value {
            variables.push((name.clone(), value.clone()));
        }
    }
    variables
        .into_iter()
        // No variable of a running process holds a NUL, and changes that do cannot be passed on.
        .filter_map(|(name, value)| CString::new([&name[..], b"=", &value].concat()).ok())
        .collect()
}
