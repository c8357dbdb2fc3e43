//! Files in /run/sunup that processes of root write: how processes ended (`last_word`), and
//! what happened in the boot (`boot_record`).
//!
//! They are made where /run is a tmpfs, and only there: such a file must cost no disk and
//! end with the boot. Anything else of that name is left alone.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, mkdirat, openat, statfs};
use rustix::io::Errno;
use rustix::process::geteuid;

const DIR: &str = "/run/sunup";
const MOUNT: &str = "/run";

/// statfs(2).
const TMPFS_MAGIC: u32 = 0x0102_1994;
const RAMFS_MAGIC: u32 = 0x8584_58f6;

/// Opens a file in /run/sunup, if it is one that may be written to; makes it where it may be.
pub fn open(path: &str, flags: OFlags) -> Option<OwnedFd> {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => make(path, flags).ok()?,
        opened => opened.ok()?,
    };
    let found = fstat(&file).ok()?;
    let is_ours = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
        && found.st_uid == geteuid().as_raw()
        && is_memory(fstatfs(&file).ok()?.f_type as u32);
    is_ours.then_some(file)
}

fn make(path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    if !is_memory(statfs(MOUNT)?.f_type as u32) {
        return Err(Errno::NOENT);
    }
    let (all, own) = (Mode::from_raw_mode(0o755), Mode::from_raw_mode(0o644));
    match mkdirat(CWD, DIR, all) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    openat(CWD, path, flags | OFlags::CREATE | OFlags::EXCL, own)
}

const fn is_memory(kind: u32) -> bool {
    matches!(kind, TMPFS_MAGIC | RAMFS_MAGIC)
}
