//! The last steps of a machine: TERM for every process, KILL for every process, and then
//! the request to the kernel to end the machine.
//!
//! Every process has got TERM when a descent begins. As soon as none is left, or
//! when the grace is over, KILL is due; once more it waits until none is left, for
//! at most [`KILL_GRACE`]; then the end is due. The kernel may refuse it: then
//! another end is asked for, if there is one, and else PID 1 exits.
//!
//! No event leads back, so a machine that has come so far ends, whatever happens.
//! What is said on the way, and which end it is, is the machine's own.

use core::time::Duration;

use crate::time::Instant;

/// How long killed processes may take to vanish.
pub const KILL_GRACE: Duration = Duration::from_secs(2);

/// How far down the machine is; moments on the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Descent {
    /// Every process has got TERM.
    Term {
        /// Until then they may end.
        until: Instant,
    },
    /// Every process has got KILL.
    Kill {
        /// Until then they may vanish.
        until: Instant,
    },
    /// The end was asked for.
    Asked,
    /// Nothing is left to do.
    Over,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    /// Send KILL to every process.
    Kill,
    /// Write the file systems to disk and ask for the end.
    End,
}

impl Descent {
    /// Every process has just got TERM, and may take so long.
    pub const fn begin(now: Instant, grace: Duration) -> Self {
        Self::Term {
            until: now.plus(grace),
        }
    }

    /// No process is left at its beginning: all that is due is the end.
    pub const fn last() -> Self {
        Self::Kill { until: Instant(0) }
    }

    /// The next step down, and what is due then; none before its time.
    #[must_use]
    pub fn next(self, now: Instant) -> Option<(Self, Due)> {
        match self {
            Self::Term { until } if until <= now => {
                let until = now.plus(KILL_GRACE);
                Some((Self::Kill { until }, Due::Kill))
            }
            Self::Kill { until } if until <= now => Some((Self::Asked, Due::End)),
            _ => None,
        }
    }

    /// No process is left: there is nothing to wait for.
    #[must_use]
    pub const fn no_process_is_left(self, now: Instant) -> Self {
        match self {
            Self::Term { .. } => Self::Term { until: now },
            Self::Kill { .. } => Self::Kill { until: now },
            Self::Asked | Self::Over => self,
        }
    }

    /// The kernel refused the end: another one is asked for, or PID 1 exits; none
    /// when it was not asked.
    #[must_use]
    pub const fn refused(self, there_is_another: bool) -> Option<Self> {
        match (self, there_is_another) {
            (Self::Asked, true) => Some(Self::Asked),
            (Self::Asked, false) => Some(Self::Over),
            _ => None,
        }
    }

    /// When the next step is due.
    pub const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Term { until } | Self::Kill { until } => Some(until),
            Self::Asked | Self::Over => None,
        }
    }

    /// Whether [`Descent::no_process_is_left`] would change anything.
    pub const fn waits_for_the_last_process(self) -> bool {
        matches!(self, Self::Term { .. } | Self::Kill { .. })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::vec;
    use std::collections::HashSet;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    /// From a moment on which everything may depend: before, at, after.
    const MOMENTS: [u64; 7] = [0, 1, 2, 3, 5, 7, 9];

    #[derive(Clone, Copy)]
    enum Event {
        Tick,
        NobodyIsLeft,
        Refused(bool),
    }

    const EVENTS: [Event; 4] = [
        Event::Tick,
        Event::NobodyIsLeft,
        Event::Refused(true),
        Event::Refused(false),
    ];

    fn step(descent: Descent, now: Instant, event: Event) -> (Descent, vec::Vec<Due>) {
        let mut descent = match event {
            Event::Tick => descent,
            Event::NobodyIsLeft => descent.no_process_is_left(now),
            Event::Refused(another) => descent.refused(another).unwrap_or(descent),
        };
        let mut due = vec![];
        while let Some((next, what)) = descent.next(now) {
            assert!(rank(next) > rank(descent), "{descent:?} -> {next:?}");
            descent = next;
            due.push(what);
            assert!(due.len() <= 2, "no end of steps: {due:?}");
        }
        (descent, due)
    }

    fn rank(descent: Descent) -> u8 {
        match descent {
            Descent::Term { .. } => 0,
            Descent::Kill { .. } => 1,
            Descent::Asked => 2,
            Descent::Over => 3,
        }
    }

    /// Every event at every moment in every state that can be reached.
    #[test]
    fn every_event_in_every_state() {
        let mut todo = vec![
            (Descent::begin(Instant(0), GRACE), 0),
            (Descent::begin(Instant(0), Duration::MAX), 0),
            (Descent::Over, 0),
        ];
        let mut seen = HashSet::new();
        while let Some((descent, at)) = todo.pop() {
            if !seen.insert((descent, at)) {
                continue;
            }
            for later in MOMENTS.into_iter().filter(|t| *t >= at) {
                for event in EVENTS {
                    let now = Instant(0).plus(Duration::from_secs(later));
                    let (next, due) = step(descent, now, event);
                    check(descent, next, &due, now, event);
                    todo.push((next, later));
                }
            }
        }
        assert!(seen.len() > 30, "only {} states", seen.len());
    }

    fn check(before: Descent, after: Descent, due: &[Due], now: Instant, event: Event) {
        // What is due is told once, and in order.
        let told = [Due::Kill, Due::End];
        let (from, to) = (rank(before).min(2), rank(after).min(2));
        assert_eq!(due, &told[usize::from(from)..usize::from(to)]);
        // Nothing happens before its time, and nothing that is due waits.
        assert!(after.deadline().is_none_or(|end| end > now), "{after:?}");
        let waited = before.deadline().is_some_and(|end| end > now);
        if waited && !matches!(event, Event::NobodyIsLeft) {
            assert_eq!(before, after);
        }
        // One step at a time: after KILL the killed have time to vanish.
        assert!(to <= from + 1, "{before:?} -> {after:?}");
        assert_eq!(
            after.waits_for_the_last_process(),
            after.deadline().is_some()
        );
        // What was asked for stands until it is refused, and an end is for ever.
        let is_refused = matches!(event, Event::Refused(false));
        match before {
            Descent::Asked if is_refused => assert_eq!(after, Descent::Over),
            Descent::Asked | Descent::Over => assert_eq!(after, before),
            _ => {}
        }
    }

    /// Nothing but time brings it to its end.
    #[test]
    fn it_ends() {
        let start = Instant(0).plus(Duration::from_secs(100));
        let mut descent = Descent::begin(start, GRACE);
        let mut now = start;
        while let Some(end) = descent.deadline() {
            now = end;
            descent = step(descent, now, Event::Tick).0;
        }
        assert_eq!(descent, Descent::Asked);
        assert_eq!(now, start.plus(GRACE + KILL_GRACE));
    }
}
