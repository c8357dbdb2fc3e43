//! Collects ended children, PID 1's own and orphans alike.

use model::process::{Exit, Pid};

use super::last_word;

/// How many ended children are looked at before signals have their turn again.
pub const BATCH: usize = 64;

/// Passes a batch of children that have ended to `ended`; returns whether no child
/// is left at all.
pub fn reap(mut ended: impl FnMut(Pid, Exit)) -> bool {
    for _ in 0..BATCH {
        match last_word::wait_next() {
            Ok(Some((pid, status))) => {
                ended(pid.as_raw_pid() as Pid, Exit::of_status(status.as_raw()));
            }
            Err(rustix::io::Errno::CHILD) => return true,
            _ => return false,
        }
    }
    false
}
