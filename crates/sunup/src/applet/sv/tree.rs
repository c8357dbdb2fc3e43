//! What is in a service directory that sv has made, and how it is removed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::path::Arg;

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

    /// The place in this entry, if the instance has a directory of its own there; a link
    /// may lead to one.
    pub fn within(self, name: &[u8], is_dir: bool, is_link: bool) -> Option<Self> {
        match self {
            Self::Service if name == b"log" && is_dir => Some(Self::Log),
            Self::Log if is_dir && !is_link => Some(Self::InLog),
            Self::Hidden if is_dir && !is_link => Some(Self::Hidden),
            _ => None,
        }
    }
}

/// Opens a directory, and follows no link there: who may write beside it could have put one
/// in its place.
///
/// # Errors
/// It is none, or cannot be read.
pub fn open_dir(at: impl AsFd, path: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(at, path, flags, Mode::empty())?)
}

/// Removes the directory of an instance in which only links are, and what supervisors left; or
/// one that is hidden.
///
/// # Errors
/// One line: what is in it besides, and then all is left; or what cannot be removed, and then
/// a second call goes on.
pub fn remove(dir: &Path, place: Place) -> Result<(), String> {
    let open = || open_dir(CWD, dir).map_err(|e| failed(dir, &e));
    visit(&open()?, dir, place, false)?;
    visit(&open()?, dir, place, true)?;
    unlinkat(CWD, dir, AtFlags::REMOVEDIR).map_err(|e| failed(dir, &e.into()))
}

fn failed(path: &Path, e: &io::Error) -> String {
    said(path.as_os_str().as_bytes(), "remove it", e)
}

/// Goes through all that is in a directory, and ends at what should not be there. Each
/// directory is held open meanwhile: its owner, who may put a link in its place, does not
/// choose what else is removed.
fn visit(dir: &OwnedFd, path: &Path, place: Place, removes: bool) -> Result<(), String> {
    for entry in Dir::read_from(dir).map_err(|e| failed(path, &e.into()))? {
        let entry = entry.map_err(|e| failed(path, &e.into()))?;
        let name = entry.file_name();
        let bytes = name.to_bytes();
        if matches!(bytes, b"." | b"..") {
            continue;
        }
        let inner = path.join(OsStr::from_bytes(bytes));
        let failed = |e: io::Error| failed(&inner, &e);
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(e.into()))?;
        let kind = FileType::from_raw_mode(found.st_mode);
        let within = match bytes {
            b"supervise" if kind.is_dir() => Some(Place::Hidden),
            bytes => place.within(bytes, kind.is_dir(), kind.is_symlink()),
        };
        let is_made = place == Place::Hidden || (place == Place::Service && bytes == b"down");
        let mut flags = AtFlags::empty();
        if let Some(within) = within {
            flags = AtFlags::REMOVEDIR;
            visit(
                &open_dir(dir, name).map_err(failed)?,
                &inner,
                within,
                removes,
            )?;
        } else if !is_made && !kind.is_symlink() {
            return Err(shown(inner) + " is no link: the directory stays");
        }
        if removes {
            unlinkat(dir, name, flags).map_err(|e| failed(e.into()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{RenameFlags, renameat_with};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Its owner puts a link in the place of a directory, again and again.
    #[test]
    fn who_owns_an_instance_does_not_choose_what_else_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (instance, other) = (dir.path().join("x@1"), dir.path().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (one, two) = (instance.join("supervise"), instance.join("link"));
                while !is_over.load(Ordering::Relaxed) {
                    let _ = renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE);
                }
            });
            let mut lost = 0;
            for _ in 0..2000 {
                let _ = fs::create_dir_all(instance.join("supervise"));
                let _ = fs::write(instance.join("supervise/kept"), "");
                let _ = symlink(&other, instance.join("link"));
                let _ = remove(&instance, Place::Service);
                lost += usize::from(!other.join("kept").exists());
                let _ = fs::remove_dir_all(&instance);
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(lost, 0);
        });
    }
}
