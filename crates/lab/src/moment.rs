//! Moments of the workstation's clock, for deadlines and for what a machine
//! without a clock of its own took.

use std::time::Duration;

use rustix::event::Timespec;
use rustix::time::{ClockId, clock_gettime};

/// A moment of the workstation's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Nanoseconds since the workstation was started.
    nanos: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self {
            nanos: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64,
        }
    }

    /// The moment at which the boot clock shows this time.
    pub fn on_boot_clock(time: Duration) -> Self {
        Self {
            nanos: time.as_nanos() as u64,
        }
    }

    /// The time since `earlier`, which is none if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// The moment `later` after this one.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self {
            nanos: self.nanos.saturating_add(later.as_nanos() as u64),
        }
    }
}

/// A time-out for poll.
pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
