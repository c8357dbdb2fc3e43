//! The directory `supervise`: lock, fifos and state files of one service or
//! logger, byte for byte as runit's runsv keeps them (runsv(8)).
//!
//! Opening it takes two steps, so that a thousand services start before the
//! first state file is written: [`Supervise::open`] takes the lock, without
//! which nothing may be started, and [`Supervise::furnish`] makes the fifos.
//! `supervise` may be a dangling symbolic link (read-only service trees); its
//! target is made then.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::format::adopt;
use model::format::status::Status;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, mkfifoat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Where a child writes its record, relative to the service directory.
pub const RECORD: &std::ffi::CStr = c"supervise/adopt";

/// The open directory.
pub struct Supervise {
    path: PathBuf,
    _lock: OwnedFd,
    fifos: Option<Fifos>,
}

struct Fifos {
    control: OwnedFd,
    _ok: OwnedFd,
}

/// Why a directory could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another supervisor holds the lock.
    Locked,
    /// What was tried, and the reason.
    Failed(&'static str, io::Error),
}

impl Supervise {
    /// Makes and locks `DIR/supervise`. The lock is released by the kernel when
    /// the last descriptor of it is closed: when this supervisor is dead and
    /// each child it was just starting has exec'd, so its record is complete.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("supervise");
        make_dir(&path).map_err(|e| OpenError::Failed("make supervise", e))?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(path.join("lock"), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| OpenError::Failed("open supervise/lock", e.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path,
                _lock: lock,
                fifos: None,
            }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Locked),
            Err(e) => Err(OpenError::Failed("lock supervise/lock", e.into())),
        }
    }

    /// Makes and opens the fifos `control` and `ok`; true when `control` is new
    /// and is to be watched.
    pub fn furnish(&mut self) -> Result<bool, (&'static str, io::Error)> {
        if self.fifos.is_some() {
            return Ok(false);
        }
        let dir = self.dir().map_err(|e| ("open supervise", e))?;
        // Open for both directions: the fifo never reports end of file, with one descriptor.
        let control =
            fifo(&dir, c"control", OFlags::RDWR).map_err(|e| ("open supervise/control", e))?;
        let ok = fifo(&dir, c"ok", OFlags::RDONLY).map_err(|e| ("open supervise/ok", e))?;
        self.fifos = Some(Fifos { control, _ok: ok });
        Ok(true)
    }

    /// The control fifo, once furnished.
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.fifos.as_ref().map(|f| f.control.as_fd())
    }

    /// Reads waiting control bytes; never blocks.
    pub fn read_control<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        let Some(control) = self.control() else {
            return &[];
        };
        let n = rustix::io::read(control, &mut *buffer).unwrap_or(0);
        buffer.get(..n).unwrap_or_default()
    }

    /// Writes `status`, `stat` and `pid`, each by rename, so that readers see
    /// whole files only.
    pub fn show(&self, status: &Status, stat: &str) -> io::Result<()> {
        let dir = self.dir()?;
        let pid = if status.pid == 0 {
            String::new()
        } else {
            format!("{}\n", status.pid)
        };
        replace(&dir, c"pid.new", c"pid", pid.as_bytes())?;
        replace(&dir, c"stat.new", c"stat", stat.as_bytes())?;
        // Last, because it is what sv watches for.
        replace(&dir, c"status.new", c"status", &status.encode())
    }

    /// The record that an earlier supervisor's child left, if it can be read.
    pub fn record(&self) -> Option<adopt::Record> {
        let mut buffer = [0; adopt::BYTES_MAX];
        adopt::decode(self.read("adopt", &mut buffer)?)
    }

    /// The status that an earlier supervisor left.
    pub fn status(&self) -> Option<Status> {
        let mut buffer = [0; 21];
        Status::decode(self.read("status", &mut buffer)?.try_into().ok()?)
    }

    /// The service directory goes by another path now.
    pub fn move_to(&mut self, dir: &Path) {
        self.path = dir.join("supervise");
    }

    /// Ends the supervision: nothing is left to adopt.
    pub fn release(&self) {
        if let Ok(dir) = self.dir() {
            // Absent when nothing was ever started.
            let _absent = unlinkat(&dir, c"adopt", rustix::fs::AtFlags::empty());
        }
    }

    fn read<'b>(&self, name: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(self.path.join(name), flags, Mode::empty()).ok()?;
        let n = rustix::io::read(&file, &mut *buffer).ok()?;
        buffer.get(..n)
    }

    fn dir(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }
}

/// Makes a directory of mode 0700, through a dangling link if need be.
fn make_dir(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Errno::NOTDIR.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let target = path.parent().unwrap_or(path).join(fs::read_link(path)?);
            Ok(rustix::fs::mkdir(&target, Mode::RWXU)?)
        }
        Err(e) => Err(e),
    }
}

fn fifo(dir: &OwnedFd, name: &std::ffi::CStr, access: OFlags) -> io::Result<OwnedFd> {
    match mkfifoat(dir, name, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = openat(dir, name, flags, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if kind == rustix::fs::FileType::Fifo {
        Ok(fd)
    } else {
        Err(io::Error::other("is not a fifo; remove it"))
    }
}

fn replace(
    dir: &OwnedFd,
    new: &std::ffi::CStr,
    name: &std::ffi::CStr,
    content: &[u8],
) -> io::Result<()> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file = openat(dir, new, flags, mode)?;
    let written = rustix::io::write(&file, content)?;
    if written != content.len() {
        return Err(Errno::NOSPC.into());
    }
    Ok(renameat(dir, new, dir, name)?)
}
