//! How long an initramfs that has found no root rests before it looks again. A shell that was
//! used has changed something, so there is no rest; one that ended at once was used by nobody,
//! and without a rest the machine would go on like this as fast as it can.

use core::time::Duration;

/// A shell that lasts no longer was used by nobody.
pub const AT_ONCE: Duration = Duration::from_secs(1);
/// The longest rest, in seconds.
pub const LONGEST_S: u64 = 32;

/// The rests, each twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rests {
    next_s: u64,
}

impl Default for Rests {
    fn default() -> Self {
        Self { next_s: 1 }
    }
}

impl Rests {
    /// After a shell that lasted so long: how many seconds to rest, if at all.
    pub fn after(self, lasted: Duration) -> (Self, Option<u64>) {
        if lasted > AT_ONCE {
            return (Self::default(), None);
        }
        let next_s = (2 * self.next_s).min(LONGEST_S);
        (Self { next_s }, Some(self.next_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_until_somebody_is_there() {
        let mut rests = Rests::default();
        for wanted in [1, 2, 4, 8, 16, 32, 32] {
            let rest;
            (rests, rest) = rests.after(AT_ONCE);
            assert_eq!(rest, Some(wanted));
        }
        let used = AT_ONCE + Duration::from_nanos(1);
        assert_eq!(rests.after(used), (Rests::default(), None));
    }
}
