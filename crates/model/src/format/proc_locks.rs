//! /proc/locks: one line about each lock (proc_locks(5)). In /proc/PID/fdinfo/N the
//! same line follows the word `lock:`.

/// Which file a lock is on, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    let text = core::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| {
        let line = line.strip_prefix("lock:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = [words.next()?, words.next()?, words.next()?];
        let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
        let there = parse(words.next()?)?;
        (kind == ["FLOCK", "ADVISORY", "WRITE"] && there == file).then_some(pid)
    })
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
}
