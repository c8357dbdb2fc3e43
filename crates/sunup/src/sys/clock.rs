//! The two clocks: one for deadlines, one for labels.

use model::format::tai64n::Tai64n;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, counting suspend; never set back, so deadlines use it.
pub fn boot_ns() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    (t.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(t.tv_nsec as u64)
}

/// The wall clock, for status files and log lines.
pub fn wall() -> Tai64n {
    let t = clock_gettime(ClockId::Realtime);
    Tai64n::from_unix(t.tv_sec, t.tv_nsec as u32)
}
