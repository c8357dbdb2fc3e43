//! `supervise/ready`: whether a run is ready, and by what it is known. One line, `PID
//! TAI64N WORD`. The file is kept for services that say when they are ready, or have a
//! `setup`. A run that is not ready yet has the word `starting`. So where no line is about
//! the run that `status` shows, its supervisor does not keep the file, or could not write
//! it, and the run counts as ready as in runit: by its start.

use alloc::format;
use alloc::string::String;

use super::{Words, is_of};
use crate::format::status::Status;
use crate::format::tai64n::Tai64n;
use crate::process::Pid;

/// By what it is known that a run is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A newline on `notification-fd`.
    Descriptor,
    /// `READY=1`.
    Message,
    /// `./check`.
    Check,
    /// `sv ready`.
    Command,
    /// Its start: it has no other way to say that.
    Start,
    /// Nobody has said that, but a message may be lost: a supervisor was killed.
    Assumed,
}

impl Source {
    const WORDS: [(Self, &str); 6] = [
        (Self::Descriptor, "notification-fd"),
        (Self::Message, "notify"),
        (Self::Check, "check"),
        (Self::Command, "sv"),
        (Self::Start, "start"),
        (Self::Assumed, "assumed"),
    ];

    /// Its word in the file.
    pub fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        let found = words.find(|(source, _)| *source == self);
        found.map_or("", |(_, word)| word)
    }

    /// As [`Source::word`], the other way.
    pub fn of_word(word: &str) -> Option<Self> {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, known)| *known == word)
            .map(|(source, _)| *source)
    }
}

const STARTING: &str = "starting";

/// The decoded line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The process of the run.
    pub pid: Pid,
    /// When it became so.
    pub at: Tai64n,
    /// `None`: it is starting.
    pub source: Option<Source>,
}

impl Ready {
    /// The line.
    pub fn encode(&self) -> String {
        let word = self.source.map_or(STARTING, Source::word);
        format!("{} {} {word}\n", self.pid, self.at)
    }

    /// Reads the line.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let mut words = Words::of(line)?;
        let (pid, at) = (words.number()?, words.label()?);
        let source = match words.word()? {
            STARTING => None,
            word => Some(Source::of_word(word)?),
        };
        words.end().map(|()| Self { pid, at, source })
    }

    /// Whether the line is about the run that a status shows.
    pub fn is_of(&self, status: &Status) -> bool {
        is_of(status, self.pid, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, STATUS, goes_there_and_back};
    use super::*;

    #[test]
    fn golden_and_round_trip() {
        let ready = |source| Ready {
            pid: 812,
            at: AT,
            source,
        };
        let golden = "812 @400000006553f10a00000005 notify\n";
        assert_eq!(ready(Some(Source::Message)).encode(), golden);
        let starting = "812 @400000006553f10a00000005 starting\n";
        assert_eq!(ready(None).encode(), starting);
        assert!(ready(None).is_of(&STATUS));
        let sources = Source::WORDS.map(|(source, _)| Some(source));
        for source in sources.into_iter().chain([None]) {
            let ready = Ready {
                pid: Pid::MAX,
                ..ready(source)
            };
            goes_there_and_back(&ready, &ready.encode(), Ready::decode);
        }
        for bad in [
            "812 400000006553f10a00000005 notify\n",
            "812 @400000006553f10a00000005 perhaps\n",
            "812 @400000006553f10a00000005  notify\n",
            "x @400000006553f10a00000005 notify\n",
        ] {
            assert_eq!(Ready::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
