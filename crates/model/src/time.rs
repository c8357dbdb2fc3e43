//! Moments on the boot clock, for deadlines. (Labels for files and logs are
//! [`crate::format::tai64n::Tai64n`]; nothing converts between the two.)

use core::time::Duration;

/// Nanoseconds since boot, as `CLOCK_BOOTTIME` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than every deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// This moment and a span of time.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        let ns = span.as_secs().saturating_mul(1_000_000_000);
        Self(
            self.0
                .saturating_add(ns)
                .saturating_add(span.subsec_nanos() as u64),
        )
    }

    /// The time from `earlier` to this moment; none if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}
