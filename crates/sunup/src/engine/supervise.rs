//! The directory `supervise`: lock, fifos and state files of one service or
//! logger, byte for byte as runit's runsv keeps them (service-directory(5)). The lock, which
//! is empty there, holds the record of the process ([`adopt`]): each child writes
//! it by the descriptor that its supervisor has anyway, which costs a start a
//! fifth of what a file of its own would.
//!
//! Opening it takes two steps: [`Supervise::open`] takes the lock, without which nothing
//! may be done here, and [`Supervise::furnish`] makes the fifos, after the first status
//! is written, so that a client that can open a fifo can read a status. Everything here
//! is opened by the rules of [`guarded`], because the directory may belong to the
//! service's user: no link is followed, and a file that somebody else could have written
//! is replaced and not believed. `supervise` may be a dangling symbolic link (read-only
//! service trees); its target is made then.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::facts::{Line, Stat};
use model::format::adopt;
use model::format::crash_loop::CrashLoop;
use model::format::state;
use model::format::state::ready::Ready;
use model::format::state::reason::Reason;
use model::format::status::Status;
use model::service::Pid;
use rustix::fs::{
    AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, fallocate, flock, fstat, fstatfs,
    ftruncate, renameat, unlinkat,
};
use rustix::io::Errno;

use super::fifos::Fifos;
use super::site::Site;
use crate::sys::descriptors::aside;
use crate::sys::file;
use crate::sys::guarded;
use crate::sys::shortage::unless_short;

const LOCK: &CStr = c"supervise/lock";
const LOCK_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const PID: &CStr = c"supervise/pid";
const STAT: &CStr = c"supervise/stat";
const STATUS: &CStr = c"supervise/status";
const LAST: &CStr = c"supervise/last";
const READY: &CStr = c"supervise/ready";
const CRASH_LOOP: &CStr = c"supervise/crash-loop";
const STATE_FILES: [&CStr; 3] = [PID, STAT, STATUS];
/// With fewer, somebody else may take the last ones before our files are written.
const FEW_BLOCKS: u64 = 1024;

/// The open directory.
pub struct Supervise {
    /// Open for reading and writing; holds the record.
    lock: OwnedFd,
    fifos: Option<Fifos>,
    /// The fifos were marked ([`Supervise::furnish`]).
    is_marked: bool,
    /// It was not there: no earlier supervisor left anything.
    pub is_new: bool,
    /// There was a record that anybody could have written, so it is not believed.
    pub is_distrusted: bool,
}

/// Why a supervise directory could not be opened.
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
    pub fn open(site: Site) -> Result<Self, OpenError> {
        let home = site.home;
        let is_new = site
            .make_dir()
            .map_err(|e| OpenError::Failed("make supervise", e))?;
        let (lock, is_distrusted) = take_lock(home)?;
        Ok(Self {
            lock,
            fifos: None,
            is_marked: false,
            is_new,
            is_distrusted,
        })
    }

    /// What a predecessor in this process left open.
    pub fn again(lock: OwnedFd, control: Option<OwnedFd>, ok: Option<OwnedFd>) -> Self {
        let fifos = control.map(|control| Fifos { control, ok });
        Self {
            lock,
            fifos,
            is_marked: false,
            is_new: false,
            is_distrusted: false,
        }
    }

    /// The open descriptors, by name.
    pub fn descriptors(&self) -> [(&'static str, Option<BorrowedFd<'_>>); 3] {
        let ok = self.fifos.as_ref().and_then(|f| f.ok.as_ref());
        [
            ("lock", Some(self.lock.as_fd())),
            ("control", self.control()),
            ("ok", ok.map(AsFd::as_fd)),
        ]
    }

    /// Makes and opens the fifos `control` and `ok`, again if somebody removed or
    /// replaced them; true when `control` is new and is to be watched. `ok` is another
    /// name of `control`: it only has to have a reader, and so one descriptor does for
    /// both. Opening it proves that: on overlayfs two names of one inode may be two
    /// fifos.
    ///
    /// `anew`: the directory was just made. Otherwise the links of the fifo are counted:
    /// this shows a removal as well as a look for each name does, at a sixth of the cost.
    ///
    /// `is_marked`: they get a mark, or lose it ([`guarded::mark_fifo`]). One that a killed
    /// supervisor left stays until then: it makes `sv` look in vain, and no more.
    pub fn furnish(
        &mut self,
        site: Site,
        anew: bool,
        is_marked: bool,
    ) -> Result<bool, (&'static str, io::Error)> {
        let is_new = self.furnish_fifos(site, anew)?;
        if self.is_marked != is_marked {
            self.is_marked = is_marked;
            if let Some(fifos) = &self.fifos {
                fifos.mark(is_marked);
            }
        }
        Ok(is_new)
    }

    fn furnish_fifos(&mut self, site: Site, anew: bool) -> Result<bool, (&'static str, io::Error)> {
        // Without fifos it was opened just now.
        if anew || self.fifos.is_some() && guarded::is_removed(&self.lock) {
            self.lock_again(site.home);
        }
        if !anew && self.fifos.as_ref().is_some_and(Fifos::are_in_place) {
            return Ok(false);
        }
        self.fifos = Some(Fifos::open(site)?);
        self.is_marked = false;
        Ok(true)
    }

    /// Takes the lock again if somebody removed its file: otherwise a second supervisor
    /// would make and lock another file. If that has happened already, nothing can be
    /// done.
    fn lock_again(&mut self, home: BorrowedFd) {
        if let Ok((lock, _)) = take_lock(home) {
            let mut record = [0; adopt::BYTES];
            // Absent when nothing was ever started; without it nothing is adopted.
            if rustix::io::pread(&self.lock, &mut record, 0) == Ok(record.len()) {
                let _kept = rustix::io::pwrite(&lock, &record, 0);
            }
            self.lock = lock;
        }
    }

    /// Nothing was left to take over, so the old status is removed: it says what was wanted
    /// in another boot or an earlier supervision, and a successor that comes before our first
    /// status must not believe it; nor that a run with the pid of the present one was ready.
    /// And the files get their blocks before anything starts:
    /// on a full file system a file can still be made, but not filled.
    ///
    /// Only where blocks are few, as it costs an open of each file. Fails if there are too few.
    pub fn begin_anew(&self, site: Site) -> io::Result<()> {
        if !self.is_new {
            for name in [STATUS, LAST, READY] {
                forget(site, name);
            }
        }
        // A count of 0: the file system has no limit.
        if fstatfs(&self.lock).is_ok_and(|fs| fs.f_blocks > 0 && fs.f_bavail < FEW_BLOCKS) {
            reserve(&self.lock)?;
            for name in STATE_FILES {
                if let Some(found) = site.to_write(name)? {
                    reserve(&found.file)?;
                }
            }
        }
        Ok(())
    }

    /// Gives back what [`Supervise::begin_anew`] got where it got too little.
    pub fn clear(&self, home: BorrowedFd) {
        for name in STATE_FILES {
            let _absent = unlinkat(home, name, AtFlags::empty());
        }
        self.release(home);
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

    /// Notes in the child's record that a stop is under way, or a oneshot done. If that
    /// fails, the only loss is that the next supervisor does not continue the stop, or does
    /// a oneshot again.
    pub fn mark(&self, mark: adopt::Mark) {
        if fstat(&self.lock).is_ok_and(|found| found.st_size == adopt::BYTES as i64) {
            let at = adopt::MARK_AT as u64;
            let _noted = rustix::io::pwrite(&self.lock, &mark.bytes(), at);
        }
    }

    /// Ends the supervision: nothing is left to adopt.
    pub fn release(&self, home: BorrowedFd) {
        // If this fails, the record is about an ended process, which a successor notices.
        let _emptied = ftruncate(&self.lock, 0);
        remove_crash_loop(home);
    }

    /// Closes the fifos, to be furnished again.
    pub fn strip(&mut self) {
        self.fifos = None;
    }

    /// The control fifo, once furnished.
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.fifos.as_ref().map(|f| f.control.as_fd())
    }

    /// Reads the next control byte, if one waits; never blocks.
    pub fn next_control(&self) -> Option<u8> {
        let mut byte = [0];
        let n = rustix::io::read(self.control()?, &mut byte).unwrap_or(0);
        let [byte] = byte;
        (n == 1).then_some(byte)
    }
}

/// The held lock, and whether a lock file that had to be replaced held a record.
fn take_lock(home: BorrowedFd) -> Result<(OwnedFd, bool), OpenError> {
    const OPEN: &str = "open supervise/lock";
    let failed = |e: Errno| match e {
        Errno::LOOP | Errno::NXIO | Errno::SPIPE => {
            OpenError::Failed(OPEN, io::Error::other("not a file; remove it"))
        }
        e => OpenError::Failed(OPEN, e.into()),
    };
    let flags = OFlags::RDWR | OFlags::CREATE;
    let found = guarded::file(home, LOCK, flags, LOCK_MODE).map_err(failed)?;
    hold(&found.file)?;
    // Check again, now that nobody else replaces it.
    let found = guarded::regular(found.file).map_err(failed)?;
    let (lock, is_distrusted) = if found.is_ours {
        (found.file, false)
    } else if guarded::is_removed(&found.file) && !guarded::is_at(home, LOCK, &found.file) {
        return Err(OpenError::Locked);
    } else {
        replace_lock(home, found)?
    };
    Ok((aside(lock).map_err(failed)?, is_distrusted))
}

/// Only the holder of the old lock does this.
fn replace_lock(home: BorrowedFd, former: guarded::Regular) -> Result<(OwnedFd, bool), OpenError> {
    const NEW: &CStr = c"supervise/lock.new";
    let failed = |e: Errno| OpenError::Failed("replace supervise/lock", e.into());
    let _left_over = unlinkat(home, NEW, AtFlags::empty());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let made = guarded::file(home, NEW, flags, LOCK_MODE).map_err(failed)?;
    if guarded::is_as_private_as(&former.file, &made.file) {
        let _needless = unlinkat(home, NEW, AtFlags::empty());
        return Ok((former.file, false));
    }
    hold(&made.file)?;
    renameat(home, NEW, home, LOCK).map_err(failed)?;
    Ok((made.file, former.bytes > 0))
}

fn hold(lock: &OwnedFd) -> Result<(), OpenError> {
    match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(OpenError::Locked),
        Err(e) => Err(OpenError::Failed("lock supervise/lock", e.into())),
    }
}

/// Writes `status`, and, with a `stat`, also `pid` and `stat` as far as they
/// differ from what is `shown`; each also if another cannot be written. If
/// somebody removed the directory, it is made anew with all of them; true then.
pub fn show(
    site: Site,
    status: &Status,
    stat: Option<Stat>,
    shown: Option<(Pid, Stat)>,
) -> io::Result<bool> {
    match show_in(site, status, stat, shown) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            site.make_dir()?;
            show_in(site, status, stat, None).map(|()| true)
        }
        shown => shown.map(|()| false),
    }
}

fn show_in(
    site: Site,
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
        pid_put = put(site, PID, pid.as_bytes());
    }
    if let Some(stat) = stat.filter(|_| shown_stat != stat) {
        stat_put = put(site, STAT, stat.text().as_bytes());
    }
    // Last, because it is what sv watches for.
    let status_put = put(site, STATUS, &status.encode());
    let named = |name, e: io::Error| io::Error::new(e.kind(), format!("supervise/{name}: {e}"));
    pid_put.map_err(|e| named("pid", e))?;
    stat_put.map_err(|e| named("stat", e))?;
    status_put
}

/// Writes the file `crash-loop`, or removes it.
pub fn show_crash_loop(site: Site, crash_loop: Option<&CrashLoop>) {
    match crash_loop {
        // Without it sv only omits a remark; writing the state files reports the same
        // problem.
        Some(shown) => drop(put(site, CRASH_LOOP, shown.encode().as_bytes())),
        None => remove_crash_loop(site.home),
    }
}

/// Absent but after a crash loop.
pub fn remove_crash_loop(home: BorrowedFd) {
    let _absent = unlinkat(home, CRASH_LOOP, AtFlags::empty());
}

/// Writes one of our own files of one line, or empties it. One that can be neither is removed,
/// so that nobody reads what was true before; without it `sv` omits a remark.
pub fn show_line(site: Site, line: &Line) {
    let shown = match line.text() {
        Some(text) => put(site, line.name(), text.as_bytes()),
        None => empty(site.home, line.name()),
    };
    if shown.is_err() {
        let _absent = unlinkat(site.home, line.name(), AtFlags::empty());
    }
}

/// Removes what an earlier supervision left; it is absent where nothing was ever supervised, or
/// has ever ended. Where others are let in, the file stays, empty: somebody may have chosen
/// its mode.
fn forget(site: Site, name: &CStr) {
    if site.access.is_plain() || empty(site.home, name).is_err() {
        let _absent = unlinkat(site.home, name, AtFlags::empty());
    }
}

/// Empties a file, if there is one. To remove it and make it anew, for each of many services,
/// would cost more than all else: ext4 searches past the inodes that were given back just now.
fn empty(home: BorrowedFd, name: &CStr) -> io::Result<()> {
    match guarded::file(home, name, OFlags::WRONLY, Mode::empty()) {
        Ok(found) if found.is_ours => Ok(ftruncate(&found.file, 0)?),
        Err(Errno::NOENT) => Ok(()),
        _ => Err(Errno::PERM.into()),
    }
}

/// What an earlier supervisor knew of the readiness of a run, if it wrote that down.
pub fn ready(home: BorrowedFd) -> Option<Ready> {
    Ready::decode(&line(home, READY)?)
}

/// For whom the stop of a service waited, if an earlier supervisor wrote that down.
pub fn stop_waited_for(home: BorrowedFd) -> Option<String> {
    match Reason::decode(&line(home, c"supervise/reason")?)? {
        Reason::Stop(name) => Some(name),
        Reason::Held { .. } | Reason::Kill(_) => None,
    }
}

/// What is in one of our own files of one line, if nobody else could have written it.
fn line(home: BorrowedFd, name: &CStr) -> Option<Vec<u8>> {
    let found = guarded::to_read(home, name).ok()?;
    let line = file::all_of(File::from(found.file), state::BYTES_MAX).ok()?;
    found.is_ours.then_some(line)
}

/// The status that an earlier supervisor left, and whether it is ours (see
/// [`guarded`]). Fails as [`unless_short`] does.
///
/// If it is not ours, we still believe what is wanted: whoever can write there can also
/// command the service. We do not believe which process the service is.
pub fn status(home: BorrowedFd) -> io::Result<Option<(Status, bool)>> {
    let Some(found) = unless_short(guarded::to_read(home, STATUS))? else {
        return Ok(None);
    };
    let mut record = [0; 20];
    let is_whole = found.bytes == record.len() as i64
        && rustix::io::pread(&found.file, &mut record, 0) == Ok(record.len());
    let status = is_whole.then(|| Status::decode(&record)).flatten();
    Ok(status.map(|status| (status, found.is_ours)))
}

/// Writes a small file over what it held: in place, because a rename costs a new file
/// each time (on ext4 even a write to the disk, and room that may be lacking). A reader
/// at the same moment may see bytes of both versions; `sv` allows for that.
fn put(site: Site, name: &CStr, content: &[u8]) -> io::Result<()> {
    let Some(found) = site.to_write(name)? else {
        return site.replace(name, content);
    };
    if !content.is_empty() && rustix::io::pwrite(&found.file, content, 0)? != content.len() {
        return Err(Errno::NOSPC.into());
    }
    // Nobody else writes here: a file that was not longer now has the length of the
    // content.
    if found.bytes > content.len() as i64 {
        ftruncate(&found.file, content.len() as u64)?;
        if content.is_empty() {
            // Its block went with its bytes; the next pid needs one.
            let _had = reserve(&found.file);
        }
    }
    Ok(())
}

/// Gets the block of a small file, and leaves its length. Fails only for want of room: some
/// file systems cannot do that.
fn reserve(file: &OwnedFd) -> rustix::io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, adopt::BYTES as u64) {
        Err(e @ (Errno::NOSPC | Errno::DQUOT)) => Err(e),
        _ => Ok(()),
    }
}
