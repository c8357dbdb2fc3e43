//! POSIX extended regular expressions on regex-lite.
//!
//! The two dialects differ in backslashes. In POSIX, a backslash within brackets is an
//! ordinary character, and a backslash before a letter has no meaning (except glibc's
//! `\w \W \s \S \b \B`, which regex-lite has, too). A `)` that closes nothing is undefined in
//! POSIX; it is an ordinary character, as for glibc and so for busybox. If an expression can
//! match in several ways, POSIX takes the longest first alternative, and regex-lite the first
//! that fits. So a group may hold something else, but the same names match.
//!
//! The matcher needs memory in proportion to its program and to the number of groups. The
//! model limits the program. Only groups that `%1` to `%9` can name are kept as groups.

use model::device::{Ere, Extent, GROUPS, Groups};

/// One expression. In real rules, most expressions are names, or begin with one of a few
/// names, and end in characters of one set. The matcher takes some ten thousand instructions
/// to be made, and some thousand for each device of a boot; it is used where that is not enough.
pub struct Regex {
    /// Every match begins with one of these.
    starts: Vec<Vec<u8>>,
    /// What follows.
    rest: Rest,
}

/// What follows the start of an expression.
enum Rest {
    /// Characters of one set; the start is a group or not.
    Run { run: Run, is_group: bool },
    /// Anything.
    Matcher(regex_lite::Regex),
}

/// So many characters out of one set.
struct Run {
    /// First and last of each range.
    set: Vec<(u8, u8)>,
    least: usize,
    most: usize,
}

impl Ere for Regex {
    fn compile(ere: &[u8], extent: Extent) -> Result<Self, String> {
        let text = std::str::from_utf8(ere).map_err(|_| "not UTF-8")?;
        if extent == Extent::Part {
            return Ok(Self {
                starts: vec![Vec::new()],
                rest: Rest::Matcher(build(&translate(text))?),
            });
        }
        let owned = |starts: Vec<&str>| starts.into_iter().map(|s| s.as_bytes().to_vec()).collect();
        if let Some((starts, rest)) = starts_and_run(text) {
            let starts = owned(starts);
            return Ok(Self { starts, rest });
        }
        Ok(Self {
            starts: owned(starts(text)),
            rest: Rest::Matcher(build(&format!("^(?:{})$", translate(text)))?),
        })
    }

    fn groups<'t>(&self, text: &'t [u8]) -> Option<Groups<'t>> {
        let mut groups = [None; GROUPS];
        let mut starts = self.starts.iter();
        match &self.rest {
            Rest::Run { run, is_group } => {
                // The first that fits, as the matcher does.
                let fits = |start: &[u8]| text.strip_prefix(start).is_some_and(|r| run.fits(r));
                let start = starts.find(|start| fits(start))?;
                groups[0] = Some(text);
                if let Some(group) = groups.get_mut(1).filter(|_| *is_group) {
                    *group = text.get(..start.len());
                }
            }
            Rest::Matcher(regex) => {
                if !starts.any(|start| text.starts_with(start)) {
                    return None;
                }
                // Device names and variables are ASCII. Bytes that are not UTF-8 match nothing.
                let found = regex.captures(std::str::from_utf8(text).ok()?)?;
                for (slot, group) in groups.iter_mut().zip(found.iter()) {
                    *slot = group.map(|g| g.as_str().as_bytes());
                }
            }
        }
        Some(groups)
    }
}

impl Run {
    /// Decodes nothing, or `[0-9a-z]` with `?`, `*` or `+` behind it, of letters and digits.
    fn decode(ere: &str) -> Option<Self> {
        if ere.is_empty() {
            let (least, most) = (0, 0);
            let set = Vec::new();
            return Some(Self { set, least, most });
        }
        let (inside, after) = ere.strip_prefix('[')?.split_once(']')?;
        let (least, most) = match after {
            "" => (1, 1),
            "?" => (0, 1),
            "*" => (0, usize::MAX),
            "+" => (1, usize::MAX),
            _ => return None,
        };
        let mut set = Vec::new();
        let mut rest = inside.as_bytes();
        while let [first, tail @ ..] = rest {
            let (end, tail) = match tail {
                [b'-', end, tail @ ..] => (end, tail),
                _ => (first, tail),
            };
            if ![first, end].iter().all(|b| b.is_ascii_alphanumeric()) || first > end {
                return None;
            }
            set.push((*first, *end));
            rest = tail;
        }
        (!set.is_empty()).then_some(Self { set, least, most })
    }

    fn fits(&self, text: &[u8]) -> bool {
        let is_in = |byte: &u8| {
            self.set
                .iter()
                .any(|(first, last)| (first..=last).contains(&byte))
        };
        (self.least..=self.most).contains(&text.len()) && text.iter().all(is_in)
    }
}

fn build(pattern: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::RegexBuilder::new(pattern)
        .dot_matches_new_line(true)
        .build()
        .map_err(|e| e.to_string())
}

/// The expression, if it is names, or names or a group of them before characters of one set.
fn starts_and_run(ere: &str) -> Option<(Vec<&str>, Rest)> {
    let (starts, run, is_group) = if let Some((names, after)) = group_of_names(ere) {
        (names, after, true)
    } else {
        let (before, run) = ere.split_at(ere.find('[').unwrap_or(ere.len()));
        // Of `a|b[0-9]`, only the last name has characters of the set behind it.
        let starts = names(before).filter(|names| run.is_empty() || names.len() == 1)?;
        (starts, run, false)
    };
    let run = Run::decode(run)?;
    Some((starts, Rest::Run { run, is_group }))
}

/// The alternatives of the group that the expression begins with, and what follows, if the
/// group is nothing but names.
fn group_of_names(ere: &str) -> Option<(Vec<&str>, &str)> {
    let (inside, after) = ere.strip_prefix('(')?.split_once(')')?;
    Some((names(inside)?, after))
}

/// Every match begins with one of these.
fn starts(ere: &str) -> Vec<&str> {
    match group_of_names(ere) {
        Some((names, after)) if !may_be_optional(after) && !after.contains('|') => names,
        _ => vec![literal_prefix(ere)],
    }
}

/// The alternatives, if the expression is nothing but names.
fn names(ere: &str) -> Option<Vec<&str>> {
    let all_plain = ere.chars().all(|c| c == '|' || is_plain(c));
    all_plain.then(|| ere.split('|').collect())
}

/// Whether the character has no special meaning.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | '!' | ',')
}

/// Whether what is before this may match nothing, also by one repetition of another (`a+*`).
fn may_be_optional(after: &str) -> bool {
    after.trim_start_matches('+').starts_with(['*', '?', '{'])
}

/// The text that every match must begin with: all before the first special character,
/// without the last character if a repetition follows, which may make it optional.
fn literal_prefix(ere: &str) -> &str {
    if ere.contains('|') {
        return "";
    }
    let end = ere.find(|c| !is_plain(c)).unwrap_or(ere.len());
    let (before, after) = ere.split_at(end);
    if may_be_optional(after) {
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
    let mut open = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(c @ ('w' | 'W' | 's' | 'S' | 'b' | 'B')) => out.extend(['\\', c]),
                Some(c) => literal(c, &mut out),
                None => out.push('\\'),
            },
            '[' => rest = bracket(rest, &mut out),
            '(' => {
                open += 1;
                let is_named = groups < GROUPS;
                groups += usize::from(is_named);
                out.push_str(if is_named { "(" } else { "(?:" });
            }
            ')' if open == 0 => literal(c, &mut out),
            ')' => {
                open -= 1;
                out.push(c);
            }
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
                let mut pairs = class.as_bytes().windows(2);
                let end = pairs.position(|pair| pair == b":]");
                let end = end.map_or(class.len(), |end| end + 2);
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
            ("a|", "", "b"),
            ("net/tun|fuse", "fuse", "fuses"),
            ("a|b+", "bb", "ab"),
            ("(ab|c)[0-9]*", "c12", "a1"),
            ("(ab|c)d|x", "x", "ab"),
            ("(ab|c)?x", "x", "abc"),
            ("(ab|c)*x", "x", "d"),
            ("(ab|c){0,1}x", "x", "d"),
            ("(ab|c)+x", "cabx", "x"),
            ("(a|)x", "x", "a"),
            ("(a(b|c))", "ac", "a"),
            ("(a|b(c))", "bc", "c"),
            ("a(b|c)", "ac", "b"),
            ("sd[a-z]+", "sda", "sda1"),
            ("tty[0-9]+", "tty12", "tty"),
            ("x[0-9a-c]", "xb", "xbb"),
            ("x[ab]?", "xb", "xc"),
            ("[0-9]*", "", "a"),
            ("x[^a]+", "xb", "xa"),
            ("x[[:digit:]]+", "x1", "xa"),
            ("x[]a]+", "x]a", "xb"),
            ("x[a-]+", "x-a", "xb"),
            ("a|b[0-9]", "b1", "a1"),
            ("(a|ab)[b]*", "abb", "b"),
            ("tty[0-9]*", "tty", "ttyS0"),
            ("ttyS?", "tty", "ttyS0"),
            ("ab{0,1}", "a", "abb"),
            ("ab+", "abb", "a"),
            ("^null$", "null", "nul"),
            ("a.c", "a\nc", "ac"),
            ("", "", "a"),
            // As glibc has it.
            ("b)a", "b)a", "ba"),
            ("b)*(a)", "b))a", "a"),
            ("(a))", "a)", "a"),
            ("a|)", ")", "a)"),
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
        let regex = Regex::compile(b"(sd|vd)[a-z]", Extent::Whole).unwrap();
        let groups = regex.groups(b"vda").unwrap();
        assert_eq!(groups[..3], [Some(&b"vda"[..]), Some(b"vd"), None]);
        let regex = Regex::compile(b"null|zero", Extent::Whole).unwrap();
        let groups = regex.groups(b"zero").unwrap();
        assert_eq!(groups[..2], [Some(&b"zero"[..]), None]);
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
        let Rest::Matcher(matcher) = regex.rest else {
            panic!("no matcher");
        };
        assert_eq!(matcher.captures_len(), GROUPS);
    }

    /// The matcher alone says the same about each short expression and each short name.
    #[test]
    fn what_is_left_to_no_matcher_matches_as_by_it() {
        const PARTS: [&str; 9] = ["a", "b", "(", ")", "|", "*", "?", "+", "[ab]"];
        let texts = [
            "", "a", "b", "aa", "ab", "ba", "bb", "aab", "aba", "bab", "c",
        ];
        let mut compared = 0;
        for n in 0..PARTS.len().pow(5) {
            let mut rest = n;
            let mut ere = String::new();
            for _ in 0..5 {
                ere += PARTS[rest % PARTS.len()];
                rest /= PARTS.len();
            }
            // Of `a)(b` the frame below would make something else.
            if build(&translate(&ere)).is_err() {
                continue;
            }
            let alone = build(&format!("^(?:{})$", translate(&ere)));
            let (Ok(alone), Ok(ours)) = (alone, Regex::compile(ere.as_bytes(), Extent::Whole))
            else {
                continue;
            };
            for text in texts {
                let expected = alone.captures(text).map(|found| {
                    let mut groups = [None; GROUPS];
                    for (slot, group) in groups.iter_mut().zip(found.iter()) {
                        *slot = group.map(|g| g.as_str().as_bytes());
                    }
                    groups
                });
                assert_eq!(ours.groups(text.as_bytes()), expected, "{ere} {text}");
                compared += 1;
            }
        }
        assert!(compared > 10_000, "{compared}");
    }

    #[test]
    fn a_mistake_is_a_reason() {
        for bad in [&b"a["[..], b"(", b"a\\", b"\xff", b"x{2", b"b)*(a"] {
            assert!(Regex::compile(bad, Extent::Whole).is_err(), "{bad:?}");
        }
    }
}
