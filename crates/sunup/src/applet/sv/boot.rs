//! `sv boot [FILE]`: what the boot took, by its record (`model::boot_summary`). Everybody may ask.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::boot_summary::{Boot, text};
use model::format::boot_record::{BYTES_MAX, PATH, Record};

use super::verb;
use crate::say;
use crate::sys::file;

/// Prints it; the exit code.
pub fn print(path: Option<&[u8]>) -> u8 {
    let path = path.unwrap_or(PATH.as_bytes());
    let record = match file::read(Path::new(OsStr::from_bytes(path)), BYTES_MAX) {
        Ok(bytes) => Record::decode(&bytes).ok_or("not the record of a boot".to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path == PATH.as_bytes() => {
            Err(format!(
                "{e}; a boot leaves it where sunup is process 1 or its runsvdir, and /run a tmpfs"
            ))
        }
        Err(e) => Err(e.to_string()),
    };
    match record {
        Ok(record) => {
            say::print(&text(&Boot::of(&record)));
            verb::or_unwritten(0)
        }
        Err(reason) => {
            say::line("sv", format_args!("{}: {reason}", path.escape_ascii()));
            1
        }
    }
}
