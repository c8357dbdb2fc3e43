//! Collects ended children, PID 1's own and orphans alike.

use model::boot::{Ended, Pid};
use rustix::process::WaitStatus;

use super::exits;

/// So many ended children are looked at before signals have their turn again.
const BATCH: usize = 1024;

/// Passes each child that has ended to `ended`; returns whether no child is left at all.
pub fn reap(mut ended: impl FnMut(Pid, Ended)) -> bool {
    for _ in 0..BATCH {
        match exits::wait_next() {
            Ok(Some((pid, status))) => ended(pid.as_raw_pid(), how(status)),
            Err(rustix::io::Errno::CHILD) => return true,
            _ => return false,
        }
    }
    false
}

fn how(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code as u8),
        (None, signal) => Ended::Signal(signal.unwrap_or_default() as u8),
    }
}
