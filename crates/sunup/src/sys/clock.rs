//! The two clocks: one for deadlines, one for labels.

use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::time::Instant;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since boot, counting suspend; never set back, so deadlines use it.
pub fn boot_ns() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    (t.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(t.tv_nsec as u64)
}

/// The moment, on the boot clock.
pub fn now() -> Instant {
    Instant(boot_ns())
}

/// The moment, on both clocks.
pub fn moment() -> Moment {
    Moment {
        at: now(),
        wall: wall(),
    }
}

/// The moment that is so many milliseconds from now, as [`boot_ns`] counts.
pub fn after_ms(ms: u64) -> u64 {
    boot_ns().saturating_add(ms.saturating_mul(1_000_000))
}

/// A time (ns) as the kernel wants it.
pub fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as _,
    }
}

/// The time from now until a moment, as the kernel wants it.
pub fn until(at: Instant) -> Timespec {
    timespec(at.0.saturating_sub(boot_ns()))
}

/// What /proc counts times in (ns).
pub fn tick_ns() -> u64 {
    // SAFETY: sysconf has no memory effects.
    1_000_000_000 / unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64
}

/// The wall clock, for status files and log lines.
pub fn wall() -> Tai64n {
    let t = clock_gettime(ClockId::Realtime);
    Tai64n::from_unix(t.tv_sec, t.tv_nsec as u32)
}
