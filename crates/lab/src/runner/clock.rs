//! Time as a test has it: a second counts as much as the share of the processors
//! that a process could get in it. So a deadline of two minutes is longer on a busy
//! machine, and a test that hangs there still ends.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::moment::Moment;

/// See the module.
pub struct Clock {
    processors: u32,
    state: Mutex<State>,
}

struct State {
    looked: Moment,
    shown: Duration,
}

impl Clock {
    /// A clock that shows zero.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            processors: processors as u32,
            state: Mutex::new(State {
                looked: Moment::now(),
                shown: Duration::ZERO,
            }),
        }
    }

    /// What it shows. Somebody has to ask every second or so: the share is that of now.
    pub fn now(&self) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let passed = now.since(state.looked);
        if passed > Duration::from_millis(200) {
            let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
            state.shown += passed.mul_f64(share(self.processors, &stat));
            state.looked = now;
        }
        state.shown
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The part of its time that a process gets, by what /proc/stat says: as many run
/// as can, and who waits for a disk needs it as others need a processor.
fn share(processors: u32, stat: &str) -> f64 {
    let field = |name: &str| -> u32 {
        let line = stat.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    };
    let wish = field("procs_running ") + field("procs_blocked ");
    (f64::from(processors) / f64::from(wish.max(1))).min(1.0)
}

#[cfg(test)]
mod tests {

    #[test]
    fn a_busy_machine_has_long_seconds() {
        let share = |stat| (super::share(2, stat) * 100.0).round() as u32;
        assert_eq!(share("cpu 1 2\nprocs_running 1\nprocs_blocked 0\n"), 100);
        assert_eq!(share("procs_running 7\nprocs_blocked 1\n"), 25);
        assert_eq!(share(""), 100);
    }
}
