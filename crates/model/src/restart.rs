//! Short lives: how many runs of a service in a row ended within a second of their start,
//! how long the gap before the next start is, and when this counts as a crash loop
//! (`docs/decisions/0016-restart-policy.md`).

use crate::format::backoff::LONGEST_S_MAX;
use crate::format::state::last::Outcome;
pub use crate::process::Cause;
use crate::process::Exit;
use crate::settings::{Policy, Restart, Settings};
use crate::signal::Signal;

/// A run that lives less than this is restarted with a gap, and the gap's length (ms).
pub const GAP_MS: u64 = 1000;
/// So many short lives in a row are a crash loop.
pub const LOOP_LIVES: u32 = 5;

/// How a service said that it is to stay down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GaveUp {
    /// Its `restart` says that it is not to be started again after this end.
    Restart,
    /// It had so many short lives in a row as its `give-up` says.
    Lives,
    /// Its `./setup` exited 111.
    Setup,
    /// Its `./finish` exited 125.
    Finish,
}

/// What `./finish` is told besides its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// `SUNUP_RESULT`.
    pub outcome: Outcome,
    /// `SUNUP_TRIES`: short lives in a row, this one included.
    pub tries: u32,
}

impl Report {
    /// Of an end; `None` if the directory has no file that says more than runit's: there
    /// `./finish` has the environment that it has there.
    pub fn of(exit: Exit, cause: Cause, streak: Streak, found: &Settings) -> Option<Self> {
        let is_ours = found.restart.is_some() || found.give_up.is_some() || found.setup;
        let outcome = match cause {
            Cause::Timeout => Outcome::Timeout,
            Cause::Setup => Outcome::Setup,
            Cause::Itself | Cause::Command | Cause::Undone => Outcome::of(exit),
        };
        let tries = streak.lives();
        (is_ours || cause == Cause::Timeout).then_some(Self { outcome, tries })
    }
}

/// What `./setup` exits with if it makes no sense to try again.
const HOPELESS: Exit = Exit::Code(111);
/// What `./finish` exits with if it makes no sense to start again.
pub const STAY_DOWN: Exit = Exit::Code(125);

impl GaveUp {
    /// Whether a service that is wanted up stays down after an end, by what its files say.
    pub fn of(exit: Exit, cause: Cause, streak: Streak, found: &Settings) -> Option<Self> {
        let is_enough = found
            .give_up
            .is_some_and(|most| streak.lives() >= most.max(1));
        let ends = |restart| stays_down(&restart, exit, cause);
        match cause {
            Cause::Command | Cause::Undone => None,
            Cause::Setup if exit == HOPELESS => Some(Self::Setup),
            Cause::Itself | Cause::Timeout if found.restart.is_some_and(ends) => {
                Some(Self::Restart)
            }
            Cause::Itself | Cause::Timeout | Cause::Setup => is_enough.then_some(Self::Lives),
        }
    }
}

/// Signals that end a program as it should, if nobody knows better.
const CLEAN: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::PIPE,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

/// Whether a service stays down after such an end of its run. An end that nobody saw is a
/// failure, as is one by us, because the run was not ready in time.
fn stays_down(restart: &Restart, exit: Exit, cause: Cause) -> bool {
    let signal = exit.signal().and_then(Signal::new);
    let is_clean = exit == Exit::Code(0) || signal.is_some_and(|signal| CLEAN.contains(&signal));
    let is_own = cause == Cause::Itself;
    match restart.policy {
        Policy::Never => true,
        Policy::Failure if is_own && is_clean => true,
        Policy::Failure | Policy::Always => is_own && restart.names(exit),
    }
}

/// The short lives since the last long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Streak {
    lives: u32,
    last: Exit,
    backs_off: bool,
    /// One of them did not become ready in time.
    was_late: bool,
}

impl Streak {
    /// No short lives.
    pub const NONE: Self = Self {
        lives: 0,
        last: Exit::Unknown,
        backs_off: false,
        was_late: false,
    };

    /// As a predecessor counted it.
    pub const fn again(lives: u32, last: Exit, backs_off: bool, was_late: bool) -> Self {
        Self {
            lives,
            last,
            backs_off,
            was_late,
        }
    }

    /// The present life is over its time to become ready: it will be one of them.
    pub const fn is_late(&mut self) {
        self.was_late = true;
    }

    /// Whether one of them, or the present life, did not become ready in time.
    pub const fn was_late(self) -> bool {
        self.was_late
    }

    /// One more short life, which ended so.
    #[must_use]
    pub const fn and(self, exit: Exit) -> Self {
        Self {
            lives: self.lives.saturating_add(1),
            last: exit,
            ..self
        }
    }

    /// How many.
    pub const fn lives(self) -> u32 {
        self.lives
    }

    /// How the last one ended.
    pub const fn last(self) -> Exit {
        self.last
    }

    /// Whether the service asks for growing delays, as far as is known.
    pub const fn backs_off(self) -> bool {
        self.backs_off
    }

    /// Whether it is a crash loop.
    pub const fn is_loop(self) -> bool {
        self.lives >= LOOP_LIVES
    }

    /// Whether the length of the delay depends on what the service asks for: the
    /// first one never does.
    pub const fn may_grow(self) -> bool {
        self.lives > 1
    }

    /// The service asks for delays that grow up to so many seconds, or for none.
    pub const fn ask(&mut self, longest: Option<u32>) {
        self.backs_off = longest.is_some();
    }

    /// The delay (ms) before the next start: a second, and twice as long after
    /// each further life if the service asks for delays that grow, up to its
    /// longest one (s). Never less than a second.
    pub fn delay_ms(self, longest: Option<u32>) -> u64 {
        let Some(longest) = longest else {
            return GAP_MS;
        };
        // A day is less than a second doubled 17 times.
        let doublings = self.lives.saturating_sub(1).min(17);
        let cap_ms = u64::from(longest.min(LONGEST_S_MAX)) * 1000;
        (GAP_MS << doublings).min(cap_ms).max(GAP_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn delays_s(longest: Option<u32>, lives: usize) -> Vec<u64> {
        let streaks =
            core::iter::successors(Some(Streak::NONE), |s| Some(s.and(Exit::of_status(256))));
        let delays = streaks.skip(1).map(|s| s.delay_ms(longest) / 1000);
        delays.take(lives).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        assert_eq!(delays_s(None, 4), [1, 1, 1, 1]);
        assert_eq!(
            delays_s(Some(60), 9),
            [1, 2, 4, 8, 16, 32, 60, 60, 60],
            "as the manual has it"
        );
        assert_eq!(delays_s(Some(1), 3), [1, 1, 1]);
        assert_eq!(delays_s(Some(0), 3), [1, 1, 1], "a second is the least");
        assert_eq!(delays_s(Some(u32::MAX), 40).last(), Some(&86_400));
    }

    #[test]
    fn a_count_has_an_end() {
        let streak = Streak {
            lives: u32::MAX,
            ..Streak::NONE
        };
        let streak = streak.and(Exit::Unknown);
        assert_eq!(streak.lives(), u32::MAX);
        assert_eq!(streak.delay_ms(Some(60)), 60_000);
    }

    #[test]
    fn the_fifth_life_makes_a_loop() {
        let mut streak = Streak::NONE;
        let loops = [(); 6].map(|()| {
            streak = streak.and(Exit::of_status(0));
            streak.is_loop()
        });
        assert_eq!(loops, [false, false, false, false, true, true]);
    }
}
