//! The process that a status shows to run, as the kernel sees it: whether it has
//! ended, and how old it is. What that means is decided by [`model::control::life`].

use model::control::life::{self, Life};
use model::format::proc_stat;
use model::format::status::Status;
use model::format::tai64n::Tai64n;
use rustix::process::Pid;

use crate::sys::{clock, pidfd};

const NS_PER_MS: u64 = 1_000_000;

/// A process that was seen in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    pid: u32,
    label: Tai64n,
    /// When it was first seen (boot clock).
    since_ns: u64,
}

impl Sighting {
    /// The process is seen now.
    pub fn of(status: &Status) -> Self {
        Self {
            pid: status.pid,
            label: status.changed,
            since_ns: clock::boot_ns(),
        }
    }

    /// Whether the status shows this very process.
    pub fn is_of(&self, status: &Status) -> bool {
        (self.pid, self.label) == (status.pid, status.changed)
    }

    /// What is known of it now.
    pub fn life(&self) -> Life {
        let now_ns = clock::boot_ns();
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        Life {
            seen_ms: now_ns.saturating_sub(self.since_ns) / NS_PER_MS,
            is_gone: pid.is_none_or(pidfd::is_gone),
            age_ms: self.age_ms(now_ns),
        }
    }

    /// How old the process of that number is, if it began when the label says.
    fn age_ms(&self, now_ns: u64) -> Option<u64> {
        let line = std::fs::read(format!("/proc/{}/stat", self.pid)).ok()?;
        let stat = proc_stat::decode(&line)?;
        // It began within the tick: as young as it may be.
        let began_ns = (stat.started + 1).saturating_mul(clock::tick_ns());
        let age_ms = now_ns.saturating_sub(began_ns) / NS_PER_MS;
        life::is_same(age_ms, self.label_age_ms()).then_some(age_ms)
    }

    fn label_age_ms(&self) -> i64 {
        let ms = |t: Tai64n| {
            let whole = t.unix_seconds().saturating_mul(1000);
            whole.saturating_add(i64::from(t.nanos() / 1_000_000))
        };
        ms(clock::wall()).saturating_sub(ms(self.label))
    }
}
