//! How much of one kind of work is done before others have their turn.

use model::time::Instant;

use crate::sys::clock;

/// So many starts, ...
const STARTS_MAX: u32 = 16;
/// ... or as many things as can be done in this time (ns), one at least.
const TURN_NS: u64 = 2_000_000;

/// What is left for one kind of work.
pub struct Budget {
    starts: u32,
    until: Instant,
}

impl Budget {
    /// All of it.
    pub fn new() -> Self {
        Self {
            starts: STARTS_MAX,
            until: Instant(clock::now().0 + TURN_NS),
        }
    }

    /// Something is started.
    pub const fn start(&mut self) {
        self.starts = self.starts.saturating_sub(1);
    }

    /// Whether there is some left.
    pub fn is_left(&self) -> bool {
        self.starts > 0 && clock::now() < self.until
    }
}
