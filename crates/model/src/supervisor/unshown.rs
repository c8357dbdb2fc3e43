//! The services whose state files are out of date, and the order in which they are
//! written.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound;

use super::Id;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Unshown {
    due: BTreeSet<Id>,
    /// The last of them that was written, if others were left over.
    last: Option<Id>,
    /// Those that could not be written.
    failed: BTreeSet<Id>,
}

impl Unshown {
    /// They are due.
    pub fn add(&mut self, id: Id) {
        self.due.insert(id);
    }

    /// They are written now; returns whether they were due.
    pub fn take(&mut self, id: Id) -> bool {
        self.due.remove(&id)
    }

    /// They could not be written, and are due by and by.
    pub fn fail(&mut self, id: Id) {
        self.failed.insert(id);
    }

    /// Those that could not be written are due.
    pub fn try_again(&mut self) {
        self.due.append(&mut self.failed);
    }

    /// Forgets this service or logger.
    pub fn forget(&mut self, id: Id) {
        self.failed.remove(&id);
        self.due.remove(&id);
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
