//! What every PID 1 of sunup needs, whatever decides for it: `console` speaks,
//! `children` reaps, `lifeline` is what happens should PID 1 itself fail, and
//! here is how long the end may take and how it comes.

pub mod children;
pub mod console;
pub mod lifeline;

use std::io;
use std::time::Duration;

use crate::sys::{clock, power};

/// The longest grace that may be set.
const GRACE_S_MAX: u64 = 3600;

/// The clock of deadlines: time since boot.
pub fn now() -> Duration {
    Duration::from_nanos(clock::boot_ns())
}

/// The time between TERM and KILL at the end: `SUNUP_GRACE` in seconds, or the usual.
pub fn grace(usual_s: u64) -> Duration {
    let seconds = match std::env::var("SUNUP_GRACE") {
        Err(_) => usual_s,
        Ok(text) => text.parse().unwrap_or_else(|_| {
            console::say(&format!(
                "SUNUP_GRACE={text}: not a number of seconds; {usual_s} is used"
            ));
            usual_s
        }),
    };
    Duration::from_secs(seconds.min(GRACE_S_MAX))
}

/// Asks the kernel for the end once the console has shown everything. `Ok`: the end is near.
pub fn end(end: power::End) -> io::Result<()> {
    console::drain();
    power::end_by_child(end)
}
