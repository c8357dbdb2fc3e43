//! Lines that could not be written because nobody reads: counted, and reported in their
//! place as soon as there is room.

use alloc::format;
use alloc::string::String;

use crate::lines::count;

/// The account of one outlet, such as standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    lines: u64,
    /// The last line that was written has no end.
    inside_line: bool,
}

impl Losses {
    /// Nothing is lost.
    pub const fn new() -> Self {
        Self {
            lines: 0,
            inside_line: false,
        }
    }

    /// What `who` has to write before the next line.
    pub fn opening(&self, who: &str) -> String {
        let end = if self.inside_line { "\n" } else { "" };
        match self.lines {
            0 => String::from(end),
            n => format!("{end}{who}: {n} lines were lost here, for nobody read them\n"),
        }
    }

    /// Whether nothing is lost that was not told.
    pub fn are_told(&self) -> bool {
        self.lines == 0
    }

    /// Of an opening and some lines, so many bytes were written. What lacks nothing but
    /// its newline is there: it gets one before the next line.
    pub fn written(&mut self, opening: &str, lines: &[u8], bytes: usize) {
        let opening = opening.as_bytes();
        let said = bytes.saturating_sub(opening.len());
        let part = if said > 0 {
            lines.get(..said)
        } else {
            opening.get(..bytes)
        };
        if let Some(last) = part.and_then(<[u8]>::last) {
            self.inside_line = *last != b'\n';
        }
        if bytes.saturating_add(1) >= opening.len() {
            self.lines = 0;
        }
        let rest = lines.get(said..).unwrap_or_default();
        let is_there = said > 0 && self.inside_line && rest.starts_with(b"\n");
        let lost = count(rest).saturating_sub(u64::from(is_there));
        self.lines = self.lines.saturating_add(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    const LINES: [&str; 4] = ["a: one\n", "a: two\n", "a: three\n", "a: iv\n"];

    /// Every room for every line: what arrives is whole lines, parts of lines that have
    /// an end, and counts; together they are as many as there were.
    #[test]
    fn every_line_is_there_or_counted() {
        for history in 0..2 * 60_usize.pow(3) {
            // One by one, or two at a time.
            let together = 1 + history % 2;
            let history = history / 2;
            let mut losses = Losses::new();
            let mut arrived = Vec::new();
            let third = if together == 1 { history / 3600 } else { 1000 };
            let rooms = [history % 60, history / 60 % 60, third, 1000, 1000];
            let pieces = LINES.chunks(together).map(<[_]>::concat);
            for (line, room) in pieces.chain(["a: end\n".to_string()]).zip(rooms) {
                let opening = losses.opening("a");
                let all = [opening.as_bytes(), line.as_bytes()].concat();
                let n = all.len().min(room);
                arrived.extend_from_slice(&all[..n]);
                losses.written(&opening, line.as_bytes(), n);
            }
            assert_eq!(losses, Losses::new(), "{history}");
            let text = core::str::from_utf8(&arrived).unwrap();
            let told = |line: &str| {
                let n = line.strip_prefix("a: ")?;
                let n = n.strip_suffix(" lines were lost here, for nobody read them")?;
                n.parse::<usize>().ok()
            };
            let whole = |line: &&str| LINES.contains(&(line.to_string() + "\n").as_str());
            // A count that was told in part is told again, and so may be what was told after it.
            let lost: usize = text.lines().filter_map(told).sum();
            let seen = text.lines().filter(whole).count();
            assert_eq!(seen + lost, LINES.len(), "{history}: {text}");
            assert!(text.ends_with("a: end\n"));
        }
    }
}
