//! The services whose state files are out of date, and when and in which order they
//! are written.
//!
//! While there are services that are still to be started, these come first: files wait
//! until the oldest change is [`LAG_MS`] old. `sv` waits for a new service no longer
//! than that; a start counts only after 100 ms anyway, and what a command changes is
//! written at once.
//!
//! How a run ended (`last`) is a file more, which nobody waits for: it is written after
//! [`LAG_MS`], in a round that has no other files to write, or after [`LAST_LAG_MS`] in any.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound;

use super::Id;
use crate::time::Instant;

/// How long files may lag behind while services are still to be started (ms).
const LAG_MS: u64 = 200;
/// How long `last` may lag behind while other files are written all the time (ms).
const LAST_LAG_MS: u64 = 1000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Unshown {
    due: BTreeSet<Id>,
    /// Since when there are some.
    since: Option<Instant>,
    /// The last of them that was written, if others were left over.
    last: Option<Id>,
    /// Those that could not be written.
    failed: BTreeSet<Id>,
    /// Those whose `last` may wait.
    lasts: BTreeSet<Id>,
    /// Since when there are some.
    lasts_since: Option<Instant>,
}

impl Unshown {
    /// They are due from `now` on.
    pub fn add(&mut self, id: Id, now: Instant) {
        self.due.insert(id);
        self.since.get_or_insert(now);
    }

    /// They are written now; returns whether they were due.
    pub fn take(&mut self, id: Id) -> bool {
        let was_due = self.due.remove(&id);
        if self.due.is_empty() {
            self.since = None;
        }
        was_due
    }

    /// Whether they have waited for long enough for services that are to be started.
    pub fn are_late(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| since.plus_ms(LAG_MS) <= now)
    }

    /// They could not be written, and are due by and by.
    pub fn fail(&mut self, id: Id) {
        self.failed.insert(id);
    }

    /// Those that could not be written are due from `now` on.
    pub fn try_again(&mut self, now: Instant) {
        for id in core::mem::take(&mut self.failed) {
            self.add(id, now);
        }
    }

    /// Forgets this service or logger.
    pub fn forget(&mut self, id: Id) {
        self.failed.remove(&id);
        self.lasts.remove(&id);
        self.take(id);
    }

    /// Its `last` is due when there is time for it.
    pub fn add_last(&mut self, id: Id, now: Instant) {
        if self.lasts.is_empty() {
            self.lasts_since = Some(now);
        }
        self.lasts.insert(id);
    }

    /// From when on there is a `last` to write.
    pub fn lasts_at(&self) -> Option<Instant> {
        let since = self.lasts_since.filter(|_| !self.lasts.is_empty());
        since.map(|since| since.plus_ms(LAG_MS))
    }

    /// A bounded number of those whose `last` has waited for long enough, where other files
    /// are written, too, or not.
    pub fn take_lasts(&mut self, count_max: usize, now: Instant, is_alone: bool) -> Vec<Id> {
        let lag_ms = if is_alone { LAG_MS } else { LAST_LAG_MS };
        let since = self.lasts_since;
        let count = match since.filter(|since| since.plus_ms(lag_ms) <= now) {
            Some(_) => count_max.min(self.lasts.len()),
            None => 0,
        };
        let due = (0..count).filter_map(|_| self.lasts.pop_first());
        due.collect()
    }

    /// Whether some are due that are `ready`.
    pub fn any(&self, ready: impl Fn(Id) -> bool) -> bool {
        self.due.iter().any(|id| ready(*id))
    }

    /// A bounded number of those that are due and `ready`. Each round continues where the
    /// last one ended, so that every service has a turn.
    pub fn next(&mut self, count_max: usize, ready: impl Fn(Id) -> bool) -> Vec<Id> {
        let from = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let to = self.last.map_or(Bound::Unbounded, Bound::Included);
        let after = self.due.range((from, Bound::Unbounded));
        // Without a last one, all were after it.
        let before = self.due.range((Bound::Unbounded, to));
        let before = before.filter(|_| self.last.is_some());
        let due = after.chain(before).copied().filter(|id| ready(*id));
        let due: Vec<Id> = due.take(count_max).collect();
        let is_all = due.len() < count_max;
        self.last = due.last().copied().filter(|_| !is_all);
        due
    }
}
