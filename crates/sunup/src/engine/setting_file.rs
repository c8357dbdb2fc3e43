//! A file of our own in a service directory ([`model::settings`]), read.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use model::settings::{BYTES_MAX, Setting, Settings};
use rustix::fs::{Mode, OFlags};

use crate::sys::file;

/// Reads a file into the settings, if it exists; an error says what is wrong with it.
pub fn read_setting(
    home: BorrowedFd,
    setting: &Setting,
    found: &mut Settings,
) -> Result<(), String> {
    let path = Path::new(setting.name);
    let content = match file::open_at(home, path, OFlags::RDONLY, Mode::empty()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.and_then(|fd| file::all_of(File::from(fd), BYTES_MAX)),
    };
    let content = content.map_err(|e| e.to_string())?;
    (setting.decode)(&content, found)
        .map_err(|mistake| format!("line {}: {}", mistake.line, mistake.reason))
}
