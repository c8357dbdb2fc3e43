//! Finds where the wanted lines of a file begin: the last so many, or those from a time on.
//! The file is read from its end by blocks, and only as far as that takes.

use alloc::vec::Vec;

use super::LINE_BYTES_MAX;
use crate::format::stamp;
use crate::format::tai64n::Tai64n;

/// No stamp is longer, with the blank after it.
const HEAD_BYTES: usize = 40;

/// The search through the files of one log, from the newest to the oldest.
#[derive(Clone, Debug)]
pub struct Backwards {
    lines_max: u64,
    since: Option<Tai64n>,
    /// How many lines were found.
    pub found: u64,
    /// Where the first of them begins, in the file that was searched last.
    pub start: u64,
    /// Nothing further back is wanted.
    pub is_done: bool,
    /// A line had a stamp.
    pub is_stamped: bool,
    /// The beginning of what follows a block.
    follows: Vec<u8>,
}

impl Backwards {
    /// At most so many lines, and none with an older stamp.
    pub fn new(lines_max: u64, since: Option<Tai64n>) -> Self {
        Self {
            lines_max,
            since,
            found: 0,
            start: 0,
            is_done: lines_max == 0,
            is_stamped: false,
            follows: Vec::new(),
        }
    }

    /// Begins with another file, of that length.
    pub fn enter(&mut self, len: u64) {
        self.start = len;
        self.follows.clear();
    }

    /// Takes the block that ends where the one before began, and begins at `at`. Returns
    /// whether the block before it is needed, too; there is none before 0.
    pub fn feed(&mut self, at: u64, block: &[u8]) -> bool {
        while !self.is_done {
            // The newline at the end of a line is its own.
            let before = self.start.saturating_sub(at).saturating_sub(1) as usize;
            let before = block.get(..before).unwrap_or(block);
            let newline = before.iter().rposition(|byte| *byte == b'\n');
            if newline.is_none() && (at > 0 || self.start == 0) {
                self.cut(at);
                break;
            }
            self.line(at, block, newline.map_or(0, |newline| newline + 1));
        }
        let mut follows = block.get(..HEAD_BYTES).unwrap_or(block).to_vec();
        follows.append(&mut self.follows);
        follows.truncate(HEAD_BYTES);
        self.follows = follows;
        !self.is_done && at > 0
    }

    /// A line begins at that byte of the block.
    fn line(&mut self, at: u64, block: &[u8], begin: usize) {
        let start = at + begin as u64;
        let mut head = block.get(begin..).unwrap_or_default();
        head = head.get(..HEAD_BYTES).unwrap_or(head);
        let head = [head, &self.follows].concat();
        let stamp = stamp::decode(&head).map(|(time, _)| time);
        self.is_stamped |= stamp.is_some();
        if stamp
            .zip(self.since)
            .is_some_and(|(time, since)| time < since)
        {
            self.is_done = true;
            return;
        }
        let bytes = self.start - start;
        let pieces = bytes.div_ceil(LINE_BYTES_MAX as u64).max(1);
        let missing = self.lines_max - self.found;
        if pieces > missing {
            self.cut(start);
            return;
        }
        self.start = start;
        self.found += pieces;
        self.is_done = self.found == self.lines_max;
    }

    /// If the line that is known from `from` on has as many pieces as are missing, the
    /// last of them are the wanted ones.
    fn cut(&mut self, from: u64) {
        let missing = self.lines_max - self.found;
        let bytes = missing.saturating_mul(LINE_BYTES_MAX as u64);
        if self.start - from >= bytes {
            self.start -= bytes;
            self.found = self.lines_max;
            self.is_done = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    /// Searches one file by blocks of that size.
    fn search(text: &[u8], block: usize, mut search: Backwards) -> Backwards {
        search.enter(text.len() as u64);
        let mut end = text.len();
        while end > 0 {
            let begin = end.saturating_sub(block);
            let more = search.feed(begin as u64, &text[begin..end]);
            assert!(!more || begin > 0);
            if !more {
                break;
            }
            end = begin;
        }
        search
    }

    fn last(text: &str, lines: u64) -> (String, u64) {
        let mut results = (1..=text.len().max(1)).map(|block| {
            let found = search(text.as_bytes(), block, Backwards::new(lines, None));
            (String::from(&text[found.start as usize..]), found.found)
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first), "{text:?}");
        first
    }

    #[test]
    fn the_last_lines_whatever_the_size_of_blocks() {
        for (text, lines, expected, found) in [
            ("", 3, "", 0),
            ("a\n", 3, "a\n", 1),
            ("a", 3, "a", 1),
            ("a\nb\nc\n", 2, "b\nc\n", 2),
            ("a\nb\nc", 2, "b\nc", 2),
            ("a\nb\nc\n", 3, "a\nb\nc\n", 3),
            ("a\nb\nc\n", 9, "a\nb\nc\n", 3),
            ("\n\n\n", 2, "\n\n", 2),
            ("\na", 2, "\na", 2),
            ("abc\n", 0, "", 0),
        ] {
            assert_eq!(last(text, lines), (expected.into(), found), "{text:?}");
        }
    }

    #[test]
    fn lines_from_a_time_on() {
        let line = |at: i64| {
            let mut text = Vec::new();
            stamp::Stamp::Utc(b'_').encode(Tai64n::from_unix(at, 0), &mut text);
            String::from_utf8(text).unwrap() + &format!("line {at}\n")
        };
        let text = line(10) + "more\n" + &line(20) + "more\n" + &line(30);
        for (since, from, found) in [
            (5, line(10), 5),
            (10, line(10), 5),
            (11, String::from("more\n") + &line(20), 4),
            (20, String::from("more\n") + &line(20), 4),
            (30, String::from("more\n") + &line(30), 2),
            (31, String::new(), 0),
        ] {
            for block in 1..text.len() {
                let since = Some(Tai64n::from_unix(since, 0));
                let search = search(text.as_bytes(), block, Backwards::new(u64::MAX, since));
                assert!(search.is_stamped);
                let tail = &text[search.start as usize..];
                assert!(tail.starts_with(&from), "{tail:?}");
                assert_eq!(search.found, found);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_not_searched_to_its_beginning() {
        let len = 10 * LINE_BYTES_MAX;
        let text = [alloc::vec![b'x'; len].as_slice(), b"\n"].concat();
        let mut search = Backwards::new(2, None);
        search.enter(text.len() as u64);
        let from = text.len() - 2 * LINE_BYTES_MAX;
        assert!(!search.feed(from as u64, &text[from..]));
        assert_eq!((search.start, search.found), (from as u64, 2));
        // A shorter line before it counts as before.
        let text = ["a\n".as_bytes(), &text].concat();
        let whole = super::tests::search(&text, LINE_BYTES_MAX, Backwards::new(50, None));
        assert_eq!((whole.start, whole.found), (0, 12));
    }
}
