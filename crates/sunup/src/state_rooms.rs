//! Where the state of a service is kept if its directory cannot hold it: the file system is
//! full, or, in a container, must not be written to. It is RUN/state/DEV-INO, by device and
//! inode of the directory. RUN is the first of a few directories that can be had and has room.
//! It must be this user's, and nobody else may write there.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdir, openat, stat, statat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::supervised;
use crate::sys::guarded;

/// What a supervisor uses such rooms for.
#[derive(Clone, Copy, Debug)]
pub struct Rooms {
    /// In a container: also for directories that must not be written to. Elsewhere these are
    /// not supervised.
    is_container: bool,
    /// An earlier supervisor may have left some.
    are_there: bool,
}

impl Rooms {
    /// For a supervisor that starts now.
    pub fn of(is_container: bool) -> Self {
        Self {
            is_container,
            are_there: runs(own_user()).any(|run| open(&run.join("state"), own_user()).is_ok()),
        }
    }

    /// Whether a room helps against an error.
    pub fn help(self, e: &io::Error) -> bool {
        use ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match e.kind() {
            StorageFull | QuotaExceeded => true,
            PermissionDenied | ReadOnlyFilesystem => self.is_container,
            _ => false,
        }
    }

    /// The room that an earlier supervisor has not released: the directory may have space
    /// again, but what it left is there.
    pub fn kept(self, home: BorrowedFd) -> Option<OwnedFd> {
        let is_held = |room: &OwnedFd| {
            statat(room, c"supervise/lock", AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|lock| lock.st_size > 0)
        };
        let mut rooms = self
            .are_there
            .then(|| find(home, own_user()))
            .into_iter()
            .flatten();
        rooms.find_map(|(_, room)| is_held(&room).then_some(room))
    }
}

fn own_user() -> u32 {
    geteuid().as_raw()
}

/// The directories that RUN may be for a user, in order.
fn runs(user: u32) -> impl Iterator<Item = PathBuf> {
    let of = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let own = format!("sunup-{user}");
    [
        of("SUNUP_RUN"),
        Some("/run/sunup".into()),
        of("XDG_RUNTIME_DIR").map(|dir| dir.join("sunup")),
        Some(Path::new("/tmp").join(&own)),
        Some(Path::new("/dev/shm").join(&own)),
    ]
    .into_iter()
    .flatten()
}

/// The directories that the state of a service may be in; each is made when it is asked for.
/// `for_others`: somebody else may go through them.
pub fn make(home: impl AsFd, for_others: bool) -> impl Iterator<Item = OwnedFd> {
    let name = name(home);
    runs(own_user()).filter_map(move |run| {
        let state = run.join("state");
        let room = state.join(name.as_deref().ok()?);
        let own = |dir: &Path| {
            let dir = own(dir)?;
            if for_others {
                let_through(&dir)?;
            }
            Ok::<_, Errno>(dir)
        };
        own(&run)
            .and_then(|_| own(&state))
            .and_then(|_| own(&room))
            .ok()
    })
}

/// The paths of the directories that the sockets of services may be in ([`notify_dir`]).
pub fn notify_paths() -> impl Iterator<Item = PathBuf> {
    runs(own_user()).map(|run| run.join("notify"))
}

/// Makes such a directory: services of other users find their sockets there.
///
/// # Errors
/// It is not ours, or cannot be made.
pub fn notify_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    let run = own(path.parent().ok_or(Errno::INVAL)?)?;
    let dir = own(path)?;
    let_through(&run)?;
    let_through(&dir)?;
    Ok(dir)
}

/// Lets everybody go through a directory.
fn let_through(dir: &OwnedFd) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(fstat(dir)?.st_mode);
    let others = Mode::XGRP | Mode::XOTH;
    if mode.contains(others) {
        return Ok(());
    }
    fchmod(dir, mode | others)
}

/// `supervise/ok` of a service, which has a supervisor, or which we may not open.
pub struct Opened {
    /// The fifo, open for writing, and what it is; `None`: it may not be opened.
    pub ok: Option<(OwnedFd, Stat)>,
    /// The directory in which it is, with its path, if that is not the service's own.
    pub room: Option<(PathBuf, OwnedFd)>,
}

impl Opened {
    /// It is where it is looked for first, and not for us.
    const REFUSED: Self = Self {
        ok: None,
        room: None,
    };

    /// Whether a supervisor lives; `None`: that cannot be known. `home`: as for [`open_ok`].
    pub fn lives(&self, home: BorrowedFd) -> Option<bool> {
        if self.ok.is_some() {
            return Some(true);
        }
        let room = self.room.as_ref().map(|(_, room)| room.as_fd());
        supervised::lives(room.unwrap_or(home))
    }
}

/// Opens `supervise/ok` of a service.
///
/// # Errors
/// As [`guarded::fifo`], except that a refusal is an answer.
pub fn open_ok(home: BorrowedFd) -> rustix::io::Result<Opened> {
    let open = |dir: BorrowedFd| guarded::known_fifo(dir, c"supervise/ok", OFlags::WRONLY);
    let refused = match open(home) {
        Ok(ok) => {
            return Ok(Opened {
                ok: Some(ok),
                room: None,
            });
        }
        Err(e) => e,
    };
    if refused == Errno::ACCESS && supervised::lives(home) == Some(true) {
        return Ok(Opened::REFUSED);
    }
    let mut rooms = supervisors().flat_map(|user| find(home, user));
    let found = rooms.find_map(|room| {
        let ok = match open(room.1.as_fd()) {
            Ok(ok) => Some(ok),
            // It is there, but not for us.
            Err(Errno::ACCESS) if refused != Errno::ACCESS => None,
            Err(_) => return None,
        };
        let room = Some(room);
        Some(Opened { ok, room })
    });
    match (found, refused) {
        (Some(found), _) => Ok(found),
        (None, Errno::ACCESS) => Ok(Opened::REFUSED),
        (None, refused) => Err(refused),
    }
}

/// Whose supervisors are believed: our own, and root's. Root, who is let into the container of
/// another user, believes the user of process 1: wherever root is not in a container, process 1
/// is root's.
fn supervisors() -> impl Iterator<Item = u32> {
    let user = own_user();
    let other = if user == 0 {
        stat("/proc/1").ok().map(|found| found.st_uid)
    } else {
        Some(0)
    };
    let other = other.filter(|other| *other != user);
    [Some(user), other].into_iter().flatten()
}

/// The directories in which a user keeps the state of a service, with their paths.
fn find(home: impl AsFd, user: u32) -> impl Iterator<Item = (PathBuf, OwnedFd)> {
    let name = name(home);
    let room = move |run: PathBuf| {
        let path = run.join("state").join(name.as_deref().ok()?);
        open(&run, user).ok()?;
        Some((path.clone(), open(&path, user).ok()?))
    };
    runs(user).filter_map(room)
}

fn name(home: impl AsFd) -> rustix::io::Result<String> {
    let found = fstat(home)?;
    Ok(format!("{}-{}", found.st_dev, found.st_ino))
}

/// Makes a directory, unless it is there, and opens it.
fn own(dir: &Path) -> rustix::io::Result<OwnedFd> {
    match mkdir(dir, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(dir, own_user()),
        Err(e) => Err(e),
    }
}

/// Opens a directory of that user's.
fn open(dir: &Path, user: u32) -> rustix::io::Result<OwnedFd> {
    let open = |access| {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, dir, flags, Mode::empty())
    };
    // Others may go through it, but not list it.
    let fd = open(OFlags::RDONLY).or_else(|e| match e {
        Errno::ACCESS => open(OFlags::PATH),
        e => Err(e),
    })?;
    let found = fstat(&fd)?;
    let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    let others = Mode::WGRP | Mode::WOTH;
    let is_private = !Mode::from_raw_mode(found.st_mode).intersects(others);
    if is_dir && is_private && found.st_uid == user {
        Ok(fd)
    } else {
        Err(Errno::PERM)
    }
}
