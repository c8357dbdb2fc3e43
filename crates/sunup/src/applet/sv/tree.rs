//! What is in a service directory that sv has made, and how it is removed.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::entry::{said, shown};

/// Where in a service directory an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is at its top.
    Service,
    /// It is in `log`.
    Log,
    /// It is in a directory in `log`.
    InLog,
    /// It is in what has not got its name yet.
    Hidden,
}

impl Place {
    /// Whether the template's entry is nothing to the instance.
    pub fn omits(self, name: &[u8]) -> bool {
        match self {
            Self::Service => matches!(name, b"supervise" | b"down"),
            Self::Log => name == b"supervise",
            Self::Hidden => false,
            // What svlogd makes.
            Self::InLog => {
                let names = ["lock", "current", "state", "newstate", "previous"];
                name.starts_with(b"@") || names.iter().any(|made| made.as_bytes() == name)
            }
        }
    }

    /// The place in this entry, if the instance has a directory of its own there.
    pub fn within(self, name: &[u8], path: &Path) -> Option<Self> {
        match self {
            Self::Service if name == b"log" && path.is_dir() => Some(Self::Log),
            Self::Log if path.is_dir() && !path.is_symlink() => Some(Self::InLog),
            Self::Hidden if path.is_dir() && !path.is_symlink() => Some(Self::Hidden),
            _ => None,
        }
    }
}

/// Removes the directory of an instance in which only links are, and what supervisors left; or
/// one that is hidden.
///
/// # Errors
/// One line: what is in it besides, and then all is left; or what cannot be removed, and then
/// a second call goes on.
pub fn remove(dir: &Path, place: Place) -> Result<(), String> {
    let failed = |path: &Path, e: &io::Error| said(path.as_os_str().as_bytes(), "remove it", e);
    let (mut entries, mut dirs) = (Vec::new(), Vec::new());
    match collect(dir, place, &mut entries, &mut dirs) {
        Err(e) => return Err(failed(dir, &e)),
        Ok(Some(path)) => return Err(shown(path) + " is no link: the directory stays"),
        Ok(None) => {}
    }
    for path in entries {
        fs::remove_file(&path).map_err(|e| failed(&path, &e))?;
    }
    for path in dirs.iter().rev() {
        fs::remove_dir(path).map_err(|e| failed(path, &e))?;
    }
    Ok(())
}

/// All that is in a directory; what should not be there.
fn collect(
    dir: &Path,
    place: Place,
    entries: &mut Vec<PathBuf>,
    dirs: &mut Vec<PathBuf>,
) -> io::Result<Option<PathBuf>> {
    dirs.push(dir.to_owned());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.as_bytes();
        let within = match name {
            b"supervise" if entry.file_type()?.is_dir() => Some(Place::Hidden),
            name => place.within(name, &path).filter(|_| !path.is_symlink()),
        };
        if let Some(within) = within {
            if let Some(alien) = collect(&path, within, entries, dirs)? {
                return Ok(Some(alien));
            }
            continue;
        }
        let is_made = place == Place::Hidden || (place == Place::Service && name == b"down");
        if !is_made && !path.is_symlink() {
            return Ok(Some(path));
        }
        entries.push(path);
    }
    Ok(None)
}
