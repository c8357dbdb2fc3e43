//! The content of `supervise/lock`: it tells a later supervisor which process is the service.
//!
//! It is one line, `1 PART BOOT_ID PID_NAMESPACE PIPE PID BOOT_NS`: the version of the
//! format; `setup`, `run` or `finish`; the boot id of the kernel; the inode of the pid namespace of
//! the pid; the inode of the pipe between service and logger (0: none); the pid; and the
//! time of the boot clock in nanoseconds. The process writes the line about itself, just
//! before its exec, and the time is of that moment. If a process with that pid started
//! later, it is another process. Blanks fill the line up to [`BYTES`] bytes.
//!
//! While a service is stopped, `control/t` may run before the service gets TERM. During that
//! time, the supervisor puts the word `stop` at the end of the line: with `once`, the
//! service is not wanted up either, but is not stopped. When a `setup` that no `run` follows
//! has succeeded, it puts the word `done` there. Both words need no room on the disk.
//!
//! runit keeps this file empty. A supervisor that ends the supervision empties it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::time::Instant;

/// The longest record that is read, in bytes.
pub const BYTES_MAX: usize = 192;

/// The length of a written record, with its newline. All have the same length, so that a new
/// record overwrites the old one in place, also on a full disk.
pub const BYTES: usize = 160;

/// The place of the [`Mark`] in the record.
pub const MARK_AT: usize = BYTES - 1 - Mark::None.bytes().len();

/// What the supervisor adds to the process's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Nothing.
    #[default]
    None,
    /// A stop is under way.
    Stop,
    /// `setup` has succeeded, no `run` followed it, and nothing has undone that.
    Done,
    /// What followed from the end of `setup` is over.
    Over,
}

impl Mark {
    /// The end of a record, before the newline.
    pub const fn bytes(self) -> [u8; 5] {
        match self {
            Self::None => *b"     ",
            Self::Stop => *b" stop",
            Self::Done => *b" done",
            Self::Over => *b" over",
        }
    }
}

/// Which of a service's processes it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `./setup`.
    Setup,
    /// `./run`.
    Run,
    /// `./finish`.
    Finish,
}

impl Part {
    const ALL: [Self; 3] = [Self::Setup, Self::Run, Self::Finish];

    const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Run => "run",
            Self::Finish => "finish",
        }
    }
}

/// Where a pid has its meaning: one boot of one kernel, and one pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// The text of /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// The inode of /proc/self/ns/pid.
    pub pid_namespace: u64,
}

/// The decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which process it is.
    pub part: Part,
    /// Where the pid has its meaning.
    pub world: World,
    /// The inode of the log pipe; 0 for none.
    pub pipe: u64,
    /// The process.
    pub pid: u32,
    /// A moment at which the pid was certainly that process.
    pub at: Instant,
    /// What the supervisor added.
    pub mark: Mark,
}

/// The part that is known before the process exists. The process adds its pid, a space, the
/// time and a newline.
pub fn prefix(part: Part, world: &World, pipe: u64) -> Vec<u8> {
    let name = part.name();
    format!("1 {name} {} {} {pipe} ", world.boot_id, world.pid_namespace).into_bytes()
}

/// Reads a record. `None`: it is no complete record of this form.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let line = core::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let marked = |(word, mark)| Some((line.strip_suffix(word)?, mark));
    let marks = [
        (" stop", Mark::Stop),
        (" done", Mark::Done),
        (" over", Mark::Over),
    ];
    let (line, mark) = marks
        .into_iter()
        .find_map(marked)
        .unwrap_or((line, Mark::None));
    let line = line.trim_end_matches(' ');
    let mut words = line.split(' ');
    let mut next = || words.next();
    if next()? != "1" {
        return None;
    }
    let name = next()?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name)?;
    let record = Record {
        part,
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
        mark,
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
        let mut line = prefix(Part::Finish, &world(), 9);
        line.extend_from_slice(b"123 456789\n");
        let record = decode(&line).unwrap();
        assert_eq!(
            (record.part, record.pid, record.at),
            (Part::Finish, 123, Instant(456_789))
        );
        assert_eq!((record.world, record.pipe), (world(), 9));
        // Pad it, so that every record has the same length.
        let newline = line.pop();
        line.extend_from_slice(b"      ");
        line.extend(newline);
        assert_eq!(decode(&line).unwrap().pid, 123);
        line.pop();
        line.resize(BYTES - 1, b' ');
        line.push(b'\n');
        for mark in [Mark::Stop, Mark::Done, Mark::Over, Mark::None] {
            line[MARK_AT..MARK_AT + 5].copy_from_slice(&mark.bytes());
            assert_eq!(decode(&line).unwrap().mark, mark);
        }
    }

    #[test]
    fn each_part_has_its_word() {
        for (name, part) in ["setup", "run", "finish"].into_iter().zip(Part::ALL) {
            let mut line = prefix(part, &world(), 0);
            assert!(line.starts_with(format!("1 {name} ").as_bytes()));
            line.extend_from_slice(b"123 456789\n");
            assert_eq!(decode(&line).unwrap().part, part);
        }
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
