//! `DIR/backoff`: the longest delay between two starts of a service, in whole seconds. An
//! empty file means the default. Blank lines and blanks around the number are ignored.

use alloc::format;

use super::{Mistake, decimal};

/// The longest delay (s) of a service that asks for growing delays and gives no number.
pub const LONGEST_S_DEFAULT: u32 = 60;
/// The longest delay (s) that may be asked for: a day. A service with a longer delay
/// would be off, rather than delayed.
pub const LONGEST_S_MAX: u32 = 86_400;

/// The longest delay in seconds.
///
/// # Errors
/// The first line that is not a number of seconds from 1 to [`LONGEST_S_MAX`], or that is a
/// second number.
pub fn decode(content: &[u8]) -> Result<u32, Mistake> {
    let lines = content.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut longest = None;
    for (text, line) in lines.zip(1..).filter(|(text, _)| !text.is_empty()) {
        let mistake = |reason| Mistake { line, reason };
        if longest.is_some() {
            return Err(mistake("there is one number already".into()));
        }
        let seconds = decimal(text).filter(|s| (1..=LONGEST_S_MAX).contains(s));
        let Some(seconds) = seconds else {
            let text = text.escape_ascii();
            let reason = format!("{text}: not a whole number of seconds from 1 to {LONGEST_S_MAX}");
            return Err(mistake(reason));
        };
        longest = Some(seconds);
    }
    Ok(longest.unwrap_or(LONGEST_S_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_nothing() {
        for (content, seconds) in [
            (&b""[..], 60),
            (b"\n \n", 60),
            (b"1", 1),
            (b"300\n", 300),
            (b"\n\t30 \r\n\n", 30),
            (b"86400\n", 86_400),
        ] {
            assert_eq!(decode(content), Ok(seconds), "{content:?}");
        }
    }

    #[test]
    fn mistakes_name_line_and_reason() {
        let range = "not a whole number of seconds from 1 to 86400";
        for (content, line, reason) in [
            (&b"0\n"[..], 1, format!("0: {range}")),
            (b"\n-1\n", 2, format!("-1: {range}")),
            (b"86401", 1, format!("86401: {range}")),
            (b"1m\xff\n", 1, format!("1m\\xff: {range}")),
            (b"5\n6\n", 2, "there is one number already".into()),
        ] {
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
    }
}
