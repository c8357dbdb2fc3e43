//! The record that a child leaves of itself for a later supervisor: who it is and since
//! when. It is written in the child, which neither allocates nor locks.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::process::getpid;
use rustix::time::{ClockId, clock_gettime};

/// See [`super::Plan::record`].
pub struct Record {
    /// The file, open for writing; the record is its beginning.
    pub file: RawFd,
    /// What the record starts with.
    pub prefix: Vec<u8>,
}

/// Length of every record.
pub const RECORD_BYTES: usize = model::format::adopt::BYTES;

/// Writes `PREFIX PID BOOT_NS`, blanks up to the length, and a newline. A failure
/// costs only the adoption of this process by a later supervisor, so the service
/// starts all the same.
pub fn write_record(record: &Record) {
    let now = clock_gettime(ClockId::Boottime);
    let ns = (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64);
    let pid = getpid().as_raw_pid() as u64;
    let mut text = [b' '; RECORD_BYTES];
    let mut at = append(&mut text, 0, &record.prefix);
    at = append_number(&mut text, at, pid);
    at = append(&mut text, at, b" ");
    append_number(&mut text, at, ns);
    append(&mut text, RECORD_BYTES - 1, b"\n");
    // SAFETY: the supervisor keeps it open meanwhile.
    let file = unsafe { BorrowedFd::borrow_raw(record.file) };
    let _written = rustix::io::pwrite(file, &text, 0);
}

/// Copies what fits and returns the new end.
fn append(to: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let room = to.get_mut(at..).unwrap_or_default();
    for (slot, byte) in room.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    at + bytes.len().min(room.len())
}

fn append_number(to: &mut [u8], at: usize, mut n: u64) -> usize {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start = start.saturating_sub(1);
        if let Some(d) = digits.get_mut(start) {
            *d = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    append(to, at, digits.get(start..).unwrap_or_default())
}
