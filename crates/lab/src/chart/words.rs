//! Names and times as the page shows them.

use std::time::Duration;

/// A name: what does not print, or turns the direction of writing, is escaped.
pub fn name(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() || HIDDEN.iter().any(|hidden| hidden.contains(&c)) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that are not seen, change the order of others, or are no characters to XML.
const HIDDEN: [std::ops::RangeInclusive<char>; 6] = [
    '\u{ad}'..='\u{ad}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{ffff}',
];

/// A text that has so many characters at most.
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept = text.chars().take(chars_max.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// Milliseconds with one decimal; long spans in seconds.
pub fn ms(span: Duration) -> String {
    if span >= Duration::from_secs(100) {
        return format!("{:.1} s", span.as_secs_f64());
    }
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

/// For a headline.
pub fn seconds(span: Duration) -> String {
    if span >= Duration::from_secs(1) {
        return format!("{:.2} s", span.as_secs_f64());
    }
    format!("{:.0} ms", span.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen() {
        assert_eq!(name("größe/log".as_bytes()), "größe/log");
        assert_eq!(name(b"a\nb\x01\x7f"), "a\\nb\\u{1}\\u{7f}");
        assert_eq!(
            name("a\u{202e}b\u{200b}".as_bytes()),
            "a\\u{202e}b\\u{200b}"
        );
        // What is not UTF-8 is shown as such a mark, which is no character to fear, but odd.
        assert_eq!(name(b"\xff"), "\\u{fffd}");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äbcd", 4), "äbcd");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(ms(Duration::from_micros(1250)), "1.2 ms");
        assert_eq!(ms(Duration::from_secs(250)), "250.0 s");
        assert_eq!(seconds(Duration::from_millis(2569)), "2.57 s");
        assert_eq!(seconds(Duration::from_millis(569)), "569 ms");
    }
}
