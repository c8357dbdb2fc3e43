//! POSIX extended regular expressions on regex-lite.
//!
//! The two dialects differ in backslashes. In POSIX, a backslash within brackets is an
//! ordinary character, and a backslash before a letter has no meaning (except glibc's
//! `\w \W \s \S \b \B`, which regex-lite has, too). If an expression can match in several
//! ways, POSIX takes the longest first alternative, and regex-lite the first that fits. So
//! a group may hold something else, but the same names match.
//!
//! The matcher needs memory in proportion to its program and to the number of groups. The
//! model limits the program. Only groups that `%1` to `%9` can name are kept as groups.

use model::device::{Ere, Extent, GROUPS, Groups};

/// One expression. In real rules, most expressions begin with literal text. A name that
/// does not begin with it cannot match, so the matcher need not run.
pub struct Regex {
    prefix: Vec<u8>,
    regex: Option<regex_lite::Regex>,
}

impl Ere for Regex {
    fn compile(ere: &[u8], extent: Extent) -> Result<Self, String> {
        let text = std::str::from_utf8(ere).map_err(|_| "not UTF-8")?;
        if extent == Extent::Part {
            return Ok(Self {
                prefix: Vec::new(),
                regex: Some(build(&translate(text))?),
            });
        }
        let prefix = literal_prefix(text);
        let regex = if prefix.len() == text.len() {
            None
        } else {
            Some(build(&format!("^(?:{})$", translate(text)))?)
        };
        Ok(Self {
            prefix: prefix.into(),
            regex,
        })
    }

    fn groups<'t>(&self, text: &'t [u8]) -> Option<Groups<'t>> {
        let mut groups = [None; GROUPS];
        let rest = text.strip_prefix(self.prefix.as_slice())?;
        let Some(regex) = &self.regex else {
            groups[0] = Some(text);
            return rest.is_empty().then_some(groups);
        };
        // Device names and variables are ASCII. Bytes that are not UTF-8 match nothing.
        let found = regex.captures(std::str::from_utf8(text).ok()?)?;
        for (slot, group) in groups.iter_mut().zip(found.iter()) {
            *slot = group.map(|g| g.as_str().as_bytes());
        }
        Some(groups)
    }
}

fn build(pattern: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::RegexBuilder::new(pattern)
        .dot_matches_new_line(true)
        .build()
        .map_err(|e| e.to_string())
}

/// The text that every match must begin with: all before the first special character,
/// without the last character if a repetition follows, which may make it optional.
fn literal_prefix(ere: &str) -> &str {
    if ere.contains('|') {
        return "";
    }
    let special =
        |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | '!' | ','));
    let end = ere.find(special).unwrap_or(ere.len());
    let (before, after) = ere.split_at(end);
    if after.starts_with(['*', '?', '{']) {
        let mut shorter = before.chars();
        shorter.next_back();
        return shorter.as_str();
    }
    before
}

/// Translates a POSIX ERE into regex-lite's dialect.
fn translate(ere: &str) -> String {
    let mut out = String::new();
    let mut rest = ere.chars();
    let mut groups = 1;
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(c @ ('w' | 'W' | 's' | 'S' | 'b' | 'B')) => out.extend(['\\', c]),
                Some(c) => literal(c, &mut out),
                None => out.push('\\'),
            },
            '[' => rest = bracket(rest, &mut out),
            '(' if groups < GROUPS => {
                groups += 1;
                out.push('(');
            }
            '(' => out.push_str("(?:"),
            c => out.push(c),
        }
    }
    out
}

/// Copies the rest of a bracket expression. Its `[` has been read already.
fn bracket<'t>(mut rest: std::str::Chars<'t>, out: &mut String) -> std::str::Chars<'t> {
    out.push('[');
    if let Some(tail) = rest.as_str().strip_prefix('^') {
        out.push('^');
        rest = tail.chars();
    }
    let mut first = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return rest;
            }
            '[' if rest.as_str().starts_with(':') => {
                let class = rest.as_str();
                let end = class.find(":]").map_or(class.len(), |end| end + 2);
                let (class, tail) = class.split_at(end);
                out.push('[');
                out.push_str(class);
                rest = tail.chars();
            }
            '-' => out.push('-'),
            c => literal(c, out),
        }
        first = false;
    }
    rest
}

fn literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(ere: &str, text: &str) -> bool {
        let regex = Regex::compile(ere.as_bytes(), Extent::Whole).unwrap();
        regex.groups(text.as_bytes()).is_some()
    }

    #[test]
    fn the_whole_name_must_match() {
        for (ere, yes, no) in [
            ("null", "null", "nulls"),
            ("null", "null", "anull"),
            ("a|bc", "bc", "abc"),
            ("sd[a-z]+", "sda", "sda1"),
            ("tty[0-9]*", "tty", "ttyS0"),
            ("ttyS?", "tty", "ttyS0"),
            ("ab{0,1}", "a", "abb"),
            ("ab+", "abb", "a"),
            ("^null$", "null", "nul"),
            ("a.c", "a\nc", "ac"),
            ("", "", "a"),
        ] {
            assert!(matches(ere, yes), "{ere} {yes}");
            assert!(!matches(ere, no), "{ere} {no}");
        }
    }

    #[test]
    fn posix_brackets_and_backslashes() {
        for (ere, yes, no) in [
            (r"[\w]", r"\", "a"),
            (r"[^\d]", "1", "d"),
            ("[]a]", "]", "b"),
            ("[^]a]", "b", "]"),
            ("[[a]", "[", "b"),
            ("[a&&b]", "&", "c"),
            ("[[:digit:]-]+", "1-2", "a"),
            ("[a-c^]", "^", "d"),
            (r"a\.b", "a.b", "axb"),
            (r"a\db", "adb", "a1b"),
            (r"a\wb", "a1b", "a.b"),
        ] {
            assert!(matches(ere, yes), "{ere} {yes}");
            assert!(!matches(ere, no), "{ere} {no}");
        }
    }

    #[test]
    fn groups_and_parts() {
        let regex = Regex::compile(b"(sd)([a-z])([0-9])?", Extent::Whole).unwrap();
        let groups = regex.groups(b"sda").unwrap();
        assert_eq!(
            groups[..4],
            [Some(&b"sda"[..]), Some(b"sd"), Some(b"a"), None]
        );
        let part = Regex::compile(b"b", Extent::Part).unwrap();
        assert!(part.groups(b"abc").is_some());
        assert!(part.groups(b"ac").is_none());
        assert!(part.groups(b"\xffb").is_none());
    }

    #[test]
    fn a_group_that_cannot_be_named_is_a_group_still() {
        let ere = "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j|k)(l)+";
        let regex = Regex::compile(ere.as_bytes(), Extent::Whole).unwrap();
        let groups = regex.groups(b"abcdefghikll").unwrap();
        assert_eq!(groups[9], Some(&b"i"[..]));
        assert!(regex.groups(b"abcdefghijkl").is_none());
        assert_eq!(regex.regex.unwrap().captures_len(), GROUPS);
    }

    #[test]
    fn a_mistake_is_a_reason() {
        for bad in [&b"a["[..], b"(", b"a\\", b"\xff", b"x{2"] {
            assert!(Regex::compile(bad, Extent::Whole).is_err(), "{bad:?}");
        }
    }
}
