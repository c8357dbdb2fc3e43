//! The files of one log directory: the lock, `current`, and old logs.
//!
//! Everything is relative to the directory's descriptor, so a directory that is
//! renamed keeps its log.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::tai64n::Tai64n;
use model::rotate::{OldLog, Stage};
use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::{clock, file};

/// Mode of `current` while it is written.
const LIVE: Mode = Mode::from_raw_mode(0o644);
/// Mode of a log that was closed cleanly.
const CLOSED: Mode = Mode::from_raw_mode(0o744);
/// A config may have so many bytes.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// An open log directory, locked against a second svlogd.
pub struct Store {
    dir: OwnedFd,
    _lock: OwnedFd,
    current: Option<OwnedFd>,
    /// The log rotated last, until [`Store::sync`].
    unsynced: Option<OwnedFd>,
    size: u64,
    last: Option<Tai64n>,
}

/// Adds to an error what was attempted.
pub fn attempt<T>(what: &str, result: Result<T, impl Into<io::Error>>) -> io::Result<T> {
    result.map_err(|e| {
        let e = e.into();
        io::Error::new(e.kind(), format!("{what}: {e}"))
    })
}

/// Opens a file of a log directory, as [`file::open_at`] does.
pub fn open_file(dir: BorrowedFd, name: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    file::open_at(dir, Path::new(OsStr::from_bytes(name)), flags, mode)
}

impl Store {
    /// Opens and locks the directory; `current` is opened by [`Store::start`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = attempt("open the directory", fs::open(path, flags, Mode::empty()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let lock = open_file(dir.as_fd(), b"lock", flags, Mode::from_raw_mode(0o600));
        let lock = attempt("open lock", lock)?;
        let locked = fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        attempt("lock (is another svlogd running here?)", locked)?;
        Ok(Self {
            dir,
            _lock: lock,
            current: None,
            unsynced: None,
            size: 0,
            last: None,
        })
    }

    /// The directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Bytes in `current`.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The text of `config`; empty without one.
    pub fn config(&self) -> io::Result<Vec<u8>> {
        match open_file(self.dir(), b"config", OFlags::RDONLY, Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            opened => file::all_of(File::from(opened?), CONFIG_BYTES_MAX),
        }
    }

    /// Sets aside a `current` that a crash left, and opens `current`. Outputs of
    /// processors that a crash left are removed: their input is still there.
    /// `running` is being processed.
    pub fn start(&mut self, running: Option<OldLog>) -> io::Result<Option<OldLog>> {
        let spare = running.map(|log| log.with(Stage::Partial));
        for log in self.old_logs()? {
            if log.is(Stage::Partial) && Some(log) != spare {
                self.remove(log)?;
            }
        }
        let crashed = match fs::statat(&self.dir, "current", AtFlags::empty()) {
            Ok(stat) => {
                is_file(FileType::from_raw_mode(stat.st_mode))
                    && stat.st_size > 0
                    && !Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR)
            }
            Err(_) => false,
        };
        let leftover = if crashed {
            let name = self.free_name(Stage::Unprocessed);
            let moved = fs::renameat(&self.dir, "current", &self.dir, name.as_bytes());
            attempt("set aside current", moved)?;
            Some(name)
        } else {
            None
        };
        attempt("open current", self.open_current())?;
        Ok(leftover)
    }

    fn open_current(&mut self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let file = open_file(self.dir(), b"current", flags, LIVE)?;
        set_mode(&file, LIVE);
        self.size = u64::try_from(fs::fstat(&file)?.st_size).unwrap_or(0);
        self.current = Some(file);
        Ok(())
    }

    /// Appends to `current`; says how many bytes were written, at least one.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.is_none() {
            attempt("open current", self.open_current())?;
        }
        let Some(file) = &self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = loop {
            match rustix::io::write(file, bytes) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.size = self.size.saturating_add(written as u64);
        Ok(written)
    }

    /// Makes `current` an old log and begins a new one; `None` if somebody has
    /// removed `current`, so that there is none to keep.
    pub fn rotate(&mut self, stage: Stage) -> io::Result<Option<OldLog>> {
        let name = self.free_name(stage);
        self.mark(CLOSED);
        let moved = fs::renameat(&self.dir, "current", &self.dir, name.as_bytes());
        if moved.is_err_and(|e| e != Errno::NOENT) {
            self.mark(LIVE);
            attempt("rotate current", moved)?;
        }
        self.unsynced = self.current.take();
        self.size = 0;
        // If this fails, the next write tries again and reports it.
        drop(self.open_current());
        Ok(moved.is_ok().then_some(name))
    }

    /// Makes sure that `current` is safe on the disk, and marks it as complete.
    pub fn seal(&mut self) {
        self.sync();
        self.mark(CLOSED);
        self.unsynced = self.current.take();
        self.sync();
    }

    fn mark(&self, mode: Mode) {
        if let Some(file) = &self.current {
            set_mode(file, mode);
        }
    }

    /// Whether [`Store::sync`] has something to do.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced.is_some()
    }

    /// Waits until the log that was rotated last is safe on the disk. This takes
    /// long, so it is left for a moment when there is nothing to read.
    pub fn sync(&mut self) {
        if let Some(file) = self.unsynced.take() {
            // Not every file system can do it; there is no remedy.
            let _ = fs::fsync(&file);
        }
    }

    /// A name that is not taken and sorts behind those given before, even if the
    /// clock was set back.
    fn free_name(&mut self, stage: Stage) -> OldLog {
        let mut label = clock::wall();
        if let Some(last) = self.last.filter(|last| *last >= label) {
            label = successor(last);
        }
        while [Stage::Unprocessed, Stage::Safe]
            .into_iter()
            .any(|s| self.exists(OldLog::new(label, s)))
        {
            label = successor(label);
        }
        self.last = Some(label);
        OldLog::new(label, stage)
    }

    fn exists(&self, log: OldLog) -> bool {
        fs::statat(&self.dir, log.as_bytes(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The old logs, in no order. What has the name of one, but is a directory
    /// or a pipe, is somebody else's: it could neither be removed nor processed.
    pub fn old_logs(&self) -> io::Result<Vec<OldLog>> {
        let mut logs = Vec::new();
        for entry in attempt("read the directory", Dir::read_from(&self.dir))? {
            let entry = attempt("read the directory", entry)?;
            let log = OldLog::parse(entry.file_name().to_bytes());
            logs.extend(log.filter(|log| self.holds(*log, entry.file_type())));
        }
        Ok(logs)
    }

    fn holds(&self, log: OldLog, kind: FileType) -> bool {
        let look = || fs::statat(&self.dir, log.as_bytes(), AtFlags::SYMLINK_NOFOLLOW);
        match kind {
            // Some file systems do not tell in the directory.
            FileType::Unknown => {
                look().is_ok_and(|stat| is_file(FileType::from_raw_mode(stat.st_mode)))
            }
            kind => is_file(kind),
        }
    }

    /// Removes an old log.
    pub fn remove(&self, log: OldLog) -> io::Result<()> {
        let gone = fs::unlinkat(&self.dir, log.as_bytes(), AtFlags::empty());
        attempt(&format!("remove {}", log.as_str()), gone)
    }
}

/// Somebody else's file can be logged to, but not marked, and where `current` is
/// a link to /dev/null, that must stay as it is.
fn set_mode(file: &OwnedFd, mode: Mode) {
    if fs::fstat(file).is_ok_and(|stat| is_file(FileType::from_raw_mode(stat.st_mode))) {
        let _ = fs::fchmod(file, mode);
    }
}

fn is_file(kind: FileType) -> bool {
    kind == FileType::RegularFile
}

/// The label a nanosecond later.
fn successor(label: Tai64n) -> Tai64n {
    match label.nanos() {
        999_999_999.. => Tai64n::from_unix(label.unix_seconds().saturating_add(1), 0),
        nanos => Tai64n::from_unix(label.unix_seconds(), nanos + 1),
    }
}
