//! `supervise/last`: how the last run ended. One line, `CODE SIGNAL RESULT TAI64N RESTARTS
//! PID MS`: the exit code or -1; the signal that killed it or 0; the result in a word; when
//! it ended; how many runs had ended before, since the supervision began; its pid, or 0 if
//! it could not be started; and how long it had lived, in milliseconds, or `-`, which means
//! that this is not known. After that comes `given-up` if the service stays down because of
//! this end, by what it asks for itself. Blanks fill the line up to [`BYTES`] bytes, so that
//! it covers the one before, and no file has to be cut.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Words, plain_number};
use crate::format::tai64n::Tai64n;
use crate::process::{Exit, Pid};

/// The length of a line, with its newline.
pub const BYTES: usize = 96;

/// The result of a run, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It exited, or could not be executed.
    Exit,
    /// A signal killed it.
    Signal,
    /// Nobody saw how it ended.
    Unknown,
    /// It was not ready in its time, and was stopped.
    Timeout,
    /// It did not come to `run`: `setup` failed.
    Setup,
}

impl Outcome {
    const WORDS: [(Self, &str); 5] = [
        (Self::Exit, "exit"),
        (Self::Signal, "signal"),
        (Self::Unknown, "unknown"),
        (Self::Timeout, "timeout"),
        (Self::Setup, "setup"),
    ];

    /// Of a run that came to its end by itself.
    pub const fn of(exit: Exit) -> Self {
        match exit {
            Exit::Code(_) => Self::Exit,
            Exit::Signal(_) | Exit::Dumped(_) => Self::Signal,
            Exit::Unknown => Self::Unknown,
        }
    }

    /// The outcome of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, known)| *known == word)
            .map(|(outcome, _)| *outcome)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        let found = words.find(|(outcome, _)| *outcome == self);
        found.map_or("", |(_, word)| word)
    }
}

/// The decoded line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// How it ended. Whether it left a core dump is not kept.
    pub exit: Exit,
    /// The result.
    pub outcome: Outcome,
    /// When it ended.
    pub at: Tai64n,
    /// How many runs had ended before, since the supervision began.
    pub restarts: u32,
    /// The process; 0: it could not be started.
    pub pid: Pid,
    /// How long it lived (ms), if that is known.
    pub lived_ms: Option<u64>,
    /// The service stays down because of this end, by what it asks for itself.
    pub given_up: bool,
}

impl Last {
    /// The line.
    pub fn encode(&self) -> String {
        let (code, signal) = match (self.exit, self.exit.signal()) {
            (Exit::Code(code), _) => (i16::from(code), 0),
            (_, signal) => (-1, signal.unwrap_or(0)),
        };
        let lived_ms = self.lived_ms.map_or("-".into(), |ms| ms.to_string());
        let text = format!(
            "{code} {signal} {} {} {} {} {lived_ms}{}",
            self.outcome.word(),
            self.at,
            self.restarts,
            self.pid,
            if self.given_up { " given-up" } else { "" },
        );
        format!("{text:<width$}\n", width = BYTES - 1)
    }

    /// Reads the line.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let mut words = Words::padded(line)?;
        let exit = match (words.word()?, words.number()?) {
            ("-1", 0) => Exit::Unknown,
            ("-1", signal) => Exit::Signal(signal),
            (code, 0) => Exit::Code(plain_number(code)?),
            _ => return None,
        };
        let outcome = Outcome::of_word(words.word()?)?;
        let last = Self {
            exit,
            outcome,
            at: words.label()?,
            restarts: words.number()?,
            pid: words.number()?,
            lived_ms: match words.word()? {
                "-" => None,
                ms => Some(plain_number(ms)?),
            },
            given_up: match words.word() {
                None => false,
                Some("given-up") => true,
                Some(_) => return None,
            },
        };
        words.end().map(|()| last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, goes_there_and_back};
    use super::*;

    const GOLDEN: Last = Last {
        exit: Exit::Code(78),
        outcome: Outcome::Exit,
        at: AT,
        restarts: 3,
        pid: 812,
        lived_ms: Some(5012),
        given_up: true,
    };

    #[test]
    fn golden_and_round_trip() {
        let golden = "78 0 exit @400000006553f10a00000005 3 812 5012 given-up";
        assert_eq!(GOLDEN.encode(), format!("{golden:<95}\n"));
        let longest = Last {
            restarts: u32::MAX,
            pid: Pid::MAX,
            lived_ms: Some(u64::MAX),
            ..GOLDEN
        };
        let exits = [
            Exit::Code(0),
            Exit::Code(255),
            Exit::Signal(1),
            Exit::Signal(127),
            Exit::Unknown,
        ];
        for exit in exits {
            for (outcome, _) in Outcome::WORDS {
                for given_up in [false, true] {
                    let last = Last {
                        exit,
                        outcome,
                        given_up,
                        ..longest
                    };
                    goes_there_and_back(&last, &last.encode(), Last::decode);
                    assert_eq!(last.encode().len(), BYTES);
                }
            }
        }
        let unknown = Last {
            lived_ms: None,
            ..GOLDEN
        };
        goes_there_and_back(&unknown, &unknown.encode(), Last::decode);
        let dumped = Last {
            exit: Exit::Dumped(11),
            ..GOLDEN
        };
        let decoded = Last::decode(dumped.encode().as_bytes()).map(|last| last.exit);
        assert_eq!(decoded, Some(Exit::Signal(11)));
    }

    #[test]
    fn what_is_no_line_is_none() {
        for bad in [
            "",
            "\n",
            "78 9 exit @400000006553f10a00000005 3 812 5012\n",
            "256 0 exit @400000006553f10a00000005 3 812 5012\n",
            "-2 0 exit @400000006553f10a00000005 3 812 5012\n",
            "+1 0 exit @400000006553f10a00000005 3 812 5012\n",
            "78 0 bliss @400000006553f10a00000005 3 812 5012\n",
            "78 0 exit 400000006553f10a00000005 3 812 5012\n",
            "78 0 exit @400000006553f10a00000005 3 812 5012 given-up twice\n",
            "78 0 exit @400000006553f10a00000005 3 812  5012\n",
            "78 0 exit @400000006553f10a00000005 3 812 -1\n",
        ] {
            assert_eq!(Last::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
