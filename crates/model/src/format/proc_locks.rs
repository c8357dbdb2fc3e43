//! /proc/locks: one line about each lock (proc_locks(5)). In /proc/PID/fdinfo/N the
//! same line follows the word `lock:`.

use alloc::vec::Vec;

use super::mountinfo::FileSystem;

/// Which file a lock is on, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// Major and minor number of its file system.
    pub device: (u32, u32),
    /// Its inode.
    pub inode: u64,
}

/// The process that took the exclusive flock(2) on a file. A line with `->` is about a
/// process that waits for the lock, so it does not count. Neither does a pid of 0: that
/// process is not visible in this pid namespace.
pub fn holder(text: &[u8], file: Locked) -> Option<u32> {
    let mut held = lines(text).filter(|(_, there)| *there == file);
    held.find_map(|(pid, _)| pid.parse().ok().filter(|pid| *pid > 0))
}

/// All files on which somebody has an exclusive flock(2), sorted.
pub fn held(text: &[u8]) -> Vec<Locked> {
    let mut held: Vec<Locked> = lines(text).map(|(_, file)| file).collect();
    held.sort_unstable();
    held
}

/// The pid and the file of each exclusive flock(2).
fn lines(text: &[u8]) -> impl Iterator<Item = (&str, Locked)> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let line = core::str::from_utf8(line).ok()?;
        let line = line.strip_prefix("lock:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = [words.next()?, words.next()?, words.next()?];
        let pid = words.next()?;
        let there = parse(words.next()?)?;
        (kind == ["FLOCK", "ADVISORY", "WRITE"]).then_some((pid, there))
    })
}

/// What the list of locks tells of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Somebody holds its lock.
    Yes,
    /// Nobody does.
    No,
    /// The list would not tell.
    Unknown,
}

/// What a list can tell.
#[derive(Clone, Copy, Debug)]
pub struct List<'l> {
    /// As [`held`] made it.
    pub held: &'l [Locked],
    /// Whether it has every lock: it was read to its end, and in the first pid namespace. In
    /// another the locks are missing whose taker has ended, or is outside.
    pub is_whole: bool,
}

impl List<'_> {
    /// What it tells of a file. `place`: the file system of the mount that the file is in,
    /// if that is known. The kernel names it in the list; btrfs and some overlays tell
    /// another number to who looks at the file. A lock of a file system in user space may
    /// be elsewhere.
    pub fn tells(self, file: Locked, place: Option<&FileSystem>) -> Held {
        if self.held.binary_search(&file).is_ok() {
            return Held::Yes;
        }
        let is_listed = |place: &FileSystem| {
            let in_user_space = [&b"fuse"[..], b"virtiofs"];
            let is_elsewhere = in_user_space
                .iter()
                .any(|kind| place.kind.starts_with(kind));
            place.device == file.device && !is_elsewhere
        };
        if self.is_whole && place.is_some_and(is_listed) {
            Held::No
        } else {
            Held::Unknown
        }
    }
}

/// Reads `MAJOR:MINOR:INODE`. The first two are hexadecimal.
fn parse(word: &str) -> Option<Locked> {
    let mut numbers = word.split(':');
    let mut device = || u32::from_str_radix(numbers.next()?, 16).ok();
    let device = (device()?, device()?);
    let inode = numbers.next()?.parse().ok()?;
    Some(Locked { device, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_and_nobody_else() {
        let file = Locked {
            device: (0xfe, 0x10),
            inode: 42,
        };
        let locks = b"1: POSIX  ADVISORY  WRITE 7 fe:10:42 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 8 fe:10:43 0 EOF\n\
            3: FLOCK  ADVISORY  READ  9 fe:10:42 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE 10 fe:10:42 0 EOF\n\
            4: -> FLOCK  ADVISORY  WRITE 11 fe:10:42 0 EOF\n";
        assert_eq!(holder(locks, file), Some(10));
        let waits = b"4: -> FLOCK  ADVISORY  WRITE 11 fe:10:42 0 EOF\n";
        assert_eq!(holder(waits, file), None);
        let info = b"pos:\t0\nflags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 10 fe:10:42 0 EOF\n";
        assert_eq!(holder(info, file), Some(10));
        assert_eq!(super::held(locks).len(), 2);
        for bad in [
            &b""[..],
            b"1:",
            b"1: FLOCK  ADVISORY  WRITE 0 fe:10:42 0 EOF",
            b"1: FLOCK  ADVISORY  WRITE -1 fe:10:42 0 EOF",
            b"1: FLOCK  ADVISORY  WRITE 10 fe:10 0 EOF",
            b"\xff",
        ] {
            assert_eq!(holder(bad, file), None);
        }
    }

    #[test]
    fn what_is_not_listed_is_free_only_where_it_would_be_listed() {
        let of = |device, inode| Locked { device, inode };
        let place = |device, kind: &[u8]| FileSystem {
            device,
            kind: kind.into(),
        };
        let text = b"1: FLOCK  ADVISORY  WRITE 0 fe:10:43 0 EOF\n\xff\n\
            2: FLOCK  ADVISORY  WRITE 7 fe:10:42 0 EOF\n";
        let held = held(text);
        let list = |is_whole| List {
            held: &held,
            is_whole,
        };
        let ext4 = place((0xfe, 0x10), b"ext4");
        for inode in [42, 43] {
            let told = list(false).tells(of((0xfe, 0x10), inode), None);
            assert_eq!(told, Held::Yes);
        }
        let free = of((0xfe, 0x10), 44);
        assert_eq!(list(true).tells(free, Some(&ext4)), Held::No);
        assert_eq!(list(false).tells(free, Some(&ext4)), Held::Unknown);
        assert_eq!(list(true).tells(free, None), Held::Unknown);
        for (device, kind) in [
            ((0, 35), &b"btrfs"[..]),
            ((0xfe, 0x10), b"fuse.sshfs"),
            ((0xfe, 0x10), b"fuseblk"),
            ((0xfe, 0x10), b"virtiofs"),
        ] {
            let place = place(device, kind);
            assert_eq!(list(true).tells(free, Some(&place)), Held::Unknown);
        }
    }
}
