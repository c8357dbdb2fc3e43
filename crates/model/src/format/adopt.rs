//! The content of `supervise/lock`: who the service's process is, for a later supervisor.
//!
//! One line, `1 PHASE BOOT_ID PID_NAMESPACE PIPE PID BOOT_NS`: the format's version,
//! `run` or `finish`, the kernel's boot id, the inode of the pid namespace in
//! which the pid counts, that of the pipe between service and logger (0: none),
//! the pid, and the boot clock's time (nanoseconds) at
//! which the process wrote the line about itself, just before its exec; blanks may follow. A
//! process with that pid which started later than that moment is another one.
//! The line has [`BYTES`] bytes, filled with blanks. While the service is being
//! stopped and has not got TERM yet, because `control/t` runs, the supervisor has
//! the word `stop` at the line's end: who wanted it down by `once` did not stop it.
//! runit keeps that file empty. A supervisor that ends the supervision empties it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::status::Phase;
use crate::time::Instant;

/// Longest record that is looked at, in bytes.
pub const BYTES_MAX: usize = 192;

/// Length of a record that is written, newline included: each overwrites the one
/// before in place, which needs no space on a full disk.
pub const BYTES: usize = 160;

/// Where in the record [`mark`] belongs.
pub const MARK_AT: usize = BYTES - 1 - MARK.len();

const MARK: [u8; 5] = *b" stop";

/// The end of a record before the newline.
pub const fn mark(stopping: bool) -> [u8; 5] {
    if stopping { MARK } else { [b' '; 5] }
}

/// Where a pid counts: one boot of one kernel, one pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Text of /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// Inode of /proc/self/ns/pid.
    pub pid_namespace: u64,
}

/// The decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Run or finish.
    pub phase: Phase,
    /// Where the pid counts.
    pub world: World,
    /// Inode of the log pipe; 0 for none.
    pub pipe: u64,
    /// The process.
    pub pid: u32,
    /// When it was certainly that process.
    pub at: Instant,
    /// A stop was under way.
    pub stopping: bool,
}

/// The part that is known before the process exists. The process adds its pid,
/// a space, its time and a newline.
pub fn prefix(phase: Phase, world: &World, pipe: u64) -> Vec<u8> {
    let phase = match phase {
        Phase::Finish => "finish",
        Phase::Run | Phase::Down => "run",
    };
    format!(
        "1 {phase} {} {} {pipe} ",
        world.boot_id, world.pid_namespace
    )
    .into_bytes()
}

/// Reads a record; `None` for anything that is not one, whole and in this form.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let line = core::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let stopped = line.strip_suffix(" stop");
    let line = stopped.unwrap_or(line).trim_end_matches(' ');
    let mut words = line.split(' ');
    let mut next = || words.next();
    if next()? != "1" {
        return None;
    }
    let phase = match next()? {
        "run" => Phase::Run,
        "finish" => Phase::Finish,
        _ => return None,
    };
    let record = Record {
        phase,
        world: World {
            boot_id: next()?.into(),
            pid_namespace: next()?.parse().ok()?,
        },
        pipe: next()?.parse().ok()?,
        pid: next()?
            .parse()
            .ok()
            .filter(|pid| *pid > 1 && i32::try_from(*pid).is_ok())?,
        at: Instant(next()?.parse().ok()?),
        stopping: stopped.is_some(),
    };
    next().is_none().then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World {
            boot_id: "6ff0a7a2-0001".into(),
            pid_namespace: 4_026_531_836,
        }
    }

    #[test]
    fn round_trip() {
        let mut line = prefix(Phase::Finish, &world(), 9);
        line.extend_from_slice(b"123 456789\n");
        let record = decode(&line).unwrap();
        assert_eq!(
            (record.phase, record.pid, record.at),
            (Phase::Finish, 123, Instant(456_789))
        );
        assert_eq!((record.world, record.pipe), (world(), 9));
        // Padding, so that every record has the same length.
        let newline = line.pop();
        line.extend_from_slice(b"      ");
        line.extend(newline);
        assert_eq!(decode(&line).unwrap().pid, 123);
        line.pop();
        line.resize(BYTES - 1, b' ');
        line.push(b'\n');
        line[MARK_AT..MARK_AT + 5].copy_from_slice(&mark(true));
        assert!(decode(&line).unwrap().stopping);
        line[MARK_AT..MARK_AT + 5].copy_from_slice(&mark(false));
        assert!(!decode(&line).unwrap().stopping);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            &b""[..],
            b"1 run b 5 0 12 3",
            b"2 run b 5 0 12 3\n",
            b"1 walk b 5 0 12 3\n",
            b"1 run b 5 0 1 3\n",
            b"1 run b 5 0 0 3\n",
            b"1 run b 5 0 4294967295 3\n",
            b"1 run b 5 0 12\n",
            b"1 run b 5 0 12 3 4\n",
            b"1 run b 5 0 12 \xff\n",
        ] {
            assert_eq!(decode(bad), None, "{}", bad.escape_ascii());
        }
    }
}
