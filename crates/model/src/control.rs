//! What `sv` decides: which control bytes a command sends, and when it has taken
//! effect (sv(8) of runit). [`text`] says how a status reads.
//!
//! A command is one of the documented words, its documented letter, or a
//! distinct beginning, three letters or more, of a word that runit knows by its
//! first letter (`int`, `stat`). Anything else is a mistake: runit itself looks
//! at the first letter alone, so that `disable` stops a service and `enable`
//! ends its supervisor.
//!
//! Success is judged by comparing the status before the command was written
//! with the present one. No clock takes part: a process is a new one when its
//! pid or the time of its start differ from those before. The caller must see
//! to it that the supervisor has read the command. Where a process has to run,
//! that is not all: [`life`] says when its start counts.

use alloc::format;
use alloc::string::String;

use crate::format::status::{Phase, Status};
use crate::guess::nearest;

pub mod life;
pub mod patience;
pub mod text;

/// What a command line of `sv` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Only say what the services do.
    Status,
    /// Change or check something.
    Act(Action),
}

/// A command to a supervisor and what it is to bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The bytes for `supervise/control`; none for `check`.
    pub bytes: &'static [u8],
    goals: &'static [Goal],
    /// Waits for the effect without being asked to.
    pub waits: bool,
    /// Sends KILL when the effect does not come in time.
    pub kills: bool,
    /// What it has to do with services that need this one, or are needed by it.
    pub others: Others,
}

/// What a command means for services that depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nothing.
    Nothing,
    /// What the service needs is started, too.
    Start,
    /// They were linked just now, and so was the service: its supervisor is still to come, even
    /// if it had one before.
    Enable,
    /// Who needs the service is named.
    Name,
    /// Who needs the service is stopped first.
    Stop,
}

/// One condition of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// `./run` runs, is wanted, and `./check` agrees.
    Up,
    /// There is no process, and none is wanted.
    Down,
    /// It runs and is not to be restarted, or it has run and ended.
    Once,
    /// The supervisor has ended.
    Gone,
    /// A new `./run` runs and `./check` agrees; or it is down and wanted down.
    Restarted,
    /// The process, if any, is stopped.
    Paused,
    /// The process, if any, is not stopped.
    Continued,
    /// What was last asked for is so.
    Wanted,
}

/// Whether an action has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    NotYet,
    /// Yes, if the process lives on, and the service's `./check` passes: see [`life`].
    IfItStands,
    /// Yes.
    Reached,
}

const fn send(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: false,
        kills: false,
        others: Others::Nothing,
    })
}

const fn wait(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: true,
        kills: false,
        others: Others::Nothing,
    })
}

const fn force(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: true,
        kills: true,
        others: Others::Nothing,
    })
}

/// The same, with this for others.
const fn and(verb: Verb, others: Others) -> Verb {
    match verb {
        Verb::Act(action) => Verb::Act(Action { others, ..action }),
        Verb::Status => verb,
    }
}

const RESTARTED: &[Goal] = &[Goal::Restarted, Goal::Continued];
const RESTARTED_UP: &[Goal] = &[Goal::Restarted, Goal::Continued, Goal::Up];

/// The commands that runit knows by their first letter.
const BY_LETTER: &[(&str, Verb)] = &[
    ("status", Verb::Status),
    ("up", send(b"u", &[Goal::Up])),
    ("down", send(b"d", &[Goal::Down])),
    ("once", send(b"o", &[Goal::Once])),
    ("pause", send(b"p", &[Goal::Paused])),
    ("cont", send(b"c", &[Goal::Continued])),
    ("hup", send(b"h", &[])),
    ("alarm", send(b"a", &[])),
    ("interrupt", send(b"i", &[])),
    ("quit", send(b"q", &[])),
    ("1", send(b"1", &[])),
    ("2", send(b"2", &[])),
    ("term", send(b"t", &[Goal::Restarted])),
    ("kill", send(b"k", &[Goal::Restarted])),
    ("exit", send(b"x", &[Goal::Gone])),
];

/// The commands that must be written out.
const BY_WORD: &[(&str, Verb)] = &[
    ("start", Verb::Act(Action::START)),
    ("stop", Verb::Act(Action::STOP)),
    ("reload", wait(b"h", &[])),
    ("restart", wait(b"tcu", RESTARTED_UP)),
    ("shutdown", wait(b"x", &[Goal::Gone])),
    ("force-stop", and(force(b"d", &[Goal::Down]), Others::Name)),
    ("force-reload", force(b"tc", RESTARTED)),
    ("force-restart", force(b"tcu", RESTARTED_UP)),
    ("force-shutdown", force(b"x", &[Goal::Gone])),
    ("try-restart", wait(b"tc", RESTARTED)),
    ("check", wait(b"", &[Goal::Wanted])),
];

/// Our own, which init scripts do not have.
const OURS: &[(&str, Verb)] = &[("ready", send(b"R", &[])), ("reset", send(b"z", &[]))];

/// What `start --now` sends: runit's runsv ignores the second byte.
const NOW: &[u8] = b"uf";

/// Letters that are not the first of their word.
const LETTERS: &[(&str, &str)] = &[
    ("x", "exit"),
    ("X", "force-shutdown"),
    ("E", "force-shutdown"),
    ("D", "force-stop"),
    ("T", "force-reload"),
];

/// Shortest beginning that counts for the whole word.
const PREFIX_LEN_MIN: usize = 3;

impl Verb {
    /// The command of a word of an init script.
    ///
    /// # Errors
    /// As [`Verb::parse`].
    pub fn of_init_script(word: &[u8]) -> Result<Self, String> {
        let is_ours = OURS.iter().any(|(ours, _)| ours.as_bytes() == word);
        if is_ours {
            return Err(format!("{}: not in an init script", word.escape_ascii()));
        }
        Self::parse(word, &[])
    }

    /// The command of a word. `others` are words that are no commands to supervisors, and
    /// may have been meant.
    ///
    /// # Errors
    /// One line that says what is wrong and, where that can be guessed, what was meant.
    pub fn parse(word: &[u8], others: &[&'static str]) -> Result<Self, String> {
        let Ok(text) = core::str::from_utf8(word) else {
            return Err(format!("unknown command {}", word.escape_ascii()));
        };
        if let Some((_, full)) = LETTERS.iter().find(|(letter, _)| *letter == text) {
            return exact(full).ok_or_else(|| mistaken(text, others));
        }
        exact(text)
            .or_else(|| abbreviated(text))
            .ok_or_else(|| mistaken(text, others))
    }
}

/// The word of each command.
pub fn commands() -> impl Iterator<Item = &'static str> {
    words().map(|(word, _)| *word)
}

fn words() -> impl Iterator<Item = &'static (&'static str, Verb)> {
    BY_LETTER.iter().chain(BY_WORD).chain(OURS)
}

fn exact(text: &str) -> Option<Verb> {
    words().find(|(word, _)| *word == text).map(|(_, v)| *v)
}

fn abbreviated(text: &str) -> Option<Verb> {
    let (_, verb) = BY_LETTER
        .iter()
        .find(|(word, _)| !text.is_empty() && word.starts_with(text))?;
    let distinct = words().filter(|(w, _)| w.starts_with(text)).count() == 1;
    (text.len() == 1 || (text.len() >= PREFIX_LEN_MIN && distinct)).then_some(*verb)
}

fn mistaken(text: &str, others: &[&'static str]) -> String {
    let shown = text.as_bytes().escape_ascii();
    let known = words().map(|(word, _)| *word).chain(others.iter().copied());
    match nearest(text.as_bytes(), known) {
        Some(word) => format!("unknown command {shown}, did you mean {word}?"),
        None => format!("unknown command {shown}"),
    }
}

impl Action {
    /// `start`.
    pub const START: Self = Self {
        bytes: b"u",
        goals: &[Goal::Up],
        waits: true,
        kills: false,
        others: Others::Start,
    };

    /// The start of `enable`.
    pub const ENABLE: Self = Self {
        others: Others::Enable,
        ..Self::START
    };

    /// `stop`.
    pub const STOP: Self = Self {
        bytes: b"d",
        goals: &[Goal::Down],
        others: Others::Name,
        ..Self::START
    };

    /// The same with an option that stands behind the command; `None`: it has no such
    /// option, and the word is the name of a service.
    pub fn with(self, option: &[u8]) -> Option<Self> {
        match (self.others, option) {
            (Others::Start, b"--now") => Some(Self {
                bytes: NOW,
                others: Others::Nothing,
                ..self
            }),
            (Others::Name, b"-r") => Some(Self {
                others: Others::Stop,
                ..self
            }),
            _ => None,
        }
    }

    /// Whether services are to stop.
    pub const fn stops(&self) -> bool {
        matches!(self.bytes, b"d" | b"x")
    }

    /// Whether the end of the supervisor is what is asked for.
    pub fn ends_supervisor(&self) -> bool {
        self.goals.contains(&Goal::Gone)
    }

    /// Whether the service is to run in the end, even if it does not yet.
    pub fn starts(&self) -> bool {
        self.goals.contains(&Goal::Up)
    }

    /// The command that does the same and sends KILL in the end, if there is one and
    /// this does not.
    pub fn forced(&self) -> Option<&'static str> {
        let is_forced = |verb: &Verb| match verb {
            Verb::Act(action) => action.kills && action.bytes == self.bytes,
            Verb::Status => false,
        };
        let forced = BY_WORD.iter().find(|(_, verb)| is_forced(verb));
        forced.filter(|_| !self.kills).map(|(word, _)| *word)
    }

    /// Judges the present status against the one before the command.
    pub fn verdict(&self, before: &Status, now: &Status) -> Verdict {
        let verdicts = || self.goals.iter().map(|g| g.verdict(before, now));
        if verdicts().any(|v| v == Verdict::NotYet) {
            Verdict::NotYet
        } else if verdicts().any(|v| v == Verdict::IfItStands) {
            Verdict::IfItStands
        } else {
            Verdict::Reached
        }
    }
}

impl Goal {
    fn verdict(self, before: &Status, now: &Status) -> Verdict {
        // Between ./run and ./finish runit's runsv shows a finish without a pid.
        let idle = now.pid == 0 && now.phase == Phase::Down;
        // Without a pid it is a oneshot that is done.
        let is_done = now.pid == 0 && now.phase == Phase::Run;
        let runs = now.phase == Phase::Run;
        let is_new = (now.pid, now.changed) != (before.pid, before.changed);
        match self {
            Self::Up => if_it_stands(runs && now.want_up),
            Self::Down => plain(idle && !now.want_up),
            Self::Once => plain(if idle {
                is_new
            } else {
                is_done || !now.want_up
            }),
            Self::Gone => Verdict::NotYet,
            Self::Restarted | Self::Wanted if idle => plain(!now.want_up),
            Self::Restarted => if_it_stands(runs && is_new && !now.got_term),
            Self::Paused => plain(idle || is_done || now.paused),
            Self::Continued => plain(idle || !now.paused),
            // A process that runs once is wanted down, yet nothing stops it.
            Self::Wanted => if_it_stands(runs && (now.want_up || !now.got_term)),
        }
    }
}

fn plain(so: bool) -> Verdict {
    if so {
        Verdict::Reached
    } else {
        Verdict::NotYet
    }
}

fn if_it_stands(so: bool) -> Verdict {
    if so {
        Verdict::IfItStands
    } else {
        Verdict::NotYet
    }
}

/// Whether a service named so is a path of its own, rather than a name in the
/// services directory: it starts with a dot or slash or ends with a slash.
pub fn is_path(service: &[u8]) -> bool {
    matches!(service, [b'.' | b'/', ..]) || service.ends_with(b"/")
}

#[cfg(test)]
mod tests;
