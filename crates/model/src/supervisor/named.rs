//! Which services others wait for to stop, or start after: `sv` is told by a mark on the
//! fifos (`facts::Facts::is_named`). Beside one without the mark it need not look for others.

use super::roster::main;
use super::{Supervisor, UnitId};
use crate::graph::Edges;

impl Supervisor {
    /// What a unit says of others is no longer what it was before.
    pub(super) fn note_named_by(&mut self, unit: UnitId, before: &Edges) {
        let now = self.order.edges(unit);
        if now == *before {
            return;
        }
        for (_, name) in before.iter().chain(now.iter()) {
            if let Some(other) = self.order.named(name) {
                self.note_named(other);
            }
        }
        self.note_named(unit);
    }

    /// Whether others name a unit may have changed.
    pub(super) fn note_named(&mut self, unit: UnitId) {
        let is_named = self.order.is_named(unit);
        let half = self.half_mut(main(unit));
        if let Some(half) = half.filter(|half| half.is_named != is_named) {
            half.is_named = is_named;
            self.unshown.add(main(unit), self.now.at);
        }
    }
}
