//! Which lines go where: the pattern language of svlogd(8).
//!
//! A pattern is matched byte by byte from the start of the line and must use
//! the line up. `+X` matches one or more `X`, as many as there are. `*X` matches
//! everything before the first `X`; a star at the end matches anything. There is
//! no going back, so the cost is linear. A plus at the end of a pattern matches
//! the end of the line, as it does in runit. (What follows `+X` must match even
//! if the line ends with the run of `X`; runit then takes any pattern for a match.)

use alloc::vec::Vec;

/// Whether `line` matches `pattern`.
pub fn matches(pattern: &[u8], line: &[u8]) -> bool {
    let mut pattern = pattern;
    let mut line = line;
    loop {
        match pattern {
            [] | [b'+'] => return line.is_empty(),
            [b'*'] => return true,
            [b'*', next, ..] => match line.iter().position(|b| b == next) {
                Some(at) => line = line.get(at..).unwrap_or_default(),
                None => return false,
            },
            [b'+', many, rest @ ..] => {
                let run = line.iter().take_while(|b| *b == many).count();
                if run == 0 {
                    return false;
                }
                line = line.get(run..).unwrap_or_default();
                pattern = rest;
                continue;
            }
            [byte, ..] => match line {
                [first, rest @ ..] if first == byte => line = rest,
                _ => return false,
            },
        }
        pattern = pattern.get(1..).unwrap_or_default();
    }
}

/// What a matching line gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `-` or `+`: whether it goes to the log.
    Log(bool),
    /// `E` or `e`: whether it goes to standard error.
    Alert(bool),
}

/// The patterns of a config, in their order; the last one that matches counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    rules: Vec<(Effect, Vec<u8>)>,
}

/// Where one line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// To the log.
    pub log: bool,
    /// To standard error.
    pub alert: bool,
}

impl Selection {
    /// Adds a rule after the others.
    pub fn push(&mut self, effect: Effect, pattern: &[u8]) {
        self.rules.push((effect, pattern.to_vec()));
    }

    /// Whether there is no rule: every line is logged, none alerts.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Judges a line, given its first bytes without the newline.
    pub fn judge(&self, head: &[u8]) -> Verdict {
        let mut verdict = Verdict {
            log: true,
            alert: false,
        };
        for (effect, pattern) in &self.rules {
            // A rule that would change nothing need not be matched.
            match effect {
                Effect::Log(on) if verdict.log != *on => {
                    verdict.log ^= matches(pattern, head);
                }
                Effect::Alert(on) if verdict.alert != *on => {
                    verdict.alert ^= matches(pattern, head);
                }
                _ => {}
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row was run through Debian's svlogd (which differs on `a+bc` and `abb` only).
    #[test]
    fn as_the_reference_matches() {
        for (pattern, line, want) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abcd", "abc", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("+", "a", false),
            ("+a", "aaa", true),
            ("+a", "b", false),
            ("+a", "", false),
            ("a+b", "abbb", true),
            ("a+b", "a", false),
            ("a+bc", "abb", false),
            ("a+bc", "abbbc", true),
            ("*b", "aab", true),
            ("*b", "aabb", false),
            ("*b*", "aabbx", true),
            ("a*", "a", true),
            ("a*", "", false),
            ("*a", "a", true),
            ("**", "abc", false),
            ("**", "a*c", true),
            ("*+a", "xaa", false),
            ("*+a", "x+a", false),
            ("*+", "xx", false),
            ("*+", "x+", false),
            ("a+", "a", true),
            ("a+", "ab", false),
            ("a+", "a+", false),
            ("++", "++", true),
            ("++", "a", false),
            ("+*", "***", true),
            ("+*", "abc", false),
            ("+*b", "**b", true),
            ("a*", "a\0b", true),
            ("***", "**", true),
            ("*a*b*", "xxayyb", true),
            ("*a*b", "xxayybb", false),
            ("+a*", "ab", true),
            ("+aab", "aaab", false),
            ("+aab", "aab", false),
            ("*: *: pid *", "x: y: pid 7", true),
            ("*pid*", "tcpsvd: info: pid 1977", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), line.as_bytes()),
                want,
                "{pattern:?} on {line:?}"
            );
        }
    }

    #[test]
    fn the_last_match_counts() {
        let mut selection = Selection::default();
        selection.push(Effect::Log(false), b"*");
        selection.push(Effect::Log(true), b"b*");
        selection.push(Effect::Alert(true), b"*");
        selection.push(Effect::Alert(false), b"x*");
        selection.push(Effect::Log(false), b"bad");
        let judge = |line: &str| {
            let v = selection.judge(line.as_bytes());
            (v.log, v.alert)
        };
        assert_eq!(judge("a"), (false, true));
        assert_eq!(judge("bb"), (true, true));
        assert_eq!(judge("bad"), (false, true));
        assert_eq!(judge("x"), (false, false));
    }
}
