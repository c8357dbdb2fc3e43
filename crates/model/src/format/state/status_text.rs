//! `supervise/status-text`: what a service last said about itself by `STATUS=`. One line,
//! `PID TAI64N TEXT`: its process, when it said that, and the first 200 bytes of its first
//! line, escaped, so that it can be printed anywhere.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Words, is_of};
use crate::format::status::Status;
use crate::format::tai64n::Tai64n;
use crate::process::Pid;

/// So much of a text is kept, in bytes before they are escaped.
pub const TEXT_BYTES_MAX: usize = 200;

/// The decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusText {
    /// The process of the run.
    pub pid: Pid,
    /// When it said so.
    pub at: Tai64n,
    /// The text, escaped: printable, and a quote has a backslash before it.
    pub text: String,
}

impl StatusText {
    /// Of a text as it was sent.
    pub fn new(pid: Pid, at: Tai64n, said: &[u8]) -> Self {
        let mut lines = said.split(|byte| *byte == b'\n');
        let line = lines.next().unwrap_or_default();
        let kept = line.get(..TEXT_BYTES_MAX).unwrap_or(line);
        let text = kept.escape_ascii().to_string();
        Self { pid, at, text }
    }

    /// The line.
    pub fn encode(&self) -> String {
        format!("{} {} {}\n", self.pid, self.at, self.text)
    }

    /// Reads the line.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let mut words = Words::of(line)?;
        Some(Self {
            pid: words.number()?,
            at: words.label()?,
            text: words.rest()?.into(),
        })
    }

    /// Whether the line is about the run that a status shows.
    pub fn is_of(&self, status: &Status) -> bool {
        is_of(status, self.pid, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BYTES_MAX;
    use super::super::tests::{AT, STATUS};
    use super::*;

    #[test]
    fn golden_and_round_trip() {
        let text = |said: &[u8]| StatusText::new(812, AT, said);
        let golden = text(b"loading \"a\"\nmore");
        let line = "812 @400000006553f10a00000005 loading \\\"a\\\"\n";
        assert_eq!(golden.encode(), line);
        assert!(golden.is_of(&STATUS));
        let long = StatusText::new(Pid::MAX, AT, &[0xff; 300]);
        assert_eq!(long.text.len(), 4 * TEXT_BYTES_MAX);
        for text in [golden, long, text(b" a  b "), text("\u{f6}".as_bytes())] {
            let line = text.encode();
            assert!(line.len() <= BYTES_MAX);
            assert_eq!(StatusText::decode(line.as_bytes()), Some(text));
            assert_eq!(StatusText::decode(&line.as_bytes()[..line.len() - 1]), None);
        }
        for bad in [
            "812 @400000006553f10a00000005\n",
            "812 @400000006553f10a00000005 \n",
            "812 @400000006553f10a00000005 \x1b[2J\n",
            "812 @400000006553f10a00000005 \u{f6}\n",
            "x @400000006553f10a00000005 a\n",
        ] {
            assert_eq!(StatusText::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
