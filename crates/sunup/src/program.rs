//! Programs of others: finding one and starting it.

use std::ffi::{CStr, CString};
use std::io;

use rustix::fs::{Access, access};

use crate::sys::spawn;

/// Where programs of the system are.
const DIRECTORIES: [&str; 4] = ["/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/"];

/// The file of the program of this name, which has no slash in it.
pub fn find(name: &[u8]) -> Option<CString> {
    if name.contains(&b'/') {
        return None;
    }
    let paths = DIRECTORIES
        .iter()
        .map(|dir| [dir.as_bytes(), name].concat());
    let mut paths = paths.filter_map(|path| CString::new(path).ok());
    paths.find(|path| access(path.as_c_str(), Access::EXEC_OK).is_ok())
}

/// Starts a program; the caller must wait for it.
pub fn start(path: &CStr, arguments: &[&[u8]]) -> io::Result<spawn::Pid> {
    let mut argv = vec![path.to_owned()];
    for argument in arguments {
        argv.push(CString::new(*argument)?);
    }
    spawn::fork(|| {
        let _reason = spawn::exec(path, &argv, None);
        127
    })
}
