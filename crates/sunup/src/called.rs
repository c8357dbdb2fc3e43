//! By what name a program was called.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The last component of `argv[0]`, without the dash of a login shell.
pub fn base_name(argv0: &[u8]) -> &[u8] {
    let base = argv0.rsplit(|b| *b == b'/').next().unwrap_or(argv0);
    base.strip_prefix(b"-").unwrap_or(base)
}

/// Whether the path is a link, or a link to a link, to something of this name.
pub fn is_link_to(path: &[u8], name: &str) -> bool {
    const LINKS_MAX: usize = 40;
    let mut path = PathBuf::from(OsStr::from_bytes(path));
    for _ in 0..LINKS_MAX {
        let Ok(target) = path.read_link() else {
            return false;
        };
        if target.file_name().is_some_and(|file| file == name) {
            return true;
        }
        path.set_file_name(target);
    }
    false
}
