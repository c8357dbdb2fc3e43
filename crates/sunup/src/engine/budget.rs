//! How much of one kind of work is done before others have their turn.

use model::time::Instant;

use crate::sys::clock;

/// So many starts, ...
const STARTS_MAX: u32 = 16;
/// ... or as many things as can be done in this time (ns), one at least.
const TURN_NS: u64 = 2_000_000;
/// The same where services wait for others: in a chain the next one starts with the word of
/// the one before, and all that is to be opened besides has time while that loads.
const WORD_NS: u64 = 20_000;

/// What is left for one kind of work.
pub struct Budget {
    starts: u32,
    until: Instant,
}

impl Budget {
    /// All of it.
    pub fn new() -> Self {
        Self::until(TURN_NS)
    }

    /// As [`Budget::new`], if words may come that others wait for.
    pub fn of_order(is_on: bool) -> Self {
        Self::until(if is_on { WORD_NS } else { TURN_NS })
    }

    fn until(turn_ns: u64) -> Self {
        Self {
            starts: STARTS_MAX,
            until: Instant(clock::now().0 + turn_ns),
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
