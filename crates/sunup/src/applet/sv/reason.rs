//! The words of runit for what system calls answer. Scripts read them in sv's
//! output, so they are those of Debian's `sv`, not libc's; busybox has libc's.

use rustix::io::Errno;

use crate::{personality, say};

/// Why a system call failed.
pub fn reason(e: Errno) -> String {
    if personality::is_busybox() {
        return say::without_numbers(&std::io::Error::from(e).to_string());
    }
    let words = WORDS.iter().find(|(errno, _)| *errno == e);
    words.map_or("unknown error", |(_, words)| words).to_owned()
}

const WORDS: &[(Errno, &str)] = &[
    (Errno::PERM, "permission denied"),
    (Errno::NOENT, "file does not exist"),
    (Errno::INTR, "interrupted system call"),
    (Errno::IO, "input/output error"),
    (Errno::NXIO, "device not configured"),
    (Errno::NOEXEC, "exec format error"),
    (Errno::BADF, "file descriptor not open"),
    (Errno::AGAIN, "temporary failure"),
    (Errno::NOMEM, "out of memory"),
    (Errno::ACCESS, "access denied"),
    (Errno::BUSY, "device busy"),
    (Errno::EXIST, "file already exists"),
    (Errno::NODEV, "device does not support operation"),
    (Errno::NOTDIR, "not a directory"),
    (Errno::ISDIR, "is a directory"),
    (Errno::INVAL, "invalid argument"),
    (Errno::NFILE, "system cannot open more files"),
    (Errno::MFILE, "process cannot open more files"),
    (Errno::TXTBSY, "text busy"),
    (Errno::FBIG, "file too big"),
    (Errno::NOSPC, "out of disk space"),
    (Errno::ROFS, "read-only file system"),
    (Errno::MLINK, "too many links"),
    (Errno::PIPE, "broken pipe"),
    (Errno::NAMETOOLONG, "file name too long"),
    (Errno::NOSYS, "system call not available"),
    (Errno::LOOP, "symbolic link loop"),
    (Errno::TIMEDOUT, "timed out"),
    (Errno::STALE, "stale NFS file handle"),
    (Errno::DQUOT, "disk quota exceeded"),
];
