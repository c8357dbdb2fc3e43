//! How long an extended regular expression is with its repetitions written out.
//!
//! A matcher needs memory for each character that may come, and `((ab){99}){99}` is
//! short in a file and long in memory. So this is what is counted and bounded. What
//! is no expression at all has a length, too.

use alloc::vec::Vec;

use crate::format::decimal;

/// Longest expression, in bytes, repetitions written out.
pub const ERE_BYTES_MAX: usize = 4096;

/// All expressions of a file together, in the same way.
pub const ERES_BYTES_MAX: usize = 128 * 1024;

/// What each expression counts at least, because it takes memory of its own.
const ERE_BYTES_MIN: usize = 16;

/// The bytes of `ere`, each repeated part as often as it can have to occur. One that
/// is longer than [`ERE_BYTES_MAX`] as it stands is not looked at any further.
pub fn written_out(ere: &[u8]) -> usize {
    if ere.len() > ERE_BYTES_MAX {
        return ere.len();
    }
    let mut count = Count::default();
    let mut rest = ere;
    while let Some(first) = rest.first() {
        let taken = match (first, repetition(rest)) {
            (_, Some((taken, times))) => count.repeat(taken, times),
            (b'(', _) => count.open(),
            (b')', _) => count.close(),
            (b'*' | b'+' | b'?', _) => count.repeat(1, 1),
            (b'\\', _) => count.add(2),
            (b'[', _) => count.add(bracket(rest)),
            _ => count.add(1),
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    while !count.outer.is_empty() {
        count.close();
    }
    count.all.max(ERE_BYTES_MIN)
}

/// Lengths on the way through an expression. Its methods say how many bytes they took.
#[derive(Default)]
struct Count {
    /// What came before each group that is open.
    outer: Vec<usize>,
    /// What the innermost open group holds so far.
    all: usize,
    /// Its last part, which a repetition would repeat.
    last: usize,
}

impl Count {
    fn add(&mut self, bytes: usize) -> usize {
        self.last = bytes;
        self.all = self.all.saturating_add(bytes);
        bytes
    }

    /// The last part occurs `times`, which `bytes` say.
    fn repeat(&mut self, bytes: usize, times: usize) -> usize {
        let again = self.last.saturating_mul(times.saturating_sub(1));
        let more = again.saturating_add(bytes);
        self.last = self.last.saturating_add(more);
        self.all = self.all.saturating_add(more);
        bytes
    }

    fn open(&mut self) -> usize {
        self.outer.push(self.all);
        self.all = 0;
        self.add(1)
    }

    fn close(&mut self) -> usize {
        let group = self.all.saturating_add(1);
        self.all = self.outer.pop().unwrap_or_default();
        self.add(group);
        1
    }
}

/// The length of the bracket expression that `text` begins with.
fn bracket(text: &[u8]) -> usize {
    let mut at = 1;
    if text.get(at) == Some(&b'^') {
        at += 1;
    }
    // One that comes first is one of its characters.
    if text.get(at) == Some(&b']') {
        at += 1;
    }
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let class = rest
            .starts_with(b"[:")
            .then(|| rest.windows(2).position(|two| two == b":]"))
            .flatten();
        at += match class {
            Some(end) => end + 2,
            None if rest.starts_with(b"]") => return at + 1,
            None => 1,
        };
    }
    text.len()
}

/// The length of the repetition `{N}`, `{N,}` or `{N,M}` that `text` begins with, and
/// how often what it repeats can have to occur.
fn repetition(text: &[u8]) -> Option<(usize, usize)> {
    let inside = text.strip_prefix(b"{")?;
    let end = inside.iter().position(|b| *b == b'}')?;
    let mut times = 1;
    for bound in inside.get(..end)?.split(|b| *b == b',') {
        let digits = !bound.is_empty() && bound.iter().all(u8::is_ascii_digit);
        times = match decimal(bound).and_then(|n| usize::try_from(n).ok()) {
            Some(n) => times.max(n),
            None if digits => usize::MAX,
            None if bound.is_empty() => times,
            None => return None,
        };
    }
    Some((end + 2, times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn repetitions_count_as_often_as_they_say() {
        let x = "x".repeat(100);
        for (ere, length) in [
            ("", 100),
            ("a", 101),
            ("a*b+c?", 106),
            ("a{5}", 108),
            ("(ab){3}", 115),
            ("((a){2}){3}", 136),
            ("[a-z]{2}", 113),
            ("[]a]{2}", 111),
            ("[^]a]{2}", 113),
            ("[[:alpha:]]{2}", 125),
            (r"\({2}", 107),
            ("a{2,5}", 110),
            ("a{2,}", 106),
            ("a{,5}", 109),
            ("a{x}", 104),
            ("a{", 102),
            ("a{}", 103),
            ("a{0}", 104),
            ("(a", 103),
            ("a)", 102),
            ("[a", 102),
            ("\\\\", 102),
        ] {
            assert_eq!(written_out(format!("{x}{ere}").as_bytes()), length, "{ere}");
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_beyond_it() {
        for ere in [
            "a{4097}",
            "((((a{9}){9}){9}){9}){9}",
            "a{99999999999999999999999}",
            "(a{4294967295}){4294967295}",
            &"x".repeat(ERE_BYTES_MAX + 1),
        ] {
            assert!(written_out(ere.as_bytes()) > ERE_BYTES_MAX, "{ere}");
        }
        assert_eq!(written_out(b"a"), ERE_BYTES_MIN);
        assert!(written_out(&b"(".repeat(ERE_BYTES_MAX)) <= 2 * ERE_BYTES_MAX);
    }
}
