//! A snapshot as a line of `sv watch`.

use alloc::format;
use alloc::string::{String, ToString};

use super::note::note;
use super::{Snapshot, State};
use crate::format::issue::LocalTime;
use crate::moment::Moment;

/// `web: starting -> run (pid 12), normally down`, without an end of line; in printable ASCII.
/// `before`: what it did before, if that is known.
pub fn line(before: Option<State>, seen: &Snapshot, now: Moment) -> String {
    let mut text = seen.name.escape_ascii().to_string();
    text.push_str(": ");
    if let Some(before) = before {
        text.extend([before.word(), " -> "]);
    }
    text.push_str(seen.state().word());
    if let Some(pid) = seen.pid() {
        text.extend([" (pid ", &pid.to_string(), ")"]);
    }
    let note = note(seen, now);
    if !note.is_empty() {
        text.extend([", ", &note]);
    }
    text
}

/// `2026-11-29 18:18:03`.
pub fn time(at: LocalTime) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year,
        at.month + 1,
        at.day,
        at.hour,
        at.minute,
        at.second
    )
}

/// What may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It runs or is done, and is ready as far as it says that.
    Ready,
    /// It runs or is done.
    Up,
    /// It is down, whatever brought it there.
    Down,
    /// That very state.
    Is(State),
}

impl Goal {
    /// The goal of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "ready" => Some(Self::Ready),
            "up" => Some(Self::Up),
            "down" => Some(Self::Down),
            word => State::of_word(word).map(Self::Is),
        }
    }

    /// Whether a state is it.
    pub fn is_met_by(self, state: State) -> bool {
        use State::{Done, Down, Failed, Paused, Run, Starting, Stopping};
        match self {
            Self::Ready => matches!(state, Run | Done),
            Self::Up => matches!(state, Run | Done | Starting | Paused | Stopping),
            Self::Down => matches!(state, Down | Failed),
            Self::Is(wanted) => state == wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals() {
        let met = |word: &str| {
            let goal = Goal::of_word(word).unwrap();
            let states = State::ALL
                .into_iter()
                .filter(|state| goal.is_met_by(*state));
            states.map(State::word).collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(met("ready"), ["run", "done"]);
        assert_eq!(met("up"), ["run", "starting", "paused", "stopping", "done"]);
        assert_eq!(met("down"), ["down", "failed"]);
        for state in State::ALL.into_iter().filter(|state| *state != State::Down) {
            assert_eq!(met(state.word()), [state.word()]);
        }
        assert_eq!(Goal::of_word("Ready"), None);
    }

    #[test]
    fn times_have_two_digits() {
        let at = LocalTime::after_1970(1_767_225_603);
        assert_eq!(time(at), "2026-01-01 00:00:03");
    }
}
