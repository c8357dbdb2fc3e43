//! Our own files of one line in `supervise` (service-directory(5)): `ready`, `last`,
//! `reason` and `status-text`. `crash_loop` has a file of its own.
//!
//! A line ends with a newline, and its words are separated by one blank. `pid` and time
//! say which process a line is about: each file is written at a moment of its own, and the
//! writer may be killed between two of them. So a reader believes a line only if it is
//! about the process that `status` shows. A line that is cut off, too long or of another
//! form is no line.

pub mod last;
pub mod ready;
pub mod reason;
pub mod status_text;

use core::str::FromStr;

use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;
use crate::process::Pid;

/// No line is longer, in bytes.
pub const BYTES_MAX: usize = 1280;

/// What is left of a line, to be read word by word. `None`: nothing.
struct Words<'l>(Option<&'l str>);

impl<'l> Words<'l> {
    /// Of a whole line of printable characters.
    fn of(line: &'l [u8]) -> Option<Self> {
        let text = line.strip_suffix(b"\n")?;
        let is_printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let is_line = is_printable && line.len() <= BYTES_MAX;
        let text = core::str::from_utf8(text).ok().filter(|_| is_line)?;
        Some(Self(Some(text)))
    }

    /// The same, of a line that blanks fill.
    fn padded(line: &'l [u8]) -> Option<Self> {
        let Self(text) = Self::of(line)?;
        Some(Self(text.map(|text| text.trim_end_matches(' '))))
    }

    fn word(&mut self) -> Option<&'l str> {
        let text = self.0?;
        let (word, rest) = match text.split_once(' ') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        self.0 = rest;
        Some(word)
    }

    /// A number without a sign.
    fn number<N: FromStr>(&mut self) -> Option<N> {
        plain_number(self.word()?)
    }

    fn label(&mut self) -> Option<Tai64n> {
        Tai64n::from_hex(self.word()?.strip_prefix('@')?.as_bytes())
    }

    /// All that is left, if that is not nothing.
    fn rest(self) -> Option<&'l str> {
        self.0.filter(|text| !text.is_empty())
    }

    /// `None`: something is left.
    const fn end(self) -> Option<()> {
        match self.0 {
            None => Some(()),
            Some(_) => None,
        }
    }
}

fn plain_number<N: FromStr>(word: &str) -> Option<N> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_plain)
}

/// Whether a line about a run of that pid, written at that time, is about the run that a
/// status shows.
fn is_of(status: &Status, pid: Pid, at: Tai64n) -> bool {
    status.phase == Phase::Run && status.pid == pid && status.changed <= at
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    pub(super) const AT: Tai64n = Tai64n::from_unix(1_700_000_000, 5);

    /// A status of a run since [`AT`].
    pub(super) const STATUS: Status = Status {
        changed: AT,
        pid: 812,
        paused: false,
        want_up: true,
        got_term: false,
        phase: Phase::Run,
    };

    /// A line reads back the same, and no part of it does.
    pub(super) fn goes_there_and_back<T: PartialEq + core::fmt::Debug>(
        value: &T,
        line: &str,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) {
        assert!(line.len() <= BYTES_MAX, "{line}");
        assert_eq!(decode(line.as_bytes()).as_ref(), Some(value), "{line}");
        for cut in 0..line.len() {
            assert_eq!(decode(&line.as_bytes()[..cut]), None, "{line}");
        }
        let longer: String = [line, "\n"].concat();
        assert_eq!(decode(longer.as_bytes()), None, "{line}");
    }

    #[test]
    fn words_are_those_of_one_line() {
        let mut found = Words::of(b"812 @400000006553f10a00000005 a b\n").unwrap();
        assert_eq!(found.number(), Some(812));
        assert_eq!(found.label(), Some(AT));
        assert_eq!(found.rest(), Some("a b"));
        for bad in ["+1\n", "-1\n", "\n", "4294967296\n", "1\t\n"] {
            let word = Words::of(bad.as_bytes());
            assert_eq!(word.and_then(|mut w| w.number::<u32>()), None, "{bad:?}");
        }
        for bad in [
            &b"\xff\n"[..],
            b"\x1b\n",
            b"1",
            b"1\n\n",
            &[b'1'; BYTES_MAX],
        ] {
            assert!(Words::of(bad).is_none());
        }
        let mut long = alloc::vec![b'1'; BYTES_MAX];
        long.push(b'\n');
        assert!(Words::of(&long).is_none());
    }

    #[test]
    fn a_line_is_about_the_run_that_the_status_shows() {
        let later = Tai64n::from_unix(1_700_000_000, 6);
        let earlier = Tai64n::from_unix(1_700_000_000, 4);
        assert!(is_of(&STATUS, 812, AT) && is_of(&STATUS, 812, later));
        assert!(!is_of(&STATUS, 812, earlier));
        assert!(!is_of(&STATUS, 813, later));
        let finish = Status {
            phase: Phase::Finish,
            ..STATUS
        };
        assert!(!is_of(&finish, 812, later));
    }
}
