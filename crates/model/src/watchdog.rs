//! The hardware watchdog: a device that resets the machine unless it is fed in time.
//!
//! PID 1 opens it when the machine is up, or later, when the device appears, and feeds it twice in
//! its time, from the loop that does everything else: a PID 1 that hangs feeds nobody. On the way
//! down it goes on, with at least [`LAST_S`]: what PID 1 waits for at the end, such as the last sync,
//! may take longer than the time that is usual. A machine that restarts keeps it armed to the last, so
//! that a reboot which hangs is a reset. Before the power is turned off, before a halt, and before
//! PID 1 becomes another program, it is disarmed, which nothing else does: a failure leaves it armed.

use alloc::vec::Vec;
use core::time::Duration;

use crate::pid1::End;
use crate::time::Instant;

/// On the way down the device waits so long at least (seconds).
pub const LAST_S: u32 = 120;
/// The longest time that may be asked for, in seconds; most devices know less.
const SECONDS_MAX: u32 = 24 * 3600;

/// The watchdog as PID 1 knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watchdog {
    /// Nobody wants it, or it was given up.
    Off,
    /// It is wanted, with this time, when the machine is up.
    Later(u32),
    /// The device was asked for.
    Opening(u32),
    /// The device is not there.
    Absent(u32),
    /// It is armed.
    Armed {
        /// Its time, in seconds.
        seconds: u32,
        /// When it is fed again.
        feed_at: Instant,
        /// Whether it has the time of the way down.
        is_last: bool,
    },
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A turn of the loop, and where the machine is.
    Turn {
        /// The boot is over.
        is_up: bool,
        /// It goes down.
        goes_down: bool,
    },
    /// Something has appeared where devices are.
    Device,
    /// The device is open, and has this time.
    Opened(u32),
    /// The device is not there; when it appears, [`Event::Device`] comes.
    NotThere,
    /// It cannot be had.
    Refused,
    /// What PID 1 does next is its last; the end, or none for another program or an exit.
    Last(Option<End>),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the device, and set its time; answered.
    Open(u32),
    /// Set its time, if the device takes that.
    SetTime(u32),
    /// Feed it.
    Feed,
    /// Disarm and close it.
    Disarm,
}

impl Watchdog {
    /// That of a setting: a number of seconds.
    pub fn of_setting(text: &str) -> Option<Self> {
        let seconds: u32 = text.parse().ok()?;
        (1..=SECONDS_MAX)
            .contains(&seconds)
            .then_some(Self::Later(seconds))
    }

    /// One that a predecessor has armed.
    pub const fn resume(seconds: u32) -> Self {
        Self::Armed {
            seconds,
            feed_at: Instant(0),
            is_last: false,
        }
    }

    /// What follows from an event: total and pure.
    #[must_use]
    pub fn step(self, now: Instant, event: Event) -> (Self, Vec<Action>) {
        let mut out = Vec::new();
        let next = match (self, event) {
            (Self::Later(seconds), Event::Turn { is_up: true, .. })
            | (Self::Absent(seconds), Event::Device) => {
                out.push(Action::Open(seconds));
                Self::Opening(seconds)
            }
            (Self::Opening(_), Event::Opened(seconds)) => {
                Self::resume(seconds.max(1)).fed(now, &mut out)
            }
            (Self::Opening(seconds), Event::NotThere) => Self::Absent(seconds),
            (Self::Opening(_), Event::Refused) => Self::Off,
            (Self::Armed { .. }, Event::Turn { goes_down, .. }) => {
                let armed = if goes_down { self.last(&mut out) } else { self };
                if armed.deadline().is_some_and(|due| due <= now) {
                    armed.fed(now, &mut out)
                } else {
                    armed
                }
            }
            (Self::Armed { .. }, Event::Last(Some(End::Reboot))) => {
                self.last(&mut out).fed(now, &mut out)
            }
            (Self::Armed { .. }, Event::Last(_)) => {
                out.push(Action::Disarm);
                Self::Off
            }
            _ => self,
        };
        (next, out)
    }

    /// With the time of the way down; it is fed at once then.
    fn last(self, out: &mut Vec<Action>) -> Self {
        match self {
            Self::Armed {
                seconds,
                is_last: false,
                ..
            } => {
                if seconds < LAST_S {
                    out.push(Action::SetTime(LAST_S));
                }
                // Fed as before: a device may not know so long a time.
                Self::Armed {
                    seconds,
                    feed_at: Instant(0),
                    is_last: true,
                }
            }
            other => other,
        }
    }

    fn fed(self, now: Instant, out: &mut Vec<Action>) -> Self {
        match self {
            Self::Armed {
                seconds, is_last, ..
            } => {
                out.push(Action::Feed);
                Self::Armed {
                    seconds,
                    feed_at: now.plus(Duration::from_millis(u64::from(seconds) * 500)),
                    is_last,
                }
            }
            other => other,
        }
    }

    /// When the next [`Event::Turn`] is due, if no other comes first.
    pub const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Armed { feed_at, .. } => Some(feed_at),
            _ => None,
        }
    }

    /// Whether [`Event::Device`] would change anything.
    pub const fn waits_for_the_device(self) -> bool {
        matches!(self, Self::Absent(_))
    }

    /// The time that it is armed with, for a successor.
    pub const fn armed_s(self) -> Option<u32> {
        match self {
            Self::Armed { seconds, .. } => Some(seconds),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::vec;
    use std::collections::HashSet;

    use super::*;

    const UP: Event = Event::Turn {
        is_up: true,
        goes_down: false,
    };
    const DOWN: Event = Event::Turn {
        is_up: false,
        goes_down: true,
    };

    fn at(seconds: u64) -> Instant {
        Instant(0).plus(Duration::from_secs(seconds))
    }

    fn story(start: Watchdog, events: &[(u64, Event)]) -> (Watchdog, Vec<Action>) {
        let mut all = vec![];
        let mut dog = start;
        for (second, event) in events {
            let (next, actions) = dog.step(at(*second), *event);
            dog = next;
            all.extend(actions);
        }
        (dog, all)
    }

    #[test]
    fn settings() {
        assert_eq!(Watchdog::of_setting("30"), Some(Watchdog::Later(30)));
        for bad in ["", "0", "-1", "1.5", "86401", "x", "30s"] {
            assert_eq!(Watchdog::of_setting(bad), None, "{bad}");
        }
    }

    #[test]
    fn it_is_opened_when_the_machine_is_up_and_fed_twice_in_its_time() {
        let boots = Event::Turn {
            is_up: false,
            goes_down: false,
        };
        let events = [
            (1, boots),
            (2, UP),
            (2, Event::Opened(8)),
            (5, UP),
            (6, UP),
            (7, UP),
        ];
        let (dog, actions) = story(Watchdog::Later(10), &events);
        assert_eq!(actions, [Action::Open(10), Action::Feed, Action::Feed]);
        assert_eq!(dog.deadline(), Some(at(10)));
        assert_eq!(dog.armed_s(), Some(8));
    }

    #[test]
    fn a_device_that_appears_later_is_opened_then() {
        let events = [(1, UP), (1, Event::NotThere), (2, UP)];
        let (dog, actions) = story(Watchdog::Later(10), &events);
        assert_eq!(
            (dog, actions),
            (Watchdog::Absent(10), vec![Action::Open(10)])
        );
        assert!(dog.waits_for_the_device() && dog.deadline().is_none());
        let (dog, actions) = story(dog, &[(3, Event::Device), (3, Event::Refused), (4, UP)]);
        assert_eq!((dog, actions), (Watchdog::Off, vec![Action::Open(10)]));
    }

    #[test]
    fn the_way_down_has_a_time_of_its_own_and_a_reboot_stays_armed() {
        let events = [(4, DOWN), (5, DOWN), (9, DOWN)];
        let (dog, actions) = story(Watchdog::resume(10), &events);
        let expected = [Action::SetTime(LAST_S), Action::Feed, Action::Feed];
        assert_eq!(actions, expected);
        for end in End::ALL.map(Some).into_iter().chain([None]) {
            let (after, actions) = dog.step(at(9), Event::Last(end));
            if end == Some(End::Reboot) {
                assert_eq!(actions, [Action::Feed]);
                assert!(after.armed_s().is_some());
            } else {
                assert_eq!((after, actions), (Watchdog::Off, vec![Action::Disarm]));
            }
        }
    }

    /// Every event in every state that can be reached: only a last word disarms, nothing that is
    /// due stays due, and what is off stays off.
    #[test]
    fn every_event_in_every_state() {
        let mut events = vec![
            UP,
            DOWN,
            Event::Device,
            Event::Opened(10),
            Event::NotThere,
            Event::Refused,
            Event::Last(None),
        ];
        events.extend(End::ALL.map(|end| Event::Last(Some(end))));
        let mut todo = vec![(Watchdog::Later(10), 0_u64), (Watchdog::resume(10), 0)];
        let mut seen = HashSet::new();
        while let Some((dog, second)) = todo.pop() {
            if second > 20 || !seen.insert((dog, second)) {
                continue;
            }
            for later in [0, 1, 5] {
                for event in &events {
                    let now = at(second + later);
                    let (next, actions) = dog.step(now, *event);
                    let disarms = actions.contains(&Action::Disarm);
                    assert_eq!(disarms, dog.armed_s().is_some() && next.armed_s().is_none());
                    assert!(!disarms || matches!(event, Event::Last(_)));
                    if matches!(event, Event::Turn { .. }) {
                        assert!(next.deadline().is_none_or(|due| due > now), "{next:?}");
                    }
                    if dog == Watchdog::Off {
                        assert_eq!((next, actions.len()), (dog, 0));
                    }
                    todo.push((next, second + later));
                }
            }
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }
}
