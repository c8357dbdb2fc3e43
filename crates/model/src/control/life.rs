//! When a start counts: the process must have lived for a while, or the service
//! must say that it is available, and in no case may it have ended meanwhile.
//!
//! A service that fails at once still runs for a millisecond, and sv, which the kernel
//! wakes at its start, sees it run. So to see it once proves nothing. A start counts if
//! the same process has been seen for [`LIVED_MS`], or is as old as that: the kernel
//! knows when it began, by the boot clock. The label in the status is by the wall clock,
//! which may be set; it only shows that the process of that number is the service's, and
//! not another's in another pid namespace.
//!
//! A supervisor may be late to report that a process has ended. So the kernel is asked,
//! too: a zombie that began at the time of the label is the service, and it has ended. A
//! pid that does not exist has two explanations: the supervisor has just reaped the
//! service and will report that in a moment, or the pid belongs to a pid namespace that
//! we do not see. If the status is still the same after [`UNSEEN_MS`], it is believed.

/// How long a process must have lived to count as started (ms), if the service does
/// not say itself that it is available, and unless less time than this is waited.
pub const LIVED_MS: u64 = 100;
/// How long a process that the kernel does not show must stay in the status (ms).
pub const UNSEEN_MS: u64 = 500;
/// By how much the start of a process may differ from the label (ms): it is written
/// a moment later, on a busy machine.
const LABEL_MS: i64 = 1000;

/// What is known of the process that a status shows to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// For how long this very process has been seen in the status (ms).
    pub seen_ms: u64,
    /// How old the kernel says that it is (ms), if it is certainly the service's.
    pub age_ms: Option<u64>,
    /// The kernel shows no such process, or one that has ended.
    pub is_gone: bool,
}

/// Whether a start counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It does.
    Counts,
    /// Not before so many ms have passed, if nothing happens until then.
    After(u64),
    /// It has ended: the supervisor will say so.
    Ended,
}

impl Life {
    /// Judges a start. `needed_ms`: how long it must have lived, see [`needed_ms`].
    pub fn stand(self, needed_ms: u64) -> Stand {
        let lived_ms = self.seen_ms.max(self.age_ms.unwrap_or(0));
        let (lived_ms, needed_ms) = match (self.is_gone, self.age_ms) {
            (true, Some(_)) => return Stand::Ended,
            (true, None) => (self.seen_ms, UNSEEN_MS),
            (false, _) => (lived_ms, needed_ms),
        };
        match needed_ms.saturating_sub(lived_ms) {
            0 => Stand::Counts,
            left_ms => Stand::After(left_ms),
        }
    }
}

/// How long a process must have lived (ms). `is_available`: the service's `check` said
/// so. `wait_ms`: how long the user is willing to wait.
pub fn needed_ms(is_available: bool, wait_ms: u64) -> u64 {
    if is_available {
        return 0;
    }
    LIVED_MS.min(wait_ms)
}

/// Whether a process that is `age_ms` old is the one whose label is `label_age_ms` old.
pub fn is_same(age_ms: u64, label_age_ms: i64) -> bool {
    i64::try_from(age_ms).is_ok_and(|age| age.saturating_sub(label_age_ms).abs() <= LABEL_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Life = Life {
        seen_ms: 0,
        age_ms: Some(3),
        is_gone: false,
    };

    #[test]
    fn a_start_counts_after_a_while() {
        let at = |seen_ms, age_ms| Life {
            seen_ms,
            age_ms,
            ..YOUNG
        };
        assert_eq!(at(0, Some(3)).stand(LIVED_MS), Stand::After(97));
        assert_eq!(at(99, Some(3)).stand(LIVED_MS), Stand::After(1));
        assert_eq!(at(100, Some(3)).stand(LIVED_MS), Stand::Counts);
        assert_eq!(at(0, Some(100)).stand(LIVED_MS), Stand::Counts);
        assert_eq!(at(0, None).stand(LIVED_MS), Stand::After(100));
        assert_eq!(at(100, None).stand(LIVED_MS), Stand::Counts);
    }

    #[test]
    fn less_is_needed_where_the_service_says_so_or_less_is_waited() {
        assert_eq!(needed_ms(false, 7000), LIVED_MS);
        assert_eq!(needed_ms(false, 50), 50);
        assert_eq!(needed_ms(false, 0), 0);
        assert_eq!(needed_ms(true, 7000), 0);
        assert_eq!(YOUNG.stand(0), Stand::Counts);
    }

    /// However long it was seen, and whatever it says of itself.
    #[test]
    fn what_has_ended_never_counts() {
        for seen_ms in [0, LIVED_MS, UNSEEN_MS, u64::MAX] {
            for needed_ms in [0, LIVED_MS] {
                let zombie = Life {
                    seen_ms,
                    age_ms: Some(seen_ms),
                    is_gone: true,
                };
                assert_eq!(zombie.stand(needed_ms), Stand::Ended);
                let unseen = Life {
                    age_ms: None,
                    ..zombie
                };
                let late = seen_ms >= UNSEEN_MS;
                assert_eq!(unseen.stand(needed_ms) == Stand::Counts, late);
            }
        }
    }

    #[test]
    fn a_process_is_known_by_the_time_of_its_start() {
        assert!(is_same(5000, 5000));
        assert!(is_same(5900, 5000));
        assert!(is_same(0, -1000));
        assert!(!is_same(7000, 5000));
        // The clock was set, or it is another's.
        assert!(!is_same(5, i64::MAX));
        assert!(!is_same(5, i64::MIN));
        assert!(!is_same(u64::MAX, 5));
    }
}
