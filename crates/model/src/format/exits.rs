//! /run/sunup/exits: how the processes ended that PID 1 reaped for others.
//!
//! The file has [`SLOTS`] records of [`BYTES`] bytes. The pid of a process, modulo that
//! number, is its slot; so a reader needs only one record. A later process with the same
//! slot overwrites the record. A record is, little endian: the pid (4 bytes), the raw wait
//! status (4), when the process started and when PID 1 saw its end, both in nanoseconds of
//! the boot clock (8 each), and a checksum (8). The checksum also covers the boot and the
//! pid namespace, so that a reader rejects records of another kernel or another PID 1, and
//! records that are only half written. It protects against accidents; the owner and the mode
//! of the file protect against forgery.

use super::adopt::World;
use crate::time::Instant;

/// The path of the file.
pub const PATH: &str = "/run/sunup/exits";

/// The length of a record.
pub const BYTES: usize = 32;

/// The number of records. So the file has at most 128 KiB.
pub const SLOTS: u32 = 4096;

/// How many bytes of a record the checksum covers.
const COVERED: usize = 24;

/// FNV-1a of 64 bits.
const SUM_START: u64 = 0xcbf2_9ce4_8422_2325;
const SUM_PRIME: u64 = 0x0100_0000_01b3;

/// The place of a process' record in the file.
pub const fn offset(pid: u32) -> u64 {
    (pid % SLOTS) as u64 * BYTES as u64
}

/// A process that somebody saw under a pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The pid.
    pub pid: u32,
    /// A moment at which the pid was certainly that process.
    pub at: Instant,
}

/// What PID 1 knows about a process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its pid.
    pub pid: u32,
    /// When it started, rounded down to a clock tick.
    pub started: Instant,
    /// When PID 1 had seen its end, but had not reaped it yet.
    pub ended: Instant,
    /// The raw wait status of waitpid(2).
    pub status: i32,
}

impl Word {
    /// The bytes of the record.
    pub fn encode(&self, world: &World) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&self.pid.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.status.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.started.0.to_le_bytes());
        bytes[16..COVERED].copy_from_slice(&self.ended.0.to_le_bytes());
        let sum = sum(world, &bytes[..COVERED]);
        bytes[COVERED..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a record. `None`: it was not written in this world, or is not whole.
    pub fn decode(bytes: &[u8; BYTES], world: &World) -> Option<Self> {
        let (covered, written) = bytes.split_at_checked(COVERED)?;
        if *written != sum(world, covered).to_le_bytes() {
            return None;
        }
        let (words, _) = covered.as_chunks::<4>();
        let &[pid, status, s0, s1, e0, e1] = words else {
            return None;
        };
        let long = |low, high| {
            let (low, high) = (u32::from_le_bytes(low), u32::from_le_bytes(high));
            Instant(u64::from(high) << 32 | u64::from(low))
        };
        Some(Self {
            pid: u32::from_le_bytes(pid),
            started: long(s0, s1),
            ended: long(e0, e1),
            status: i32::from_le_bytes(status),
        })
    }

    /// Whether this is the process that was seen: from the start of a process until it is
    /// reaped, nobody else has its pid.
    pub fn was(&self, seen: Sighting) -> bool {
        self.pid == seen.pid && self.started <= seen.at && seen.at <= self.ended
    }
}

fn sum(world: &World, covered: &[u8]) -> u64 {
    let namespace = world.pid_namespace.to_le_bytes();
    let bytes = world.boot_id.bytes().chain(namespace);
    bytes
        .chain(covered.iter().copied())
        .fold(SUM_START, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(SUM_PRIME)
        })
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

    const WORD: Word = Word {
        pid: 0x0102_0304,
        started: Instant(0x1122_3344_5566_7788),
        ended: Instant(0x2122_3344_5566_7788),
        status: 7 << 8,
    };

    #[test]
    fn round_trip() {
        let bytes = WORD.encode(&world());
        assert_eq!(
            bytes[..12],
            [4, 3, 2, 1, 0, 7, 0, 0, 0x88, 0x77, 0x66, 0x55]
        );
        assert_eq!(Word::decode(&bytes, &world()), Some(WORD));
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let bytes = WORD.encode(&world());
        for bit in 0..BYTES * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Word::decode(&other, &world()), None, "bit {bit}");
        }
        assert_eq!(Word::decode(&[0; BYTES], &world()), None);
        assert_eq!(Word::decode(&[255; BYTES], &world()), None);
    }

    #[test]
    fn half_a_record_over_another_is_none() {
        let old = WORD.encode(&world());
        let new = Word {
            pid: WORD.pid + SLOTS,
            started: Instant(5),
            ended: Instant(6),
            status: 9,
        };
        assert_eq!(offset(new.pid), offset(WORD.pid));
        let new = new.encode(&world());
        for cut in 1..BYTES {
            let mut torn = old;
            torn[..cut].copy_from_slice(&new[..cut]);
            let whole = torn == old || torn == new;
            assert_eq!(Word::decode(&torn, &world()).is_some(), whole, "{cut}");
        }
    }

    #[test]
    fn another_boot_or_namespace_is_not_believed() {
        let bytes = WORD.encode(&world());
        let mut other = world();
        other.boot_id = "6ff0a7a2-0002".into();
        assert_eq!(Word::decode(&bytes, &other), None);
        let mut other = world();
        other.pid_namespace += 1;
        assert_eq!(Word::decode(&bytes, &other), None);
    }

    #[test]
    fn slots_lie_within_the_file() {
        let pids = [0, 1, SLOTS - 1, SLOTS, SLOTS + 1, u32::MAX];
        for pid in pids {
            let offset = offset(pid);
            assert_eq!(offset % BYTES as u64, 0);
            assert!(offset + BYTES as u64 <= u64::from(SLOTS) * BYTES as u64);
        }
        assert_eq!(offset(SLOTS + 1), BYTES as u64);
    }

    #[test]
    fn a_pid_is_one_process_from_start_to_end() {
        let was = |pid, at| {
            WORD.was(Sighting {
                pid,
                at: Instant(at),
            })
        };
        let (started, ended) = (WORD.started.0, WORD.ended.0);
        assert!(was(WORD.pid, started) && was(WORD.pid, ended));
        assert!(!was(WORD.pid, started - 1) && !was(WORD.pid, ended + 1));
        assert!(!was(WORD.pid + SLOTS, started));
    }
}
