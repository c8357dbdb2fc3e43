//! What our own files of one line are to show of a service or logger, and which of them
//! differ. A file is written at most once in a round, and only if what it shows has
//! changed; a plain service has only `last`, from the first end of a run on.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::facts::Line;
use crate::format::state::last::{Last, Outcome};
use crate::format::tai64n::Tai64n;
use crate::process::{Exit, Program};
use crate::service::{Event, Failure, Service, State};
use crate::time::Instant;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// How many runs have ended, since the supervision began.
    ends: u32,
    /// How the last of them ended; most services have none.
    last: Option<Box<Last>>,
    is_last_due: bool,
}

impl Own {
    /// As a predecessor in this process left it: it has written what was due.
    pub fn again(ends: u32) -> Self {
        Self {
            ends,
            ..Self::default()
        }
    }

    /// How many runs have ended, since the supervision began.
    pub const fn ends(&self) -> u32 {
        self.ends
    }

    /// Before an event of the moment `at` changes the service.
    pub fn note(&mut self, service: &Service, event: Event, at: Instant, wall: Tai64n) {
        let (program, pid, exit, lived_ms) = match (event, service.state()) {
            (Event::Exited(pid, exit), State::Run(run)) if run.pid == pid => {
                // An adopted logger counts as older than it is (`crate::adoption`).
                let is_known = run.since > Instant(0);
                let lived_ms = is_known.then(|| at.ms_since(run.since));
                (run.program, pid, exit, lived_ms)
            }
            // As if it had run and exited 111 (runsv(8)).
            (
                Event::NotStarted(Failure::Exec | Failure::Absent),
                State::Starting { program, .. },
            ) => (program, 0, Exit::Code(111), Some(0)),
            _ => return,
        };
        let outcome = match (program, exit) {
            // `run` follows, or nothing has to.
            (Program::Setup, Exit::Code(0)) => return,
            (Program::Setup, _) => Outcome::Setup,
            (Program::Run, exit) => Outcome::of(exit),
        };
        self.last = Some(Box::new(Last {
            exit,
            outcome,
            at: wall,
            restarts: self.ends,
            pid,
            lived_ms,
            given_up: false,
        }));
        self.is_last_due = true;
        self.ends = self.ends.saturating_add(1);
    }

    /// Whether a file lags behind.
    pub const fn is_due(&self) -> bool {
        self.is_last_due
    }

    /// The files that differ; they count as written.
    pub fn take(&mut self) -> Vec<Line> {
        let is_due = core::mem::take(&mut self.is_last_due);
        let last = self.last.as_deref().filter(|_| is_due);
        last.map(|last| Line::Last(*last)).into_iter().collect()
    }
}
