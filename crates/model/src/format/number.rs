//! A file that holds one whole number in decimal, as s6 has them (`timeout-kill` and others):
//! the first line counts, and what follows it does not. Unlike s6 this passes over blank
//! lines before it and blanks around it.

use alloc::format;

use super::{Mistake, decimal, first_line};

/// The number, which is at most `max`.
///
/// # Errors
/// There is none, or it is none such; `what` says what it is to be.
pub fn decode(content: &[u8], max: u32, what: &str) -> Result<u32, Mistake> {
    let (line, text) = first_line(content);
    let number = decimal(text).filter(|number| *number <= max);
    number.ok_or_else(|| {
        let reason = match text {
            b"" => format!("empty, where {what} belongs"),
            text => format!("{}: not {what} from 0 to {max}", text.escape_ascii()),
        };
        Mistake { line, reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What s6 takes for a number is the same number here.
    #[test]
    fn the_first_line_counts() {
        for (content, number) in [
            (&b"0"[..], 0),
            (b"5000\n", 5000),
            (b"007\n", 7),
            (b"3\n# the third\n", 3),
            (b"\n\t 12 \r\n\n", 12),
            (b"4294967295\n", u32::MAX),
        ] {
            assert_eq!(decode(content, u32::MAX, "a number"), Ok(number));
        }
    }

    #[test]
    fn mistakes_name_line_and_reason() {
        for (content, line, reason) in [
            (&b""[..], 1, "empty, where a number belongs"),
            (b" \n\n", 1, "empty, where a number belongs"),
            (b"\n-1\n", 2, "-1: not a number from 0 to 9"),
            (b"10\n", 1, "10: not a number from 0 to 9"),
            (b"1 2\n", 1, "1 2: not a number from 0 to 9"),
            (b"1s\xff\n", 1, "1s\\xff: not a number from 0 to 9"),
        ] {
            let reason = reason.into();
            assert_eq!(
                decode(content, 9, "a number"),
                Err(Mistake { line, reason })
            );
        }
    }
}
