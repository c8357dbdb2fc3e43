//! The ways that paths lead, through symbolic links.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::scan::{Identity, Name};

/// Longest chain of symbolic links, as in the kernel.
const LINKS_MAX: usize = 40;

/// What a path leads to, if it is a directory.
pub fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Identity {
        dev: found.dev(),
        ino: found.ino(),
    })
}

/// A name in a directory.
pub fn in_place(place: &Path, name: &[u8]) -> PathBuf {
    place.join(OsStr::from_bytes(name))
}

/// The last component of a path and of each link that it leads through, with
/// the directory it stands in.
pub fn steps(path: &Path) -> Vec<(PathBuf, Name)> {
    let mut steps = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let (Some(place), Some(name)) = (path.parent(), path.file_name()) else {
            break;
        };
        steps.push((place.to_owned(), name.as_bytes().to_vec()));
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = place.join(target);
    }
    steps
}
