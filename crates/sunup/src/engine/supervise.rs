//! The directory `supervise`: lock, fifos and state files of one service or
//! logger, byte for byte as runit's runsv keeps them (runsv(8)). The lock, which
//! is empty there, holds the record of the process ([`adopt`]): each child writes
//! it by the descriptor that its supervisor has anyway, which costs a start a
//! fifth of what a file of its own would.
//!
//! Opening it takes two steps: [`Supervise::open`] takes the lock, without which
//! nothing may be done here, and [`Supervise::furnish`] makes the fifos, after
//! the first status is written: who finds a fifo open finds a status, too.
//! `supervise` may be a dangling symbolic link (read-only service trees); its
//! target is made then.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::facts::Stat;
use model::format::adopt;
use model::format::crash_loop::CrashLoop;
use model::format::status::Status;
use model::service::Pid;
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, ftruncate, linkat, mkdirat,
    mkfifoat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::sys::aside::aside;

/// The open directory.
pub struct Supervise {
    /// Open for reading and writing; holds the record.
    lock: OwnedFd,
    fifos: Option<Fifos>,
    /// It was not there: no earlier supervisor left anything.
    pub is_new: bool,
}

struct Fifos {
    control: OwnedFd,
    /// Only where `ok` could not be a link to `control`.
    ok: Option<OwnedFd>,
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
    /// Makes and locks `supervise` in a service directory. The lock is released
    /// by the kernel when the last descriptor of it is closed: when this
    /// supervisor is dead and the child it was just starting has descriptors of
    /// its own, so its record is complete.
    pub fn open(home: BorrowedFd) -> Result<Self, OpenError> {
        let is_new = make_dir(home).map_err(|e| OpenError::Failed("make supervise", e))?;
        let lock = take_lock(home)?;
        Ok(Self {
            lock,
            fifos: None,
            is_new,
        })
    }

    /// What a predecessor in this process left open.
    pub fn again(lock: OwnedFd, control: Option<OwnedFd>, ok: Option<OwnedFd>) -> Self {
        let fifos = control.map(|control| Fifos { control, ok });
        Self {
            lock,
            fifos,
            is_new: false,
        }
    }

    /// What is held open, by name.
    pub fn descriptors(&self) -> [(&'static str, Option<BorrowedFd<'_>>); 3] {
        let ok = self.fifos.as_ref().and_then(|f| f.ok.as_ref());
        [
            ("lock", Some(self.lock.as_fd())),
            ("control", self.control()),
            ("ok", ok.map(AsFd::as_fd)),
        ]
    }

    /// Makes and opens the fifos `control` and `ok`, again if somebody removed or
    /// replaced them; true when `control` is new and is to be watched. `ok` is
    /// another name of `control`: it only has to have a reader, and so one
    /// descriptor does for both.
    ///
    /// `anew`: so was the directory. Else their links are counted, which tells of
    /// a removal as well as looking for each by name, and costs a sixth.
    pub fn furnish(
        &mut self,
        home: BorrowedFd,
        anew: bool,
    ) -> Result<bool, (&'static str, io::Error)> {
        // Without fifos it was opened just now.
        if anew || self.fifos.is_some() && links(&self.lock) == 0 {
            self.lock_again(home);
        }
        if !anew && self.fifos.as_ref().is_some_and(Fifos::are_in_place) {
            return Ok(false);
        }
        // Open for both directions: the fifo never reports end of file.
        let control = fifo(home, c"supervise/control", OFlags::RDWR)
            .map_err(|e| ("open supervise/control", e))?;
        let ok = match link_ok(home, &control) {
            Ok(()) => None,
            Err(_) => Some(
                fifo(home, c"supervise/ok", OFlags::RDONLY)
                    .and_then(|ok| Ok(aside(ok)?))
                    .map_err(|e| ("open supervise/ok", e))?,
            ),
        };
        let control = aside(control).map_err(|e| ("open supervise/control", e.into()))?;
        self.fifos = Some(Fifos { control, ok });
        Ok(true)
    }

    /// Takes the lock anew when somebody removed its file, for a second supervisor
    /// would make and lock another. One that did so already cannot be helped.
    fn lock_again(&mut self, home: BorrowedFd) {
        if let Ok(lock) = take_lock(home) {
            let mut record = [0; adopt::BYTES];
            // Absent when nothing was ever started; without it nothing is adopted.
            if rustix::io::pread(&self.lock, &mut record, 0) == Ok(record.len()) {
                let _kept = rustix::io::pwrite(&lock, &record, 0);
            }
            self.lock = lock;
        }
    }

    /// Where a child writes its record.
    pub fn record_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The record that an earlier supervisor's child left. Fails as [`unless_short`] does.
    pub fn record(&self) -> io::Result<Option<adopt::Record>> {
        let mut buffer = [0; adopt::BYTES_MAX];
        let bytes = unless_short(rustix::io::pread(&self.lock, &mut buffer, 0))?;
        Ok(bytes.and_then(|n| buffer.get(..n)).and_then(adopt::decode))
    }

    /// Notes in the child's record whether a stop is under way. What cannot be noted
    /// costs no more than that the next supervisor does not go on with it.
    pub fn mark(&self, stopping: bool) {
        if length_if_regular(&self.lock) == Some(adopt::BYTES as i64) {
            let at = adopt::MARK_AT as u64;
            let _noted = rustix::io::pwrite(&self.lock, &adopt::mark(stopping), at);
        }
    }

    /// Ends the supervision: nothing is left to adopt.
    pub fn release(&self, home: BorrowedFd) {
        // What stays is of a process that ended, which a successor would notice.
        let _emptied = ftruncate(&self.lock, 0);
        show_crash_loop(home, None);
    }

    /// Closes the fifos, to be furnished again.
    pub fn strip(&mut self) {
        self.fifos = None;
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
}

impl Fifos {
    fn are_in_place(&self) -> bool {
        match &self.ok {
            // One of them, by both names.
            None => links(&self.control) >= 2,
            Some(ok) => links(&self.control) >= 1 && links(ok) >= 1,
        }
    }
}

fn take_lock(home: BorrowedFd) -> Result<OwnedFd, OpenError> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = match openat(home, c"supervise/lock", flags, Mode::RUSR | Mode::WUSR) {
        Ok(lock) if length_if_regular(&lock).is_some() => Ok(lock),
        Ok(_) | Err(Errno::LOOP | Errno::NXIO) => Err(io::Error::other("not a file; remove it")),
        Err(e) => Err(e.into()),
    };
    let lock = lock.map_err(|e| OpenError::Failed("open supervise/lock", e))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => aside(lock).map_err(|e| OpenError::Failed("open supervise/lock", e.into())),
        Err(Errno::WOULDBLOCK) => Err(OpenError::Locked),
        Err(e) => Err(OpenError::Failed("lock supervise/lock", e.into())),
    }
}

/// Writes `status`, and, with a `stat`, also `pid` and `stat` as far as they
/// differ from what is `shown`; each also if another cannot be written. If
/// somebody removed the directory, it is made anew with all of them; true then.
pub fn show(
    home: BorrowedFd,
    status: &Status,
    stat: Option<Stat>,
    shown: Option<(Pid, Stat)>,
) -> io::Result<bool> {
    match show_in(home, status, stat, shown) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_dir(home)?;
            show_in(home, status, stat, None).map(|()| true)
        }
        shown => shown.map(|()| false),
    }
}

fn show_in(
    home: BorrowedFd,
    status: &Status,
    stat: Option<Stat>,
    shown: Option<(Pid, Stat)>,
) -> io::Result<()> {
    let (shown_pid, shown_stat) = shown.unzip();
    let (mut pid_put, mut stat_put) = (Ok(()), Ok(()));
    if stat.is_some() && shown_pid != Some(status.pid) {
        let pid = match status.pid {
            0 => String::new(),
            pid => format!("{pid}\n"),
        };
        pid_put = put(home, c"supervise/pid", pid.as_bytes());
    }
    if let Some(stat) = stat.filter(|_| shown_stat != stat) {
        stat_put = put(home, c"supervise/stat", stat.text().as_bytes());
    }
    // Last, because it is what sv watches for.
    let status_put = put(home, c"supervise/status", &status.encode());
    let named = |name, e: io::Error| io::Error::new(e.kind(), format!("supervise/{name}: {e}"));
    pid_put.map_err(|e| named("pid", e))?;
    stat_put.map_err(|e| named("stat", e))?;
    status_put
}

/// Writes what there is to tell of a crash loop, or removes it.
pub fn show_crash_loop(home: BorrowedFd, crash_loop: Option<&CrashLoop>) {
    const NAME: &CStr = c"supervise/crash-loop";
    match crash_loop {
        // Without it sv leaves out a remark; the state files tell of what is in the way.
        Some(shown) => drop(put(home, NAME, shown.encode().as_bytes())),
        // Absent but after a crash loop.
        None => drop(unlinkat(home, NAME, AtFlags::empty())),
    }
}

/// The status that an earlier supervisor left. Fails as [`unless_short`] does.
pub fn status(home: BorrowedFd) -> io::Result<Option<Status>> {
    let mut buffer = [0; 21];
    let bytes = unless_short(read(home, c"supervise/status", &mut buffer))?;
    Ok(bytes.and_then(|b| Status::decode(b.try_into().ok()?)))
}

/// What could be looked at; nothing if it is not there or cannot be had. An
/// error only if descriptors or memory ran short: then nobody knows, and a
/// running process must not be taken for a dead one.
pub fn unless_short<T>(looked: Result<T, Errno>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(e.into()),
        Err(_) => Ok(None),
    }
}

/// Nothing was left to take over: what another boot or an earlier supervision
/// wanted must not be taken for this one's by a successor that comes before the
/// first status is written.
pub fn begin_anew(home: BorrowedFd) {
    // Absent where nothing was ever supervised.
    let _absent = unlinkat(home, c"supervise/status", AtFlags::empty());
}

fn read<'b>(home: BorrowedFd, name: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(home, name, flags, Mode::empty())?;
    let n = rustix::io::read(&file, &mut *buffer)?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// Makes `supervise`, of mode 0700, through a dangling link if need be. True
/// if it was not there.
fn make_dir(home: BorrowedFd) -> io::Result<bool> {
    match mkdirat(home, c"supervise", Mode::RWXU) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    match statat(home, c"supervise", AtFlags::empty()) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => Ok(false),
        Ok(_) => Err(Errno::NOTDIR.into()),
        Err(Errno::NOENT) => {
            let target = readlinkat(home, c"supervise", vec![])?;
            let made = mkdirat(home, &target, Mode::RWXU);
            made.map(|()| true).map_err(|e| {
                let target = target.to_bytes().escape_ascii();
                io::Error::new(e.kind(), format!("{target}, where it leads: {e}"))
            })
        }
        Err(e) => Err(e.into()),
    }
}

/// Opens a fifo, and makes it first unless it is there. A file in its place,
/// as a command makes that is sent to it when there is none, gives way.
fn fifo(home: BorrowedFd, name: &CStr, access: OFlags) -> io::Result<OwnedFd> {
    let make = || mkfifoat(home, name, Mode::RUSR | Mode::WUSR);
    if make() == Err(Errno::EXIST) {
        let found = statat(home, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Fifo => {}
            FileType::Directory => return Err(Errno::ISDIR.into()),
            _ => {
                unlinkat(home, name, AtFlags::empty())?;
                make()?;
            }
        }
    }
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(home, name, flags, Mode::empty())?)
}

/// Whether an open file is what stands at a path.
fn is_at(home: BorrowedFd, name: &CStr, file: &OwnedFd) -> bool {
    match (statat(home, name, AtFlags::SYMLINK_NOFOLLOW), fstat(file)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// By how many names a file can be found.
fn links(file: &OwnedFd) -> u64 {
    fstat(file).map_or(0, |found| found.st_nlink)
}

/// Makes `ok` a link to the open `control`, replacing what is there.
fn link_ok(home: BorrowedFd, control: &OwnedFd) -> io::Result<()> {
    let link = linkat(
        home,
        c"supervise/control",
        home,
        c"supervise/ok",
        AtFlags::empty(),
    );
    if link.is_ok() || is_at(home, c"supervise/ok", control) {
        return Ok(());
    }
    let _left_over = unlinkat(home, c"supervise/ok.new", AtFlags::empty());
    linkat(
        home,
        c"supervise/control",
        home,
        c"supervise/ok.new",
        AtFlags::empty(),
    )?;
    Ok(renameat(home, c"supervise/ok.new", home, c"supervise/ok")?)
}

/// Writes a small file over what it held: in place, because a rename costs a
/// new file each time (on ext4 even a write to the disk, and room that may be
/// lacking). A reader that comes between sees both versions' bytes at worst for
/// the moment, as `sv` knows. What is no file is replaced: a fifo that somebody
/// put there blocks nothing.
fn put(home: BorrowedFd, name: &CStr, content: &[u8]) -> io::Result<()> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let open = |flags| -> io::Result<(OwnedFd, Option<i64>)> {
        let file = openat(home, name, flags, mode)?;
        let length = length_if_regular(&file);
        Ok((file, length))
    };
    let (file, length) = match open(flags) {
        Ok((file, Some(length))) => (file, length),
        Err(e) if !stands_in_the_way(&e) => return Err(e),
        Ok((_, None)) | Err(_) => {
            unlinkat(home, name, AtFlags::empty())?;
            (openat(home, name, flags | OFlags::EXCL, mode)?, 0)
        }
    };
    if !content.is_empty() && rustix::io::pwrite(&file, content, 0)? != content.len() {
        return Err(Errno::NOSPC.into());
    }
    // Nobody else writes here: what was no longer is as long as the content now.
    if length > content.len() as i64 {
        ftruncate(&file, content.len() as u64)?;
    }
    Ok(())
}

/// Whether opening a file failed because it is a fifo, a link or a device.
fn stands_in_the_way(e: &io::Error) -> bool {
    let errno = Errno::from_io_error(e);
    matches!(errno, Some(Errno::NXIO | Errno::LOOP | Errno::NODEV))
}

/// The length (bytes) of what is a regular file.
fn length_if_regular(file: &OwnedFd) -> Option<i64> {
    let found = fstat(file).ok()?;
    let is_regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    is_regular.then_some(found.st_size)
}
