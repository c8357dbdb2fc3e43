//! Whether a service has a supervisor, for somebody who may see its directory `supervise` but
//! not open the fifos: by the lock in it, which /proc/locks tells everybody.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::path::Path;

use model::format::mountinfo::{self, FileSystem};
use model::format::proc_locks::{self, Held, List, Locked};
use rustix::fs::{AtFlags, StatxFlags, major, minor, stat, statat, statx};

use crate::sys::{clock, file};

const LOCK: &str = "supervise/lock";
/// No more of the kernel's list is read (bytes): some ten thousand locks.
const LOCKS_BYTES_MAX: usize = 1 << 20;
/// No more of the list of mounts is read (bytes).
const MOUNTS_BYTES_MAX: usize = 1 << 20;
/// The inode of the first pid namespace (`PROC_PID_INIT_INO` in the kernel's sources).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// How long the list of locks is used (ns): for the many services of one question. To read it
/// takes the longer, the more there are.
const FRESH_NS: u64 = 90_000_000;

/// What the kernel listed.
struct Lists {
    at_ns: u64,
    held: Vec<Locked>,
    is_whole: bool,
    /// The mount of the last file, and its file system.
    place: Option<(u64, Option<FileSystem>)>,
}

thread_local! {
    static LISTS: RefCell<Option<Lists>> = const { RefCell::new(None) };
}

/// Whether a supervisor lives; `home` holds `supervise`. `None`: that cannot be known.
pub fn lives(home: BorrowedFd) -> Option<bool> {
    let found = statat(home, LOCK, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let lock = Locked {
        device: (major(found.st_dev), minor(found.st_dev)),
        inode: found.st_ino,
    };
    LISTS.with_borrow_mut(|kept| {
        let is_fresh = |lists: &Lists| clock::boot_ns() < lists.at_ns.saturating_add(FRESH_NS);
        if !kept.as_ref().is_some_and(is_fresh) {
            *kept = Lists::read();
        }
        match kept.as_mut()?.tells(home, lock) {
            Held::Yes => Some(true),
            Held::No => Some(false),
            Held::Unknown => None,
        }
    })
}

impl Lists {
    fn read() -> Option<Self> {
        let at_ns = clock::boot_ns();
        let (text, is_cut) = file::read_lines(Path::new("/proc/locks"), LOCKS_BYTES_MAX).ok()?;
        let namespace = stat("/proc/self/ns/pid").ok();
        let is_first = namespace.is_some_and(|found| found.st_ino == FIRST_PID_NAMESPACE);
        Some(Self {
            at_ns,
            held: proc_locks::held(&text),
            is_whole: !is_cut && is_first,
            place: None,
        })
    }

    fn tells(&mut self, home: BorrowedFd, lock: Locked) -> Held {
        let list = |lists: &Self, place: Option<&FileSystem>| {
            let list = List {
                held: &lists.held,
                is_whole: lists.is_whole,
            };
            list.tells(lock, place)
        };
        // The mount matters only for what is not listed.
        match list(self, None) {
            Held::Unknown if self.is_whole => {
                self.look_at_mount(home);
                let place = self.place.as_ref().and_then(|(_, place)| place.as_ref());
                list(self, place)
            }
            told => told,
        }
    }

    fn look_at_mount(&mut self, home: BorrowedFd) {
        let found = statx(home, LOCK, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok();
        let id = found.filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0);
        let Some(id) = id.map(|found| found.stx_mnt_id) else {
            self.place = None;
            return;
        };
        if self.place.as_ref().is_none_or(|(known, _)| *known != id) {
            let path = Path::new("/proc/self/mountinfo");
            let mounts = file::read_lines(path, MOUNTS_BYTES_MAX).ok();
            let place = mounts.and_then(|(text, _)| mountinfo::file_system(&text, id));
            self.place = Some((id, place));
        }
    }
}
