//! `DIR/down-signal` and `DIR/reload-signal`: the name or number of a signal, on the first
//! line that is not blank.

use alloc::format;

use super::{Mistake, first_line};
use crate::signal::Signal;

/// The signal.
///
/// # Errors
/// There is none of that name; or it is STOP, after which a process hears nothing more.
pub fn decode(content: &[u8]) -> Result<Signal, Mistake> {
    let (line, text) = first_line(content);
    let why = match Signal::parse(text) {
        Some(Signal::STOP) => "it stops nothing for good",
        Some(signal) => return Ok(signal),
        None if text.is_empty() => "empty, where a signal belongs",
        None => "no such signal",
    };
    let reason = match text {
        b"" => why.into(),
        text => format!("{}: {why}", text.escape_ascii()),
    };
    Err(Mistake { line, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_number() {
        for (content, number) in [
            (&b"INT\n"[..], 2),
            (b"SIGQUIT", 3),
            (b"\n 15 \n", 15),
            (b"2\nand so on\n", 2),
            (b"RTMIN+3\n", 37),
            (b"kill\n", 9),
        ] {
            assert_eq!(decode(content).ok(), Signal::new(number), "{content:?}");
        }
    }

    #[test]
    fn mistakes_name_line_and_reason() {
        for (content, line, reason) in [
            (&b""[..], 1, "empty, where a signal belongs"),
            (b"\nSTOP\n", 2, "STOP: it stops nothing for good"),
            (b"19", 1, "19: it stops nothing for good"),
            (b"t\n", 1, "t: no such signal"),
            (b"0\n", 1, "0: no such signal"),
            (b"TERM KILL\n", 1, "TERM KILL: no such signal"),
            (b"\xff", 1, "\\xff: no such signal"),
        ] {
            let reason = reason.into();
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
    }
}
