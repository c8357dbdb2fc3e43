//! Splits the bytes that arrive into lines.
//!
//! The reader keeps one buffer. [`Framer::ready`] says how many of its bytes can be passed
//! on: all up to the last newline. What follows waits for its newline, unless it is already
//! longer than `line_max`. Then the first `line_max` bytes decide about the line, and the
//! rest is passed on as it comes. So the result does not depend on how the input is split
//! into reads, and a burst is handled in one piece.

/// Remembers whether the input is inside a line.
#[derive(Clone, Debug)]
pub struct Framer {
    line_max: usize,
    inside_long_line: bool,
}

/// Bytes that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// How many bytes, from the start of the buffer.
    pub bytes: usize,
    /// Whether they continue a line whose start was passed on before.
    pub continues: bool,
}

impl Framer {
    /// The first `line_max` bytes of a line decide about it.
    pub fn new(line_max: usize) -> Self {
        Self {
            line_max,
            inside_long_line: false,
        }
    }

    /// What part of `buffer` can be passed on. The caller must do so, and keep the rest.
    pub fn ready(&mut self, buffer: &[u8]) -> Ready {
        let continues = self.inside_long_line;
        let whole = buffer
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |i| i + 1);
        let tail = buffer.len() - whole;
        let inside = (continues && whole == 0) || tail > self.line_max;
        self.inside_long_line = inside;
        Ready {
            bytes: if inside { buffer.len() } else { whole },
            continues,
        }
    }

    /// Whether the start of a line was passed on, but its end has not come yet.
    pub fn inside_long_line(&self) -> bool {
        self.inside_long_line
    }
}

/// The lines of a block of bytes, each with its newline. The last one may have none.
pub fn split(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = find(b'\n', rest).map_or(rest.len(), |i| i + 1);
        let (line, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(line)
    })
}

/// The number of lines, with an unfinished last one.
pub fn count(block: &[u8]) -> u64 {
    split(block).count() as u64
}

/// The line without its newline.
pub fn body(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([128; 8]);

/// The index of the first `byte`. Looks at eight bytes at a time.
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let pattern = u64::from_ne_bytes([byte; 8]);
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = <[u8; 8]>::try_from(chunk).map_or(0, u64::from_le_bytes) ^ pattern;
        // The lowest high bit that is set marks the first zero byte.
        let zeros = word.wrapping_sub(ONES) & !word & HIGHS;
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|b| *b == byte).map(|i| at + i)
}

/// Which bytes are replaced before anything looks at a line (`-r`, `-R`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    table: [u8; 256],
}

impl Replacement {
    /// Replaces bytes outside 32 to 126, and those in `also`, by `with`.
    /// Newlines stay, because they end lines.
    pub fn new(with: u8, also: &[u8]) -> Self {
        let mut table = [with; 256];
        for (byte, slot) in (0..=u8::MAX).zip(table.iter_mut()) {
            if byte == b'\n' || ((32..127).contains(&byte) && !also.contains(&byte)) {
                *slot = byte;
            }
        }
        Self { table }
    }

    /// Replaces in place.
    pub fn apply(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.table.get(usize::from(*byte)).copied().unwrap_or(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn complete_lines_pass_and_a_tail_waits() {
        let mut framer = Framer::new(4);
        let ready = |framer: &mut Framer, bytes: &[u8]| {
            let r = framer.ready(bytes);
            (r.bytes, r.continues)
        };
        assert_eq!(ready(&mut framer, b"ab"), (0, false));
        assert_eq!(ready(&mut framer, b"abcd"), (0, false));
        assert_eq!(ready(&mut framer, b"abcd\nef"), (5, false));
        assert_eq!(ready(&mut framer, b"efghi"), (5, false));
        assert!(framer.inside_long_line());
        assert_eq!(ready(&mut framer, b"j"), (1, true));
        assert_eq!(ready(&mut framer, b"k\nl"), (2, true));
        assert_eq!(ready(&mut framer, b"l\n"), (2, false));
    }

    #[test]
    fn find_agrees_with_a_plain_search() {
        for length in 0..40 {
            for at in 0..=length {
                let mut bytes: Vec<u8> = (0..length).map(|i| 128 + (i % 3) as u8).collect();
                if let Some(b) = bytes.get_mut(at) {
                    *b = b'\n';
                }
                if let Some(b) = bytes.get_mut(at + 3) {
                    *b = b'\n';
                }
                assert_eq!(
                    find(b'\n', &bytes),
                    bytes.iter().position(|b| *b == b'\n'),
                    "{bytes:?}"
                );
            }
        }
        // A borrow of the subtraction makes such bytes look like the sought one.
        assert_eq!(find(0, &[1, 0, 1, 1, 1, 1, 1, 1]), Some(1));
        assert_eq!(find(b'\n', b"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"), None);
    }

    #[test]
    fn split_keeps_every_byte() {
        let got: Vec<&[u8]> = split(b"a\n\nbc").collect();
        assert_eq!(got, [&b"a\n"[..], b"\n", b"bc"]);
        assert_eq!(split(b"").count(), 0);
        assert_eq!((body(b"a\n"), body(b"a")), (&b"a"[..], &b"a"[..]));
    }

    #[test]
    fn replacement_spares_newlines_only() {
        let all: Vec<u8> = (0..=255).collect();
        let mut got = all.clone();
        Replacement::new(b'_', b"xy\n").apply(&mut got);
        for (before, after) in all.iter().zip(&got) {
            let keeps = *before == b'\n' || ((32..127).contains(before) && !b"xy".contains(before));
            assert_eq!(*after, if keeps { *before } else { b'_' });
        }
    }
}
