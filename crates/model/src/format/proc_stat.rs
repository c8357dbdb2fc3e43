//! /proc/PID/stat: one line about a process (proc_pid_stat(5)).

/// The fields by which processes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcStat {
    /// The process is neither a zombie nor dead.
    pub lives: bool,
    /// The pid of its parent; 0 if the parent is outside the pid namespace.
    pub parent: u32,
    /// Its controlling terminal, as a device number of the kernel; 0 if it has none.
    pub terminal: u32,
    /// The time of processors that it used, in clock ticks.
    pub used: u64,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Its resident memory, in pages.
    pub resident: u64,
}

/// Reads the line. The name in parentheses may hold any bytes.
pub fn decode(line: &[u8]) -> Option<ProcStat> {
    let name_end = line.iter().rposition(|b| *b == b')')?;
    let mut fields = line.get(name_end + 2..)?.split(|b| *b == b' ');
    let state = fields.next()?;
    let parent = fields.next()?;
    let terminal = fields.nth(2)?;
    let mut number = |skipped| {
        let field = core::str::from_utf8(fields.nth(skipped)?).ok()?;
        field.trim_end().parse::<u64>().ok()
    };
    let (user, system) = (number(6)?, number(0)?);
    let (started, resident) = (number(6)?, number(1)?);
    Some(ProcStat {
        lives: !matches!(state, b"Z" | b"X" | b"x"),
        parent: core::str::from_utf8(parent).ok()?.parse().ok()?,
        // Printed as a signed number.
        terminal: core::str::from_utf8(terminal).ok()?.parse::<i32>().ok()? as u32,
        used: user.saturating_add(system),
        started,
        resident,
    })
}

/// The resident memory that /proc/PID/statm shows, in pages: a fifth of the work of
/// /proc/PID/stat for the kernel.
pub fn decode_statm(line: &[u8]) -> Option<u64> {
    let field = line.split(|b| *b == b' ').nth(1)?;
    core::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        assert_eq!(decode_statm(b"724 512 470 1 0 110 0\n"), Some(512));
        for bad in [&b""[..], b"724", b"724 x 1\n", b"724  512\n"] {
            assert_eq!(decode_statm(bad), None);
        }
    }

    #[test]
    fn a_hostile_name() {
        let line = b"77 (a) Z (b) S 4 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 1 2\n";
        let read = ProcStat {
            lives: true,
            parent: 4,
            terminal: 0,
            used: 11,
            started: 998_877,
            resident: 2,
        };
        assert_eq!(decode(line), Some(read));
        let line = b"77 (a) S 4 77 77 34816 77 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9 1 2\n";
        assert!(decode(line).is_some_and(|read| read.terminal == 34816 && read.started == 9));
        for bad in [
            &b"77 (x) Z 1"[..],
            b"",
            b")",
            b"77 (x) S x 77 77 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 1 2",
            b"77 (x) S 4 77 77 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 1",
        ] {
            assert_eq!(decode(bad), None);
        }
    }
}
