//! A directory of variables: each file is one variable, and has its name.

use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use model::chpst::{VALUE_BYTES_MAX, env_value};

use super::wrong::{Wrong, path, wrong};
use crate::sys::path_search::Change;

/// Reads the directory. A file that cannot be read is an error, because a program must not
/// start without a part of its settings. What cannot be a variable is reported and left
/// out. Names with a leading dot are ignored.
pub fn read(dir: &[u8], mut tell: impl FnMut(Wrong)) -> Result<Vec<Change>, Wrong> {
    let fail = |e: std::io::Error| wrong(dir, "read the directory", e);
    let mut changes = Vec::new();
    for entry in std::fs::read_dir(path(dir)).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().into_vec();
        if name.starts_with(b".") {
            continue;
        }
        let file = [dir, b"/", &name].concat();
        if name.contains(&b'=') {
            tell(wrong(&file, "set a variable", "its name holds a ="));
            continue;
        }
        match content(&entry.path()) {
            Ok(Some(content)) => changes.push((name, env_value(&content))),
            Ok(None) => tell(wrong(&file, "set a variable", "not a file")),
            Err(error) => return Err(wrong(&file, "read", error)),
        }
    }
    Ok(changes)
}

/// As much of the content as may matter. `None`: a directory or a pipe.
fn content(file: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        // Do not wait for the writer of a pipe.
        .custom_flags(libc::O_NONBLOCK)
        .open(file)?;
    let kind = file.metadata()?.file_type();
    // /dev/null counts as an empty file.
    if kind.is_dir() || std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(VALUE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut content)?;
    if content.len() > VALUE_BYTES_MAX && !content.contains(&b'\n') {
        return Err(std::io::Error::other(format!(
            "its first line is longer than {VALUE_BYTES_MAX} bytes"
        )));
    }
    Ok(Some(content))
}
