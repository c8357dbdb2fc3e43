//! tmpfiles.d(5): directories, files and links that services expect in places that are empty
//! after a boot.
//!
//! Directories such as /tmp and /var may hold what somebody without rights put there before
//! the boot. So a path is followed part by part, through no link but root's, and what is at
//! its end is changed through a descriptor that is no link.

use model::sorted::sort_by;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::account;
use model::format::tmpfiles::{self, Line, What};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, fstat, mkdirat,
    openat, renameat, statat, symlinkat, unlinkat,
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
/// What is removed in one go is not deeper; each level takes a descriptor.
const DEPTH_MAX: usize = 64;
/// So many names of a directory are kept in memory.
const NAMES_MAX: usize = 4096;

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
    conf::each(&DIRS, teller, &mut |path, text, teller| {
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
    sort_by(&mut all, |(_, a), (_, b)| {
        (rank(a), path_of(a)).cmp(&(rank(b), path_of(b)))
    });
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
                    empty(&self.open(OFlags::DIRECTORY)?)?;
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
            What::RemoveAll => match remove(&self.dir, self.name()) {
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

    /// Gives what is there mode and owner. Nothing is opened to be read: that may wait, or
    /// make a device do something.
    fn adjust(&self, flags: OFlags, mode: Option<u32>, owner: Owner) -> io::Result<()> {
        adjust(&self.open(flags | OFlags::PATH)?, mode, owner)
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
                remove(&self.dir, self.name())?;
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
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        chownat(fd, "", user, group, AtFlags::EMPTY_PATH)?;
    }
    let Some(mode) = mode.map(Mode::from_raw_mode) else {
        return Ok(());
    };
    match fchmod(fd, mode) {
        // A descriptor of a path; fchmodat2 came with Linux 6.6.
        Err(Errno::BADF) => {
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            Ok(chmodat(CWD, path, mode, AtFlags::empty())?)
        }
        done => Ok(done?),
    }
}

/// A file with a second name may be anybody's, for example /etc/shadow: who may write to the
/// directory made the link, where the kernel's `fs.protected_hardlinks` is off.
fn has_one_name(fd: &OwnedFd) -> io::Result<()> {
    let found = fstat(fd)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Ok(()),
        FileType::Symlink => Err(Errno::LOOP.into()),
        _ if found.st_nlink > 1 => Err(io::Error::other("a hard link; left as it is")),
        _ => Ok(()),
    }
}

/// Removes a name, and what is in it.
fn remove(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    let Some(inner) = unlink(dir, name)? else {
        return Ok(());
    };
    empty(&inner)?;
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// Removes a name, unless it is that of a directory, which is opened. What another file system
/// is mounted on is busy, before any of that is removed.
fn unlink(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<Option<OwnedFd>> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) if is_mounted_at(dir, Path::new(name)) => return Err(Errno::BUSY),
        Err(Errno::ISDIR) => {}
        done => return done.map(|()| None),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map(Some)
}

/// Removes everything in a directory but what other file systems are mounted on. What cannot be
/// removed is passed over, and is an error at the end.
fn empty(top: &OwnedFd) -> rustix::io::Result<()> {
    let mut sweep = Sweep {
        top,
        lifted: 0,
        done: Ok(()),
    };
    loop {
        let before = sweep.lifted;
        sweep.empty(top, 0)?;
        if sweep.lifted == before {
            return sweep.done;
        }
    }
}

/// Empties a directory, however deep the tree in it is, with a few descriptors: what is deep is
/// moved up first.
struct Sweep<'d> {
    top: &'d OwnedFd,
    /// How many directories were moved up.
    lifted: usize,
    done: rustix::io::Result<()>,
}

impl Sweep<'_> {
    fn empty(&mut self, dir: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
        loop {
            let names: Vec<_> = Dir::read_from(dir)?
                .filter_map(|entry| Some(entry.ok()?.file_name().to_owned()))
                .filter(|name| ![c".", c".."].contains(&name.as_c_str()))
                .take(NAMES_MAX)
                .collect();
            let mut any = false;
            for name in &names {
                match self.remove(dir, OsStr::from_bytes(name.to_bytes()), depth) {
                    Ok(()) => any = true,
                    Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
                    failed => self.done = failed,
                }
            }
            if !any || names.len() < NAMES_MAX {
                return Ok(());
            }
        }
    }

    fn remove(&mut self, dir: &OwnedFd, name: &OsStr, depth: usize) -> rustix::io::Result<()> {
        let Some(inner) = unlink(dir, name)? else {
            return Ok(());
        };
        if depth == DEPTH_MAX {
            return self.lift(dir, name);
        }
        self.empty(&inner, depth + 1)?;
        unlinkat(dir, name, AtFlags::REMOVEDIR)
    }

    fn lift(&mut self, dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
        loop {
            self.lifted += 1;
            match renameat(dir, name, self.top, format!(".deep-{}", self.lifted)) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                done => return done,
            }
        }
    }
}
