//! Files and fifos in `supervise`, a directory that may belong to somebody who may
//! do less than we may: a service's user, or whoever unpacked the tree.
//!
//! The rule, for all who open something there: the last name is not followed if it
//! is a link, nothing waits (`O_NONBLOCK`), and what was opened is looked at before
//! a byte is read or written. A fifo is a fifo, or nothing. A file is a regular
//! one. What stands in it is believed, and it is written over in place, if it is
//! *ours*: its owner is root or who we are, nobody else may write to it, and it has
//! no other name, for through that it would be another file that we write. What is
//! not ours is replaced. The directories on the way may be links (`supervise`
//! leads to /run on Void, `log` to a shared directory).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

/// Permission to write for group and others.
const WRITABLE: u32 = 0o022;
/// What every opening has in common.
const GUARDED: OFlags = OFlags::NONBLOCK
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY);

/// A regular file that was opened.
pub struct Regular {
    /// The file.
    pub file: OwnedFd,
    /// Its length (bytes).
    pub bytes: i64,
    /// See the module.
    pub is_ours: bool,
}

/// Opens a fifo. Its owner and mode are not looked at: to give it to a user is how
/// that user is permitted to command the service (runit's FAQ).
///
/// # Errors
/// `NXIO`: nobody reads it, or it is no fifo. `LOOP`: a link.
pub fn fifo(at: impl AsFd, name: impl Arg, access: OFlags) -> rustix::io::Result<OwnedFd> {
    let fifo = openat(at, name, access | GUARDED, Mode::empty())?;
    let is_fifo = kind(&fstat(&fifo)?) == FileType::Fifo;
    is_fifo.then_some(fifo).ok_or(Errno::NXIO)
}

/// Opens a file; what is to be made if there is none says `flags`.
///
/// # Errors
/// `SPIPE` or `ISDIR`: it is no regular file. `LOOP`: a link.
pub fn file(
    at: impl AsFd,
    name: impl Arg,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<Regular> {
    regular(openat(at, name, flags | GUARDED, mode)?)
}

/// Opens a file for reading.
///
/// # Errors
/// As [`file`].
pub fn to_read(at: impl AsFd, name: impl Arg) -> rustix::io::Result<Regular> {
    file(at, name, OFlags::RDONLY, Mode::empty())
}

/// Opens a file of ours for writing, with what it holds, and makes it if there is
/// none. `None`: what is there is not ours, or no file, and is to be replaced.
///
/// # Errors
/// It can be neither opened nor replaced, as a directory.
pub fn to_write(at: impl AsFd, name: impl Arg, mode: Mode) -> rustix::io::Result<Option<Regular>> {
    match file(at, name, OFlags::WRONLY | OFlags::CREATE, mode) {
        Err(e) if !stands_in_the_way(e) => Err(e),
        found => Ok(found.ok().filter(|found| found.is_ours)),
    }
}

/// Puts a new file in the place of whatever is there, at once and whole.
///
/// # Errors
/// It cannot be made or written, or what is there is a directory.
pub fn replace(at: impl AsFd, name: &CStr, mode: Mode, content: &[u8]) -> io::Result<()> {
    let new = CString::new([name.to_bytes(), b".new"].concat())?;
    let _left_over = unlinkat(&at, &new, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let fresh = file(&at, &new, flags, mode)?;
    if !content.is_empty() && rustix::io::pwrite(&fresh.file, content, 0)? != content.len() {
        return Err(Errno::NOSPC.into());
    }
    Ok(renameat(&at, &new, &at, name)?)
}

/// Whether opening failed because of what stands there, which another may replace.
pub fn stands_in_the_way(e: Errno) -> bool {
    matches!(
        e,
        // No file or fifo, a link, a device that is not there.
        Errno::NXIO | Errno::SPIPE | Errno::LOOP | Errno::NODEV
        // Somebody else's, a program that runs, under a lease.
        | Errno::ACCESS | Errno::PERM | Errno::TXTBSY | Errno::AGAIN
    )
}

/// Looks at an open file.
///
/// # Errors
/// `SPIPE` or `ISDIR`: it is no regular file.
pub fn regular(file: OwnedFd) -> rustix::io::Result<Regular> {
    let found = fstat(&file)?;
    match kind(&found) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::SPIPE),
    }
    let is_ours = (found.st_uid == 0 || found.st_uid == geteuid().as_raw()) && is_private(&found);
    Ok(Regular {
        file,
        bytes: found.st_size,
        is_ours,
    })
}

/// Whether two open files belong to the same user, and to nobody else: on a file
/// system that gives what we make to somebody (NFS with `root_squash`), what
/// belongs to them is ours.
pub fn is_as_private_as(file: &OwnedFd, made: &OwnedFd) -> bool {
    matches!((fstat(file), fstat(made)), (Ok(a), Ok(b)) if a.st_uid == b.st_uid && is_private(&a))
}

/// Whether a file that is open has no name any more.
pub fn is_removed(file: &OwnedFd) -> bool {
    // The type of the count depends on the machine.
    fstat(file).is_ok_and(|found| found.st_nlink == 0)
}

/// Whether a file that is open has two names at least.
pub fn has_two_names(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|found| found.st_nlink >= 2)
}

fn is_private(found: &Stat) -> bool {
    found.st_nlink == 1 && found.st_mode & WRITABLE == 0
}

const fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mkfifoat};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const MODE: Mode = Mode::from_raw_mode(0o644);

    fn write(path: &std::path::Path, text: &str) {
        if let Some(found) = to_write(CWD, path, MODE).unwrap() {
            let written = rustix::io::write(&found.file, text.as_bytes());
            assert_eq!(written, Ok(text.len()));
        } else {
            let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
            replace(CWD, &path, MODE, text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_is_not_ours_is_replaced_and_what_it_was_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("secret"), "secret").unwrap();
        for name in ["link", "other", "open"] {
            match name {
                "link" => symlink("secret", at(name)).unwrap(),
                "other" => fs::hard_link(at("secret"), at(name)).unwrap(),
                _ => {
                    fs::write(at(name), "longer").unwrap();
                    fs::set_permissions(at(name), fs::Permissions::from_mode(0o666)).unwrap();
                }
            }
            assert!(
                !to_read(CWD, at(name)).is_ok_and(|found| found.is_ours),
                "{name}"
            );
            write(&at(name), "new");
            assert_eq!(fs::read(at(name)).unwrap(), b"new", "{name}");
            let found = to_read(CWD, at(name)).unwrap();
            assert!(found.is_ours && found.bytes == 3, "{name}");
        }
        assert_eq!(fs::read(at("secret")).unwrap(), b"secret");
        // Our own is written over.
        let before = fs::File::open(at("open")).unwrap();
        write(&at("open"), "xyz");
        assert!(!is_removed(&before.into()));
        assert!(to_write(CWD, dir.path(), MODE).is_err());
    }

    #[test]
    fn a_fifo_is_a_fifo_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "").unwrap();
        mkfifoat(CWD, at("fifo"), MODE).unwrap();
        symlink("fifo", at("link")).unwrap();
        let open = |name: &str, access| fifo(CWD, at(name), access).map(drop);
        assert_eq!(open("file", OFlags::WRONLY), Err(Errno::NXIO));
        assert_eq!(open("fifo", OFlags::WRONLY), Err(Errno::NXIO));
        let _reader = fifo(CWD, at("fifo"), OFlags::RDONLY).unwrap();
        assert_eq!(open("fifo", OFlags::WRONLY), Ok(()));
        assert_eq!(open("link", OFlags::WRONLY), Err(Errno::LOOP));
    }
}
