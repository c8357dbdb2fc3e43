//! One slot of the machine: an inittab entry and its process.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Action, Id, Message, QUIET_AFTER, REST_MAX, SHORT_LIFE, SHUTDOWN_LIMIT, STAGE3_LIMIT};
use crate::format::inittab::{self, Entry};
use crate::process::Exit;
use crate::process::Pid;
use crate::time::Instant;

/// How long a slot rests after this many failures in a row: 1, 2, 4, ... seconds.
pub fn rest(failures: u8) -> Duration {
    let seconds = 1_u64 << failures.saturating_sub(1).min(10);
    Duration::from_secs(seconds).min(REST_MAX)
}

/// Where a slot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Job {
    /// Not to be started unless somebody asks.
    Idle,
    /// To be started when its turn comes.
    Ready,
    /// The start was asked for.
    Starting,
    /// It runs.
    Running { pid: Pid, since: Instant },
    /// To be started, but not before.
    Resting { until: Instant },
    /// To be started when its terminal appears; until then nobody looks.
    Absent { until: Instant },
}

impl Job {
    pub(super) fn is_due(self, now: Instant) -> bool {
        match self {
            Self::Ready => true,
            Self::Resting { until } | Self::Absent { until } => until <= now,
            Self::Idle | Self::Starting | Self::Running { .. } => false,
        }
    }

    pub(super) fn has_process(self) -> bool {
        matches!(self, Self::Starting | Self::Running { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) id: Id,
    pub(super) entry: Entry,
    /// Whether the inittab still holds it.
    pub(super) listed: bool,
    pub(super) job: Job,
    /// Short lives and failed starts in a row.
    pub(super) failures: u8,
    /// It was said that its terminal is not there.
    pub(super) is_told_absent: bool,
}

impl Slot {
    /// A slot for an entry of the inittab.
    pub(super) fn new(id: Id, entry: Entry, job: Job) -> Self {
        Self {
            id,
            entry,
            listed: true,
            job,
            failures: 0,
            is_told_absent: false,
        }
    }

    /// Its terminal is not there, which is no failure of the command.
    pub(super) fn no_terminal(&mut self, now: Instant, out: &mut Vec<Action>) {
        let until = now.plus(REST_MAX);
        self.job = Job::Absent { until };
        if !core::mem::replace(&mut self.is_told_absent, true) {
            out.push(Action::Say(Message::NoTerminal {
                tty: self.entry.tty.clone(),
                command: self.entry.command.clone(),
            }));
        }
    }

    /// The kernel gave no process for it.
    pub(super) fn start_failed(&mut self, reason: String, now: Instant, out: &mut Vec<Action>) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            out.push(Action::Say(Message::NoProcess {
                command: self.entry.command.clone(),
                reason,
            }));
        }
        let until = now.plus(rest(self.failures));
        self.job = Job::Resting { until };
    }

    pub(super) fn start(&mut self, out: &mut Vec<Action>) {
        self.job = Job::Starting;
        out.push(Action::Start {
            id: self.id,
            entry: self.entry.clone(),
            quiet: self.failures >= QUIET_AFTER,
        });
    }

    pub(super) fn limit(&self) -> Duration {
        if self.id == Id::STAGE3 {
            STAGE3_LIMIT
        } else {
            SHUTDOWN_LIMIT
        }
    }

    /// The same slot under a new line of the inittab.
    pub(super) fn listed_as(self, entry: Entry, first_job: Job) -> Self {
        let keeps = self.job.has_process() || self.entry.action == entry.action;
        Self {
            job: if keeps { self.job } else { first_job },
            entry,
            listed: true,
            ..self
        }
    }

    /// Its process has ended.
    pub(super) fn ended(
        &mut self,
        pid: Pid,
        ended: Exit,
        now: Instant,
        going_down: bool,
        out: &mut Vec<Action>,
    ) {
        let Job::Running { since, .. } = self.job else {
            return;
        };
        let again = self.entry.action.respawns() && self.listed && !going_down;
        let short = again && now.since(since) < SHORT_LIFE;
        self.failures = if short {
            self.failures.saturating_add(1)
        } else {
            0
        };
        self.job = match (again, short) {
            (false, _) => Job::Idle,
            (true, false) => Job::Ready,
            (true, true) => Job::Resting {
                until: now.plus(rest(self.failures)),
            },
        };
        // On the way down everybody ends, and only the commands of the shutdown are news.
        let is_news = !going_down || self.entry.action == inittab::Action::Shutdown;
        if is_news && self.failures <= QUIET_AFTER {
            out.push(Action::Say(Message::Exited {
                command: self.entry.command.clone(),
                pid,
                ended,
                again,
            }));
        }
        if self.failures == QUIET_AFTER {
            out.push(Action::Say(Message::EndsAtOnce {
                command: self.entry.command.clone(),
            }));
        }
    }
}
