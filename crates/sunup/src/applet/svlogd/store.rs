//! The files of one log directory: the lock, `current`, and old logs.
//!
//! All paths are relative to the descriptor of the directory. So a directory that somebody
//! renames keeps its log.

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

use super::current::{Current, LIVE};
use crate::sys::{clock, file};

/// The mode of a log that is whole and safe on the disk.
const CLOSED: Mode = Mode::from_raw_mode(0o744);
/// The largest config that is read.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// An open log directory, locked against a second svlogd.
pub struct Store {
    dir: OwnedFd,
    lock: Option<OwnedFd>,
    current: Option<Current>,
    size: u64,
    rotates: bool,
}

/// Adds to an error what svlogd tried to do.
pub fn attempt<T>(what: &str, result: Result<T, impl Into<io::Error>>) -> io::Result<T> {
    result.map_err(|e| {
        let e = e.into();
        io::Error::new(e.kind(), format!("{what}: {e}"))
    })
}

/// Opens a file of a log directory, as [`file::open_at`] does. Does not follow a link:
/// otherwise anybody who may make one could make root write to any file.
pub fn open_file(dir: BorrowedFd, name: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let path = Path::new(OsStr::from_bytes(name));
    file::open_at(dir, path, flags | OFlags::NOFOLLOW, mode).map_err(
        |e| match Errno::from_io_error(&e) {
            Some(Errno::LOOP) => io::Error::other("a link; not followed"),
            _ => e,
        },
    )
}

/// The error of a directory that cannot be opened. If it is missing, says what to do.
fn none_made(path: &Path, e: Errno) -> io::Error {
    // If a link that leads nowhere has the name, mkdir would fail.
    let is_missing = e == Errno::NOENT && fs::lstat(path).is_err();
    if !is_missing || path.as_os_str().is_empty() {
        return e.into();
    }
    let name = path.as_os_str().as_bytes().escape_ascii();
    let reason = format!("{e}; svlogd makes none: mkdir -p {name}");
    io::Error::new(io::Error::from(e).kind(), reason)
}

/// Waits until a log is safe on the disk, and marks it as whole.
///
/// # Errors
/// The log is not safe, or somebody removed it.
pub fn make_safe(dir: BorrowedFd, log: OldLog) -> io::Result<()> {
    let file = open_file(dir, log.as_bytes(), OFlags::RDONLY, Mode::empty())?;
    seal(&file)
}

fn seal(file: impl AsFd) -> io::Result<()> {
    match fs::fsync(&file) {
        // Some file systems cannot sync; nothing helps there.
        Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::ROFS | Errno::OPNOTSUPP) => {}
        Err(e) => return Err(e.into()),
    }
    // If the file belongs to somebody else, we may write to it, but not change its mode.
    let _ = fs::fchmod(&file, CLOSED);
    Ok(())
}

impl Store {
    /// Opens and locks the directory. [`Store::start`] opens `current`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = fs::open(path, flags, Mode::empty()).map_err(|e| none_made(path, e));
        let dir = attempt("open the directory", dir)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let lock = open_file(dir.as_fd(), b"lock", flags, Mode::from_raw_mode(0o600));
        let lock = attempt("open lock", lock)?;
        let locked = fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        attempt("lock (is another svlogd running here?)", locked)?;
        Ok(Self {
            dir,
            lock: Some(lock),
            current: None,
            size: 0,
            rotates: true,
        })
    }

    /// Closes the lock. For a child, because it may outlive this svlogd.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// The directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The size of `current` in bytes; 0 if it is no file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether `current` is a file, and not a pipe or a terminal.
    pub fn rotates(&self) -> bool {
        self.rotates
    }

    /// The descriptor that must have room before more can be written.
    pub fn outlet(&self) -> Option<BorrowedFd<'_>> {
        self.current.as_ref().map(AsFd::as_fd)
    }

    /// The text of `config`, which may be a link. Empty if there is no config.
    pub fn config(&self) -> io::Result<Vec<u8>> {
        match file::open_at(
            &self.dir,
            Path::new("config"),
            OFlags::RDONLY,
            Mode::empty(),
        ) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            opened => file::all_of(File::from(opened?), CONFIG_BYTES_MAX),
        }
    }

    /// If a crash left `current`, renames it to `.u`. Then opens `current`. Removes what
    /// processors had written before a crash: their input is still there. `running`: the
    /// log that is being processed.
    pub fn start(&mut self, running: Option<OldLog>) -> io::Result<Option<OldLog>> {
        let spare = running.map(|log| log.with(Stage::Partial));
        for log in self.old_logs()? {
            if log.is(Stage::Partial) && Some(log) != spare {
                self.remove(log)?;
            }
        }
        let found = fs::statat(&self.dir, "current", AtFlags::SYMLINK_NOFOLLOW);
        let crashed = found.is_ok_and(|stat| {
            is_file(FileType::from_raw_mode(stat.st_mode))
                && stat.st_size > 0
                && !Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR)
        });
        let leftover = if crashed {
            let name = self.free_name();
            let moved = fs::renameat(&self.dir, "current", &self.dir, name.as_bytes());
            attempt("set aside current", moved)?;
            Some(name)
        } else {
            None
        };
        match self.open_current() {
            // Nobody reads the pipe yet; perhaps somebody will.
            Err(e) if is_unread(&e) => self.rotates = false,
            opened => attempt("open current", opened)?,
        }
        Ok(leftover)
    }

    fn open_current(&mut self) -> io::Result<()> {
        let current = Current::open(self.dir())?;
        if let Current::File(file) = &current {
            let _ = fs::fchmod(file, LIVE);
            self.size = u64::try_from(fs::fstat(file)?.st_size).unwrap_or(0);
        }
        self.rotates = matches!(current, Current::File(_));
        self.current = Some(current);
        Ok(())
    }

    /// Appends to `current`. Returns how many bytes were written, at least one.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.is_none() {
            let opened = self.open_current().map_err(|e| match e {
                e if is_unread(&e) => io::Error::other("nobody reads the pipe"),
                e => e,
            });
            attempt("open current", opened)?;
        }
        let written = match &self.current {
            Some(Current::File(file)) => loop {
                match rustix::io::write(file, bytes) {
                    Err(Errno::INTR) => {}
                    result => break result?,
                }
            },
            Some(Current::Stream(outlet)) => return Ok(outlet.write(bytes)?),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.size = self.size.saturating_add(written as u64);
        Ok(written)
    }

    /// Renames `current` to an old log, which must then be made safe, and begins a new
    /// `current`. `None`: somebody removed `current`, so there is no old log.
    pub fn rotate(&mut self) -> io::Result<Option<OldLog>> {
        let name = self.free_name();
        let moved = fs::renameat(&self.dir, "current", &self.dir, name.as_bytes());
        if moved.is_err_and(|e| e != Errno::NOENT) {
            attempt("rotate current", moved)?;
        }
        self.current = None;
        self.size = 0;
        // If this fails, the next write tries again and reports it.
        drop(self.open_current());
        Ok(moved.is_ok().then_some(name))
    }

    /// Gives its last name to a log that is safe and needs no processor.
    pub fn finish(&self, log: OldLog) -> io::Result<()> {
        let safe = log.with(Stage::Safe);
        match fs::renameat(&self.dir, log.as_bytes(), &self.dir, safe.as_bytes()) {
            // Somebody removed it meanwhile.
            Err(Errno::NOENT) => Ok(()),
            moved => attempt(&format!("rename {}", log.as_str()), moved),
        }
    }

    /// Makes `current` safe on the disk, and marks it as whole.
    pub fn seal(&mut self) -> io::Result<()> {
        match self.current.take() {
            Some(Current::File(file)) => attempt("sync current", seal(&file)),
            _ => Ok(()),
        }
    }

    /// A name that no file has.
    fn free_name(&self) -> OldLog {
        let mut label = clock::wall();
        while [Stage::Unprocessed, Stage::Safe]
            .into_iter()
            .any(|s| self.exists(OldLog::new(label, s)))
        {
            label = successor(label);
        }
        OldLog::new(label, Stage::Unprocessed)
    }

    fn exists(&self, log: OldLog) -> bool {
        fs::statat(&self.dir, log.as_bytes(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The old logs, in no order. A directory or a pipe with such a name is left out: it is
    /// somebody else's, and svlogd could neither remove nor process it.
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
            // Some file systems do not tell the type in the directory.
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

fn is_unread(e: &io::Error) -> bool {
    Errno::from_io_error(e) == Some(Errno::NXIO)
}

fn is_file(kind: FileType) -> bool {
    kind == FileType::RegularFile
}

/// The label of the next nanosecond.
fn successor(label: Tai64n) -> Tai64n {
    match label.nanos() {
        999_999_999.. => Tai64n::from_unix(label.unix_seconds().saturating_add(1), 0),
        nanos => Tai64n::from_unix(label.unix_seconds(), nanos + 1),
    }
}
