//! Who supervises a service directory already, to be named to whoever tried to.
//!
//! The kernel says who took a lock, by a number which may be another process' by now: a
//! keeper has its lock from the supervisor that forked it. So the process must have the
//! locked file open, or nobody is named. Nothing is opened but files of the kernel.

use std::fs;
use std::path::Path;

use model::format::proc_locks::{self, Locked};
use rustix::fs::{CWD, OFlags, major, minor, statat};

use crate::sys::file;

/// No more of the kernel's list is read (bytes): some ten thousand locks.
const LOCKS_BYTES_MAX: usize = 1 << 20;
/// No more is read of what the kernel says of one descriptor (bytes).
const DESCRIPTOR_BYTES_MAX: usize = 4096;

/// The process that holds the lock of a service directory or of its logger, if it is
/// another one and can be known.
pub fn of(dir: &Path) -> Option<u32> {
    let locks = ["supervise/lock", "log/supervise/lock"].map(|lock| dir.join(lock));
    locks.iter().find_map(|lock| holder(lock))
}

fn holder(lock: &Path) -> Option<u32> {
    let found = statat(CWD, lock, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let locked = Locked {
        device: (major(found.st_dev), minor(found.st_dev)),
        inode: found.st_ino,
    };
    let (locks, _) = file::read_lines(Path::new("/proc/locks"), LOCKS_BYTES_MAX).ok()?;
    let pid = proc_locks::holder(&locks, locked).filter(|pid| *pid != std::process::id())?;
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?.flatten();
    let has_it = descriptors.any(|descriptor| {
        let told = file::open(&descriptor.path(), OFlags::RDONLY)
            .and_then(|told| file::head(told, DESCRIPTOR_BYTES_MAX));
        told.is_ok_and(|told| proc_locks::holder(&told, locked) == Some(pid))
    });
    has_it.then_some(pid)
}
