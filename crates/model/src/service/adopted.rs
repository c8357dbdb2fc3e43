//! A service as an earlier supervisor left it.

use super::oneshot::DONE;
use super::{Role, Running, Service, State, Want};
use crate::format::adopt::Mark;
use crate::process::{Pid, Program};
use crate::restart::GAP_MS;
use crate::time::Instant;

impl Service {
    /// A service whose `./run` or `./setup` was started by an earlier supervisor.
    pub fn adopt_run(
        role: Role,
        want: Want,
        program: Program,
        pid: Pid,
        since: Instant,
        paused: bool,
        got_term: bool,
    ) -> Self {
        let running = Running {
            paused,
            got_term,
            was_told: got_term,
            ..Running::new(program, pid, since)
        };
        Self {
            state: State::Run(running),
            ..Self::new(role, want)
        }
    }

    /// A service whose `./finish` was started by an earlier supervisor.
    pub fn adopt_finish(want: Want, pid: Pid, now: Instant) -> Self {
        let state = State::Finish {
            pid,
            paused: false,
            kill_at: None,
            not_before: now.plus_ms(GAP_MS),
        };
        Self {
            state,
            ..Self::new(Role::Main, want)
        }
    }

    /// A oneshot that an earlier supervisor left done.
    pub const fn adopt_done() -> Self {
        Self {
            state: DONE,
            left: Mark::Over,
            ..Self::new(Role::Main, Want::Up)
        }
    }

    /// A service whose `./setup` has ended under an earlier supervisor, which did what
    /// follows from that.
    pub const fn adopt_over(want: Want) -> Self {
        Self {
            left: Mark::Over,
            ..Self::new(Role::Main, want)
        }
    }
}
