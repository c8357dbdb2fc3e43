//! The deadlines of a supervisor: at most one for each purpose.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Id, UnitId};
use crate::scan::Identity;
use crate::time::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A service's own deadline.
    Service(Id),
    /// State files that could not be written.
    Rewrite,
    /// A service directory that could not be opened.
    Admit(Identity),
    /// A look at a service directory's entry `log`.
    Log(UnitId),
    /// The next `./check` of a service, or the end of its time.
    Check(UnitId),
    /// A service is held, and that lasts.
    Held(UnitId),
    /// A look at the directories of a service that name others.
    Edges(UnitId),
    /// A look at the scan directory.
    Scan,
    /// What still runs is left to a keeper.
    Leave,
    /// Report who is waited for.
    Remind,
    /// The keeper stops waiting for further commands.
    Linger,
}

/// The deadlines in order.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    by_time: BTreeSet<(Instant, Alarm)>,
    by_alarm: BTreeMap<Alarm, Instant>,
}

impl Alarms {
    /// Sets an alarm in place of an earlier one; `None`: there is none.
    pub fn set(&mut self, alarm: Alarm, at: Option<Instant>) {
        let old = match at {
            Some(at) => self.by_alarm.insert(alarm, at),
            None => self.by_alarm.remove(&alarm),
        };
        if old == at {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, alarm));
        }
        if let Some(at) = at {
            self.by_time.insert((at, alarm));
        }
    }

    /// Sets an alarm if it is not set for an earlier moment.
    pub fn set_by(&mut self, alarm: Alarm, at: Instant) {
        if self.by_alarm.get(&alarm).is_none_or(|old| *old > at) {
            self.set(alarm, Some(at));
        }
    }

    /// The first deadline.
    pub fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The first alarm if its moment has come.
    pub fn due(&self, now: Instant) -> Option<Alarm> {
        let first = self.by_time.first().filter(|(at, _)| *at <= now);
        first.map(|(_, alarm)| *alarm)
    }

    /// Takes the first alarm if its moment has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Alarm> {
        let alarm = self.due(now)?;
        self.set(alarm, None);
        Some(alarm)
    }
}
