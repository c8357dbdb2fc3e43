//! A line of a log as it is shown: a time in place of its stamp, and nothing in it that a
//! terminal obeys.

use alloc::vec::Vec;

use crate::format::stamp::Stamp;
use crate::format::tai64n::Tai64n;

/// Bytes after the milliseconds: the stamp has two digits more, and a blank.
const FRACTION_REST: usize = 3;

/// Appends `2026-11-29 18:18:03.123 ` in a local time that is so many seconds ahead of UTC.
pub fn time(at: Tai64n, offset_s: i64, out: &mut Vec<u8>) {
    let local = at.unix_seconds().saturating_add(offset_s);
    Stamp::Utc(b' ').encode(Tai64n::from_unix(local, at.nanos()), out);
    out.truncate(out.len() - FRACTION_REST);
    out.push(b' ');
}

/// Appends text for a terminal: control characters but tabs, and what is not UTF-8, are
/// escaped.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' {
                let mut bytes = [0; 4];
                let bytes = c.encode_utf8(&mut bytes).as_bytes();
                out.extend(bytes.iter().copied().flat_map(core::ascii::escape_default));
            } else {
                let mut bytes = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
            }
        }
        out.extend(
            chunk
                .invalid()
                .iter()
                .copied()
                .flat_map(core::ascii::escape_default),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn times_have_milliseconds() {
        let mut out = b"x ".to_vec();
        time(
            Tai64n::from_unix(1_000_000_000, 123_999_999),
            7200,
            &mut out,
        );
        assert_eq!(out, b"x 2001-09-09 03:46:40.123 ");
        let mut out = Vec::new();
        time(Tai64n::decode([255; 12]), i64::MAX, &mut out);
        time(Tai64n::decode([0; 12]), i64::MIN, &mut out);
        assert!(out.ends_with(b" "));
    }

    #[test]
    fn a_terminal_gets_no_command() {
        let shown = |text: &[u8]| {
            let mut out = Vec::new();
            escape(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown("gr\u{fc}n\tok \\x".as_bytes()), "gr\u{fc}n\tok \\x");
        assert_eq!(shown(b"\x1b[2J\x07\r\x7f\0"), r"\x1b[2J\x07\r\x7f\x00");
        assert_eq!(shown("\u{9b}2J".as_bytes()), r"\xc2\x9b2J");
        assert_eq!(shown(b"a\xff\xc3z"), r"a\xff\xc3z");
    }
}
