//! What getty decides without a terminal: how a login name is edited, which speeds are tried,
//! and what the message of a modem means.
//!
//! The terminal is raw while getty reads the name. So getty sees whether the terminal sends a
//! carriage return or a line feed, and which key erases. Therefore getty itself must echo
//! and erase.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest login name in bytes. More is neither kept nor echoed.
pub const NAME_BYTES_MAX: usize = 127;

/// How many speeds a command line may have.
pub const SPEEDS_MAX: usize = 10;

/// A login name while it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameLine {
    /// What was typed so far.
    pub name: Vec<u8>,
    /// The erase key that was used last.
    pub erase_key: Option<u8>,
}

/// What getty does after a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Ignore,
    /// Show the byte.
    Echo(u8),
    /// Erase so many characters.
    RubOut(usize),
    /// The name is complete. The byte is what ended it, CR or LF.
    Done(u8),
    /// The user hangs up (`^C`, `^D`).
    Quit,
    /// Try the next speed: there was a break, or noise of a wrong speed.
    Break,
}

impl NameLine {
    /// Takes one byte from the terminal.
    pub fn step(mut self, byte: u8) -> (Self, Reply) {
        let reply = match byte {
            b'\r' | b'\n' => Reply::Done(byte),
            0 => Reply::Break,
            0x03 | 0x04 => Reply::Quit,
            0x08 | 0x7f => {
                self.erase_key = Some(byte);
                Reply::RubOut(self.erase_last())
            }
            0x15 => Reply::RubOut(self.erase_all()),
            0x01..0x20 => Reply::Ignore,
            _ if self.name.len() >= NAME_BYTES_MAX => Reply::Ignore,
            _ => {
                self.name.push(byte);
                Reply::Echo(byte)
            }
        };
        (self, reply)
    }

    /// Removes the last character, which may have several bytes. Returns how many characters
    /// there are to erase on the terminal: 1, or 0 if there was none.
    fn erase_last(&mut self) -> usize {
        let Some(last) = self.name.len().checked_sub(1) else {
            return 0;
        };
        let start = core::str::from_utf8(&self.name)
            .ok()
            .and_then(|text| text.char_indices().next_back())
            .map_or(last, |(at, _)| at);
        self.name.truncate(start);
        1
    }

    fn erase_all(&mut self) -> usize {
        let columns =
            core::str::from_utf8(&self.name).map_or(self.name.len(), |text| text.chars().count());
        self.name.clear();
        columns
    }
}

/// Why the login program does not get a complete name, if so: it might take a leading dash
/// for an option. For an empty name there is no reason: getty just asks again.
pub fn name_fault(name: &[u8]) -> Option<&'static str> {
    name.starts_with(b"-")
        .then_some("a login name must not begin with a dash")
}

/// Reads the operands: `SPEEDS TTY [TERM]` or `TTY SPEEDS [TERM]`. Further operands are
/// ignored, as by busybox: real inittabs have them.
///
/// # Errors
/// What is wrong, in one line.
pub fn operands<'a>(given: &[&'a [u8]]) -> Result<Operands<'a>, String> {
    let (first, second, term) = match given {
        [first, second] => (*first, *second, None),
        [first, second, term, ..] => (*first, *second, Some(*term)),
        [_] | [] => return Err(String::from("a speed and a terminal are needed")),
    };
    let (speeds, tty) = match first.first() {
        Some(b'0'..=b'9') => (first, second),
        _ => (second, first),
    };
    Ok(Operands {
        speeds: parse_speeds(speeds)?,
        tty,
        term,
    })
}

/// The operands of getty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operands<'a> {
    /// Speeds in baud, at least one; 0 keeps the speed as it is.
    pub speeds: Vec<u32>,
    /// The terminal: a path, a name under /dev, or `-`.
    pub tty: &'a [u8],
    /// The value of TERM.
    pub term: Option<&'a [u8]>,
}

fn parse_speeds(text: &[u8]) -> Result<Vec<u32>, String> {
    let speeds: Option<Vec<u32>> = text.split(|b| *b == b',').map(number).collect();
    match speeds {
        None => Err(format!(
            "speed {}: not a number of baud",
            text.escape_ascii()
        )),
        Some(speeds) if speeds.len() > SPEEDS_MAX => Err(format!(
            "speed {}: more than {SPEEDS_MAX} speeds",
            text.escape_ascii()
        )),
        Some(speeds) => Ok(speeds),
    }
}

/// A decimal number, digits only.
pub fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |n, b| {
        let digit = b.is_ascii_digit().then(|| u32::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// The speed in the message of a modem, such as `CONNECT 2400`: the first number. `None`
/// until the byte after it has come, because more digits may follow.
pub fn modem_speed(said: &[u8]) -> Option<u32> {
    let start = said.iter().position(u8::is_ascii_digit)?;
    let tail = said.get(start..)?;
    let end = tail.iter().position(|b| !b.is_ascii_digit())?;
    number(tail.get(..end)?).filter(|speed| *speed > 0)
}

/// Replaces the escapes of an init string: `\015` (octal), `\x0d` (hexadecimal),
/// `\a \b \f \n \r \t \v` and `\\`. Any other backslash stands for itself.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, tail) = match byte {
            b'\\' => escape(tail).unwrap_or((b'\\', tail)),
            _ => (*byte, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

/// The byte of an escape, and the text after it.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (letter, tail) = text.split_first()?;
    let byte = match letter {
        b'0'..=b'7' => return digits(text, 8, 3),
        b'x' => return digits(tail, 16, 2),
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        _ => return None,
    };
    Some((byte, tail))
}

fn digits(text: &[u8], radix: u32, max: usize) -> Option<(u8, &[u8])> {
    let count = text
        .iter()
        .take(max)
        .take_while(|b| char::from(**b).is_digit(radix))
        .count();
    let (number, tail) = text.split_at_checked(count)?;
    let value = u32::from_str_radix(core::str::from_utf8(number).ok()?, radix).ok()?;
    Some((u8::try_from(value).ok()?, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn typed(bytes: &[u8]) -> (NameLine, Vec<Reply>) {
        let mut line = NameLine::default();
        let mut replies = Vec::new();
        for byte in bytes {
            let (next, reply) = line.step(*byte);
            line = next;
            replies.push(reply);
        }
        (line, replies)
    }

    #[test]
    fn every_byte_has_one_meaning() {
        for byte in 0..=255_u8 {
            let expected = match byte {
                0 => Reply::Break,
                3 | 4 => Reply::Quit,
                8 | 0x15 | 0x7f => Reply::RubOut(1),
                10 | 13 => Reply::Done(byte),
                1..=0x1f => Reply::Ignore,
                _ => Reply::Echo(byte),
            };
            assert_eq!(typed(&[b'a', byte]).1[1], expected, "{byte:#x}");
        }
    }

    #[test]
    fn erase_and_kill_edit_the_name() {
        let (line, replies) = typed(b"ro\x7fX\x08Y\x15\x7fab\x01c");
        assert_eq!(line.name, b"abc");
        assert_eq!(line.erase_key, Some(0x7f));
        assert_eq!(replies[6], Reply::RubOut(2));
        assert_eq!(replies[7], Reply::RubOut(0));
    }

    #[test]
    fn erase_takes_a_whole_character() {
        let (line, _) = typed("aé\x7f".as_bytes());
        assert_eq!(line.name, b"a");
        let (line, replies) = typed("éé\x15".as_bytes());
        assert_eq!(
            (line.name.len(), *replies.last().unwrap()),
            (0, Reply::RubOut(2))
        );
        // Without UTF-8, each byte is a character.
        assert_eq!(typed(b"\xe9\xe9\x7f").0.name, b"\xe9");
    }

    #[test]
    fn a_name_has_an_end() {
        let (line, replies) = typed(&[b'a'; 200]);
        assert_eq!(line.name.len(), NAME_BYTES_MAX);
        assert_eq!(replies[NAME_BYTES_MAX - 1], Reply::Echo(b'a'));
        assert_eq!(replies[NAME_BYTES_MAX], Reply::Ignore);
    }

    #[test]
    fn operands_come_in_either_order() {
        let expected = Operands {
            speeds: vec![38400, 0],
            tty: b"ttyS0",
            term: Some(b"vt100"),
        };
        assert_eq!(
            operands(&[b"38400,0", b"ttyS0", b"vt100"]),
            Ok(expected.clone())
        );
        assert_eq!(operands(&[b"ttyS0", b"38400,0", b"vt100"]), Ok(expected));
        assert_eq!(operands(&[b"-", b"0"]).unwrap().tty, b"-");
        assert_eq!(
            operands(&[b"ttyS0", b"fast"]).unwrap_err(),
            "speed fast: not a number of baud"
        );
        assert!(operands(&[b"0"]).is_err());
        let (three, more) = ([&b"0"[..], b"t", b"x"], [&b"0"[..], b"t", b"x", b"y"]);
        assert_eq!(operands(&more), operands(&three));
        assert!(operands(&[b"1,1,1,1,1,1,1,1,1,1,1", b"t"]).is_err());
        assert!(operands(&[b"99999999999", b"t"]).is_err());
        assert!(operands(&[b"9600,", b"t"]).is_err());
    }

    #[test]
    fn the_modem_tells_its_speed() {
        assert_eq!(modem_speed(b"CONNECT 2400 V42\r\n"), Some(2400));
        assert_eq!(modem_speed(b"CONNECT 240"), None);
        assert_eq!(modem_speed(b"CONNECT\r\n"), None);
        assert_eq!(modem_speed(b"0\r"), None);
    }

    #[test]
    fn init_strings_have_escapes() {
        assert_eq!(unescape(b"AT\\015\\n\\x0d\\\\"), b"AT\r\n\r\\");
        assert_eq!(unescape(b"\\q\\777\\xzz\\"), b"\\q\\777\\xzz\\");
        assert_eq!(unescape(b"\\0a"), b"\0a");
    }

    #[test]
    fn a_name_is_no_option() {
        assert!(name_fault(b"-f").is_some());
        assert!(name_fault(b"root").is_none());
    }
}
