//! Files and fifos in `supervise`, a directory that may belong to somebody with fewer
//! rights than ours: a service's user, or the user who unpacked the tree.
//!
//! The rule for every open there: the last name must not be a link, the open does not
//! wait (`O_NONBLOCK`), and we check what was opened before we read or write a byte. A
//! fifo must be a fifo, and a file a regular file. We believe a file, and write over it
//! in place, only if it is *ours*: its owner is root or our user, nobody else may write
//! to it, and it has no other name, because then we might write to somebody's other file.
//! A file that is not ours is replaced. The directories on the way may be links
//! (`supervise` leads to /run on Void, `log` to a shared directory).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

/// What a fifo can be marked with: nobody sets the sticky bit on one, and an open shows it
/// without another call.
const MARK: Mode = Mode::SVTX;
/// Permission to write for group and others.
const WRITABLE: u32 = 0o022;
/// The flags of every open.
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

/// Opens a fifo. Its owner and mode do not matter: an administrator gives it to a user to
/// let that user command the service (runit's FAQ).
///
/// # Errors
/// `NXIO`: nobody reads it, or it is no fifo. `LOOP`: a link.
pub fn fifo(at: impl AsFd, name: impl Arg, access: OFlags) -> rustix::io::Result<OwnedFd> {
    known_fifo(at, name, access).map(|(fifo, _)| fifo)
}

/// As [`fifo`], and what it is.
///
/// # Errors
/// As [`fifo`].
pub fn known_fifo(
    at: impl AsFd,
    name: impl Arg,
    access: OFlags,
) -> rustix::io::Result<(OwnedFd, Stat)> {
    let fifo = openat(at, name, access | GUARDED, Mode::empty())?;
    let found = fstat(&fifo)?;
    let is_fifo = kind(&found) == FileType::Fifo;
    is_fifo.then_some((fifo, found)).ok_or(Errno::NXIO)
}

/// Whether a fifo may have its mark ([`mark_fifo`]): a supervisor that knows marks gives it
/// two names, where it can.
pub fn may_be_marked(fifo: &Stat) -> bool {
    fifo.st_nlink < 2 || Mode::from_raw_mode(fifo.st_mode).contains(MARK)
}

/// Gives an open fifo its mark, or takes it away.
///
/// # Errors
/// It belongs to somebody else.
pub fn mark_fifo(fifo: &OwnedFd, is_marked: bool) -> rustix::io::Result<()> {
    let mut mode = Mode::from_raw_mode(fstat(fifo)?.st_mode);
    mode.set(MARK, is_marked);
    fchmod(fifo, mode)
}

/// Opens a file; `flags` says whether to make it if there is none.
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

/// Opens our file for writing, and keeps its content; makes it if there is none. `None`:
/// it is not ours, or not a file, and must be replaced.
///
/// # Errors
/// It can be neither opened nor replaced, as a directory.
pub fn to_write(at: impl AsFd, name: impl Arg, mode: Mode) -> rustix::io::Result<Option<Regular>> {
    match file(at, name, OFlags::WRONLY | OFlags::CREATE, mode) {
        Err(e) if !stands_in_the_way(e) => Err(e),
        found => Ok(found.ok().filter(|found| found.is_ours)),
    }
}

/// Replaces whatever has that name by a new file, at once and complete, after `prepare` has
/// had it.
///
/// # Errors
/// It cannot be made or written, or what is there is a directory.
pub fn replace(
    at: impl AsFd,
    name: &CStr,
    mode: Mode,
    content: &[u8],
    prepare: impl FnOnce(&OwnedFd),
) -> io::Result<()> {
    let new = CString::new([name.to_bytes(), b".new"].concat())?;
    let _left_over = unlinkat(&at, &new, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let fresh = file(&at, &new, flags, mode)?;
    prepare(&fresh.file);
    if !content.is_empty() && rustix::io::pwrite(&fresh.file, content, 0)? != content.len() {
        return Err(Errno::NOSPC.into());
    }
    Ok(renameat(&at, &new, &at, name)?)
}

/// Whether the open failed because of the kind of file, so that replacing it helps.
pub fn stands_in_the_way(e: Errno) -> bool {
    matches!(
        e,
        // No file or fifo, a link, a device that is not there.
        Errno::NXIO | Errno::SPIPE | Errno::LOOP | Errno::NODEV
        // It belongs to somebody else, is a running program, or is under a lease.
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

/// Whether two open files belong to the same user, and nobody else may write to them. If
/// a file system gives our new files to another user (NFS with `root_squash`), that
/// user's files count as ours.
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

/// Whether an open file is what stands at a path.
pub fn is_at(at: impl AsFd, name: impl Arg, file: &OwnedFd) -> bool {
    match (statat(at, name, AtFlags::SYMLINK_NOFOLLOW), fstat(file)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Whether a directory that is open belongs to root or to our user, and nobody else may write
/// there.
pub fn is_private_dir(dir: &OwnedFd) -> bool {
    let is_ours = |uid| uid == 0 || uid == geteuid().as_raw();
    fstat(dir).is_ok_and(|found| is_ours(found.st_uid) && found.st_mode & WRITABLE == 0)
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
            replace(CWD, &path, MODE, text.as_bytes(), |_| ()).unwrap();
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
