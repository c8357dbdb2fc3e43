//! tmpfiles.d(5): directories, files and links that services expect in places that are empty
//! after a boot.
//!
//! Directories such as /tmp and /var may hold what somebody without rights put there before
//! the boot. So a path is followed part by part, through no link but root's, and what is at
//! its end is changed through a descriptor that is no link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use model::format::account;
use model::format::tmpfiles::{self, Line, What};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, openat,
    statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::conf;
use super::mounts::is_mounted_at;
use super::teller::{Teller, note};
use crate::sys::file;

const DIRS: [&str; 4] = [
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
];
const ACCOUNTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is removed is not deeper.
const DEPTH_MAX: usize = 64;

/// The names of users and groups.
struct Accounts {
    users: Vec<u8>,
    groups: Vec<u8>,
}

/// Does what all files say, by path: first what removes, then what makes, then the rest. Of
/// lines that make the same path the first counts, as that of /etc whose name comes first.
pub fn make(teller: &mut Teller) {
    let mut all = Vec::new();
    let mut unknown = None;
    conf::each(&DIRS, teller, |path, text, teller| {
        let (lines, mistakes, passed_over) = tmpfiles::decode(text);
        teller.mistakes(path, &mistakes);
        for line in passed_over {
            unknown.get_or_insert_with(|| (path.to_path_buf(), line));
        }
        all.extend(lines.into_iter().map(|line| (path.to_path_buf(), line)));
    });
    if let Some((path, line)) = unknown {
        let what = "left out, as perhaps others; see stage1(8)";
        note(format_args!("{}: line {line}: {what}", path.display()));
    }
    if all.is_empty() {
        return;
    }
    let read = |path| file::read(Path::new(path), ACCOUNTS_BYTES_MAX).unwrap_or_default();
    let accounts = Accounts {
        users: read("/etc/passwd"),
        groups: read("/etc/group"),
    };
    all.sort_by(|(_, a), (_, b)| (rank(a), path_of(a)).cmp(&(rank(b), path_of(b))));
    all.dedup_by(|(_, later), (_, first)| {
        makes(first.what) && makes(later.what) && path_of(first) == path_of(later)
    });
    for (file, line) in &all {
        for path in conf::expand(Path::new("/"), &line.path) {
            if let Err(reason) = apply(line, &path, &accounts) {
                let (file, number, path) = (file.display(), line.line, path.display());
                teller.fail(format_args!("{file}: line {number}: {path}: {reason}"));
            }
        }
    }
}

/// Equal, and in order, however many slashes there are.
fn path_of(line: &Line) -> &Path {
    Path::new(OsStr::from_bytes(&line.path))
}

fn rank(line: &Line) -> u8 {
    match line.what {
        What::Remove | What::RemoveAll => 0,
        what if makes(what) => 1,
        _ => 2,
    }
}

fn apply(line: &Line, path: &Path, accounts: &Accounts) -> Result<(), String> {
    let owner = (owner(line, accounts)?, group(line, accounts)?);
    let place = match Place::of(path, makes(line.what)) {
        Ok(place) => place,
        // Where there is not even the directory, there is nothing to change.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.to_string()),
    };
    place.apply(line, owner).map_err(|e| e.to_string())
}

const fn makes(what: What) -> bool {
    matches!(
        what,
        What::Directory
            | What::EmptyDirectory
            | What::File
            | What::NewFile
            | What::Link
            | What::NewLink
    )
}

fn owner(line: &Line, accounts: &Accounts) -> Result<Option<u32>, String> {
    let Some(name) = &line.user else {
        return Ok(None);
    };
    let found = account::id(name).or_else(|| {
        let user = account::user(&accounts.users, name).ok().flatten();
        user.map(|user| user.uid)
    });
    match found {
        Some(id) => Ok(Some(id)),
        None => Err(format!("no user {}", name.escape_ascii())),
    }
}

fn group(line: &Line, accounts: &Accounts) -> Result<Option<u32>, String> {
    let Some(name) = &line.group else {
        return Ok(None);
    };
    let found = account::id(name).or_else(|| account::group(&accounts.groups, name).ok().flatten());
    match found {
        Some(id) => Ok(Some(id)),
        None => Err(format!("no group {}", name.escape_ascii())),
    }
}

type Owner = (Option<u32>, Option<u32>);

/// A name in a directory that is held open.
struct Place {
    dir: OwnedFd,
    name: Vec<u8>,
}

impl Place {
    /// `makes`: directories on the way are made.
    fn of(path: &Path, makes: bool) -> io::Result<Self> {
        let name = path.file_name().ok_or(Errno::INVAL)?.as_bytes().to_vec();
        let parent = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = openat(CWD, "/", flags, Mode::empty())?;
        for part in parent.components().skip(1) {
            let part = part.as_os_str();
            let look = || statat(&dir, part, AtFlags::SYMLINK_NOFOLLOW);
            let entry = match look() {
                Err(Errno::NOENT) if makes => {
                    mkdirat(&dir, part, Mode::from_raw_mode(0o755))?;
                    look()?
                }
                found => found?,
            };
            let is_link = FileType::from_raw_mode(entry.st_mode) == FileType::Symlink;
            if is_link && entry.st_uid != 0 {
                return Err(io::Error::other("a link on the way that is not root's"));
            }
            let follow = if is_link {
                OFlags::empty()
            } else {
                OFlags::NOFOLLOW
            };
            dir = openat(&dir, part, flags | follow, Mode::empty())?;
        }
        Ok(Self { dir, name })
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    fn apply(&self, line: &Line, owner: Owner) -> io::Result<()> {
        match line.what {
            What::Directory | What::EmptyDirectory => {
                match mkdirat(&self.dir, self.name(), Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
                if line.what == What::EmptyDirectory {
                    empty(&self.open(OFlags::DIRECTORY)?, 0)?;
                }
                self.adjust(OFlags::DIRECTORY, line.mode.or(Some(0o755)), owner)
            }
            What::OldDirectory => self.if_there(OFlags::DIRECTORY, line, owner),
            What::Adjust => self.if_there(OFlags::empty(), line, owner),
            What::File | What::NewFile => self.make_file(line, owner),
            What::Write | What::Append => self.write(line),
            What::Link | What::NewLink => self.link(line),
            What::Remove => match unlinkat(&self.dir, self.name(), AtFlags::empty()) {
                Err(Errno::ISDIR) => match unlinkat(&self.dir, self.name(), AtFlags::REMOVEDIR) {
                    Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
                    done => Ok(done?),
                },
                Err(Errno::NOENT) => Ok(()),
                done => Ok(done?),
            },
            What::RemoveAll => match remove(&self.dir, self.name(), 0) {
                Err(Errno::NOENT) => Ok(()),
                done => Ok(done?),
            },
        }
    }

    /// Opens what is there, which is no link and does not block.
    fn open(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(&self.dir, self.name(), flags, Mode::empty())
    }

    fn if_there(&self, flags: OFlags, line: &Line, owner: Owner) -> io::Result<()> {
        match self.adjust(flags, line.mode, owner) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Gives what is there mode and owner.
    fn adjust(&self, flags: OFlags, mode: Option<u32>, owner: Owner) -> io::Result<()> {
        adjust(&self.open(flags | OFlags::RDONLY)?, mode, owner)
    }

    fn make_file(&self, line: &Line, owner: Owner) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let new = flags | OFlags::CREATE | OFlags::EXCL;
        let (fd, is_new) = match openat(&self.dir, self.name(), new, mode) {
            Err(Errno::EXIST) => (openat(&self.dir, self.name(), flags, mode)?, false),
            opened => (opened?, true),
        };
        if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("not a file"));
        }
        adjust(&fd, line.mode.or(Some(0o644)), owner)?;
        if is_new || line.what == What::NewFile {
            rustix::fs::ftruncate(&fd, 0)?;
            File::from(fd).write_all(&line.argument)?;
        }
        Ok(())
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let append = if line.what == What::Append {
            OFlags::APPEND
        } else {
            OFlags::empty()
        };
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | append;
        match file::open_at(&self.dir, Path::new(self.name()), flags, Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => {
                let fd = opened?;
                has_one_name(&fd)?;
                File::from(fd).write_all(&line.argument)
            }
        }
    }

    fn link(&self, line: &Line) -> io::Result<()> {
        let make = || symlinkat(OsStr::from_bytes(&line.argument), &self.dir, self.name());
        match make() {
            Err(Errno::EXIST) if line.what == What::Link => Ok(()),
            Err(Errno::EXIST) => {
                remove(&self.dir, self.name(), 0)?;
                Ok(make()?)
            }
            done => Ok(done?),
        }
    }
}

/// The owner first: a change of owner takes bits of the mode away.
fn adjust(fd: &OwnedFd, mode: Option<u32>, (user, group): Owner) -> io::Result<()> {
    has_one_name(fd)?;
    if user.is_some() || group.is_some() {
        fchown(fd, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    if let Some(mode) = mode {
        fchmod(fd, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// A file with a second name may be anybody's, for example /etc/shadow: who may write to the
/// directory made the link, where the kernel's `fs.protected_hardlinks` is off.
fn has_one_name(fd: &OwnedFd) -> io::Result<()> {
    let found = fstat(fd)?;
    let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    if found.st_nlink > 1 && !is_directory {
        return Err(io::Error::other("a hard link; left as it is"));
    }
    Ok(())
}

/// Removes a name, and what is in it. What another file system is mounted on is busy, before
/// any of that is removed.
fn remove(dir: impl AsFd, name: &OsStr, depth: usize) -> rustix::io::Result<()> {
    match unlinkat(&dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) if is_mounted_at(&dir, Path::new(name)) => return Err(Errno::BUSY),
        Err(Errno::ISDIR) => {}
        done => return done,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    empty(&openat(&dir, name, flags, Mode::empty())?, depth + 1)?;
    unlinkat(&dir, name, AtFlags::REMOVEDIR)
}

/// Removes everything in a directory but what other file systems are mounted on. What cannot be
/// removed is passed over, and is an error at the end.
fn empty(dir: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(Errno::LOOP);
    }
    let names: Vec<_> = Dir::read_from(dir)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_owned()))
        .filter(|name| ![c".", c".."].contains(&name.as_c_str()))
        .collect();
    let mut done = Ok(());
    for name in names {
        let name = std::ffi::OsString::from_vec(name.into_bytes());
        match remove(dir, &name, depth) {
            Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
            failed => done = failed,
        }
    }
    done
}
