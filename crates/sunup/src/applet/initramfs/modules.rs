//! The kernel's modules that the root needs, in the order of /etc/modules: a line is the path
//! of a module, from /lib/modules/RELEASE if it does not begin with a slash, and then its
//! parameters.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::system::{finit_module, uname};

use crate::machine::console;
use crate::sys::file;

const LIST: &str = "/etc/modules";
const LIST_BYTES_MAX: usize = 256 * 1024;
/// finit_module(2): the kernel unpacks the file.
const IS_COMPRESSED: i32 = 4;

/// Loads them all; what fails is said.
pub fn load() {
    let Ok((text, _)) = file::read_lines(Path::new(LIST), LIST_BYTES_MAX) else {
        return;
    };
    for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        let end = line.iter().position(u8::is_ascii_whitespace);
        let (name, parameters) = line.split_at(end.unwrap_or(line.len()));
        if name.is_empty() || name.starts_with(b"#") {
            continue;
        }
        match load_one(name, parameters.trim_ascii()) {
            // It is there, or nothing that it is for.
            Ok(()) | Err(Errno::EXIST | Errno::NODEV) => {}
            Err(e) => console::say(&format!("{LIST}: {}: load: {e}", name.escape_ascii())),
        }
    }
}

fn load_one(name: &[u8], parameters: &[u8]) -> rustix::io::Result<()> {
    let release = uname();
    let place = Path::new("/lib/modules").join(OsStr::from_bytes(release.release().to_bytes()));
    let path = place.join(OsStr::from_bytes(name));
    let flags = if name.ends_with(b".ko") {
        0
    } else {
        IS_COMPRESSED
    };
    let opened = file::open(&path, OFlags::RDONLY);
    let opened = opened.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::INVAL))?;
    let parameters = CString::new(parameters).map_err(|_| Errno::INVAL)?;
    finit_module(&opened, &parameters, flags)
}
