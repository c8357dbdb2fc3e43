//! What the scan directory has by the name of a service, for `sv enable` and `sv disable`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::control;
use model::scan::{instance, is_supervised};

use super::directories::{database, enabled, scan_directory, services};
use crate::say::{self, without_numbers};

/// An entry of the scan directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// There is none.
    Absent,
    /// A link to a directory: how services are enabled.
    Link,
    /// A link that leads to what is not there.
    Lost(PathBuf),
    /// A directory of its own.
    Own,
    /// Something else.
    Other,
}

impl Entry {
    /// The entry at a path; what cannot be looked at is not there.
    pub fn at(path: &Path) -> Self {
        let kind = match fs::symlink_metadata(path) {
            Ok(found) => found.file_type(),
            Err(_) => return Self::Absent,
        };
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => Self::Other,
            Ok(_) if kind.is_symlink() => Self::Link,
            Ok(_) => Self::Own,
            Err(_) => Self::Lost(fs::read_link(path).unwrap_or_default()),
        }
    }
}

/// The scan directory; it is said if there is none.
pub fn scan() -> Option<PathBuf> {
    let Some(scan) = scan_directory() else {
        say::line("sv", "SVDIR is empty: it names no directory");
        return None;
    };
    Some(absolute(scan))
}

/// The same path from the root on.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The path of what a directory has by this name.
pub fn within(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// A name or a path as it is shown.
pub fn shown(bytes: impl AsRef<OsStr>) -> String {
    bytes.as_ref().as_bytes().escape_ascii().to_string()
}

/// As [`shown`].
pub fn shown_name(name: &[u8]) -> String {
    shown(OsStr::from_bytes(name))
}

/// Whether a service can have this name.
///
/// # Errors
/// One line that says why not.
pub fn check_name(name: &[u8]) -> Result<(), String> {
    let shown = shown_name(name);
    if name.ends_with(b"@") {
        return Err(shown.clone() + " is a template: say which instance, such as " + &shown + "1");
    }
    let begins_badly = instance(name).is_some_and(|instance| instance.starts_with(b"."));
    if begins_badly || !is_supervised(name) || name.contains(&b'/') {
        let named = if name.is_empty() { "/".into() } else { shown };
        return Err(named + ": no service can have this name");
    }
    Ok(())
}

/// The name of a service, and its directory if the operand is a path.
///
/// # Errors
/// No service can have the name.
pub fn parse(operand: &[u8]) -> Result<(Vec<u8>, Option<PathBuf>), String> {
    let parsed = parse_any(operand)?;
    check_name(&parsed.0)?;
    Ok(parsed)
}

/// As [`parse`], whatever the name is.
///
/// # Errors
/// A path leads nowhere.
pub fn parse_any(operand: &[u8]) -> Result<(Vec<u8>, Option<PathBuf>), String> {
    if !control::is_path(operand) {
        return Ok((operand.to_vec(), None));
    }
    let whole = named_path(Path::new(OsStr::from_bytes(operand)));
    let whole = whole.map_err(|e| said(operand, "find it", &e))?;
    let name = whole.file_name().unwrap_or_default().as_bytes().to_vec();
    Ok((name, Some(whole)))
}

/// The path from the root on, with a name at its end.
fn named_path(path: &Path) -> io::Result<PathBuf> {
    let is_dots = path.as_os_str().as_bytes().ends_with(b".");
    let (Some(place), Some(name), false) = (path.parent(), path.file_name(), is_dots) else {
        return fs::canonicalize(path);
    };
    // What begins with a slash is taken as it was written.
    let place = if path.is_absolute() {
        place.to_owned()
    } else {
        fs::canonicalize(Path::new(".").join(place))?
    };
    Ok(place.join(name))
}

/// One line: which service, what was tried, why it failed.
pub fn said(name: &[u8], attempt: &str, e: &io::Error) -> String {
    let reason = without_numbers(&e.to_string());
    [&shown_name(name), ": ", attempt, ": ", &reason].concat()
}

/// That nobody knows the name, where it was looked for, and which is near.
pub fn unknown(name: &[u8], places: &[PathBuf]) -> String {
    let mut known = enabled().unwrap_or_default();
    for dir in database() {
        known.extend(services(&dir).unwrap_or_default());
    }
    // What has the very name is no directory.
    let known = known.iter().filter(|known| known[..] != *name);
    let known = known.filter_map(|name| str::from_utf8(name).ok());
    let guess = model::guess::nearest(name, known);
    let mut line = shown_name(name) + " is not in ";
    if places.is_empty() {
        line += "a database, for SUNUP_DB names none";
    }
    for (n, place) in places.iter().enumerate() {
        line += if n == 0 { "" } else { " or " };
        line += &shown(place);
    }
    if let Some(guess) = guess {
        line += ", did you mean ";
        line += &shown(guess);
        line += "?";
    }
    line
}
