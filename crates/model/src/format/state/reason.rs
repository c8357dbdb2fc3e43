//! `supervise/reason`: what holds a service up. One line: `needs NAME: WHY` (or `wants`,
//! `after`, `follows`), of a service that is wanted up and not started yet; `stop waits for
//! NAME`, of one that was told to stop and got no signal yet; or `KILL at NS`, of one that
//! is being stopped, with the moment on the boot clock at which it gets KILL. It is empty
//! if nothing does. Names are escaped, so that they have one line.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Words, plain_number};
use crate::kind::Kind;
use crate::time::Instant;

/// The decoded line. Names are as in the file: escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The start is held until another service is ready.
    Held {
        /// By which kind of entry.
        by: Kind,
        /// The other service.
        name: String,
        /// What that one is doing.
        why: String,
    },
    /// The stop waits for the end of another service.
    Stop(String),
    /// It is being stopped, and gets KILL at that moment.
    Kill(Instant),
}

/// What may hold a start: nobody waits for those that it is before.
const HOLDS: [Kind; 4] = [Kind::Needs, Kind::Wants, Kind::After, Kind::Follows];

/// A service's name, as it stands in the line.
pub fn escaped(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

const STOP: &str = "stop waits for ";
const KILL: &str = "KILL at ";

impl Reason {
    /// The line.
    pub fn encode(&self) -> String {
        match self {
            Self::Held { by, name, why } => format!("{} {name}: {why}\n", by.directory()),
            Self::Stop(name) => format!("{STOP}{name}\n"),
            Self::Kill(at) => format!("{KILL}{}\n", at.0),
        }
    }

    /// Reads the line.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let line = Words::of(line)?.rest()?;
        if let Some(name) = line.strip_prefix(STOP) {
            return (!name.is_empty()).then(|| Self::Stop(name.into()));
        }
        if let Some(at) = line.strip_prefix(KILL) {
            return plain_number(at).map(|ns| Self::Kill(Instant(ns)));
        }
        let (word, rest) = line.split_once(' ')?;
        let by = HOLDS.into_iter().find(|kind| kind.directory() == word)?;
        // A name may hold a colon and a blank; what follows it does not.
        let (name, why) = rest.rsplit_once(": ")?;
        let is_told = !name.is_empty() && !why.is_empty();
        is_told.then(|| Self::Held {
            by,
            name: name.into(),
            why: why.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::BYTES_MAX;
    use super::super::tests::goes_there_and_back;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn golden_and_round_trip() {
        let held = |by, name: &[u8], why: &str| Reason::Held {
            by,
            name: escaped(name),
            why: why.into(),
        };
        let golden = held(Kind::Needs, b"db", "crash loop, exit 1");
        assert_eq!(golden.encode(), "needs db: crash loop, exit 1\n");
        let stop = Reason::Stop(escaped(b"web"));
        assert_eq!(stop.encode(), "stop waits for web\n");
        let kill = Reason::Kill(Instant(12_000_000_001));
        assert_eq!(kill.encode(), "KILL at 12000000001\n");
        let long: Vec<u8> = [0xff; 255].into();
        let mut all = [golden, stop, kill, Reason::Kill(Instant(u64::MAX))].to_vec();
        for by in HOLDS {
            all.push(held(by, &long, "not enabled"));
            all.push(held(by, b"a: b\n", "starting"));
        }
        for reason in all {
            let line = reason.encode();
            assert_eq!(Reason::decode(line.as_bytes()), Some(reason.clone()));
            assert_eq!(Reason::decode(&line.as_bytes()[..line.len() - 1]), None);
            assert!(line.len() <= BYTES_MAX, "{line}");
        }
        goes_there_and_back(
            &Reason::Stop("w".into()),
            "stop waits for w\n",
            Reason::decode,
        );
    }

    #[test]
    fn what_is_no_line_is_none() {
        for bad in [
            "",
            "\n",
            "needs db\n",
            "needs : starting\n",
            "needs db: \n",
            "loves db: starting\n",
            "before db: starting\n",
            "stop waits for \n",
            "KILL at \n",
            "KILL at +5\n",
            "KILL at 18446744073709551616\n",
            "needs d\x1bb: starting\n",
            "needs d\u{e9}: starting\n",
            "needs db: starting\n\n",
        ] {
            assert_eq!(Reason::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
