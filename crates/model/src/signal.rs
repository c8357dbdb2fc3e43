//! A signal by its number, with the names of kill(1).

use core::fmt::{self, Display, Formatter};

use crate::signal_names;

/// The first real-time signal that programs may use: the C library keeps those before.
const RTMIN: u8 = 34;
/// The last signal that there is.
const RTMAX: u8 = 64;
/// The longest name is `SIGVTALRM`.
const NAME_BYTES_MAX: usize = 9;

/// The number of a signal, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// The terminal is gone; for many daemons: read the configuration again.
    pub const HUP: Self = Self(1);
    /// Interrupted at the terminal.
    pub const INT: Self = Self(2);
    /// Quit at the terminal.
    pub const QUIT: Self = Self(3);
    /// Ends a process without asking it.
    pub const KILL: Self = Self(9);
    /// The program's own.
    pub const USR1: Self = Self(10);
    /// The program's own.
    pub const USR2: Self = Self(12);
    /// Nobody reads what it writes.
    pub const PIPE: Self = Self(13);
    /// A timer's.
    pub const ALRM: Self = Self(14);
    /// Asks a process to end.
    pub const TERM: Self = Self(15);
    /// Continues a stopped process.
    pub const CONT: Self = Self(18);
    /// Stops a process without asking it.
    pub const STOP: Self = Self(19);

    /// The signal of a number; `None` if there is none.
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1..=RTMAX => Some(Self(number)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Reads a number, a name with or without `SIG`, `RTMIN+N` or `RTMAX-N`, in letters
    /// of any case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(number) = decimal(text) {
            return Self::new(number);
        }
        let mut name = [0; NAME_BYTES_MAX];
        if let Some(name) = name.get_mut(..text.len()) {
            name.copy_from_slice(text);
            name.make_ascii_uppercase();
            if let Some(number) = signal_names::number(name) {
                return Self::new(number);
            }
        }
        let bare = without(text, b"SIG").unwrap_or(text);
        let (from, steps) = match without(bare, b"RTMIN") {
            Some(steps) => (RTMIN, steps),
            None => (RTMAX, without(bare, b"RTMAX")?),
        };
        let number = match steps {
            [] => Some(from),
            [b'+', steps @ ..] if from == RTMIN => from.checked_add(decimal(steps)?),
            [b'-', steps @ ..] if from == RTMAX => from.checked_sub(decimal(steps)?),
            _ => None,
        };
        Self::new(number.filter(|number| *number >= RTMIN)?)
    }
}

/// The rest of a text after a word in letters of any case.
fn without<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

fn decimal(text: &[u8]) -> Option<u8> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

impl Display for Signal {
    /// The name without `SIG`, or the number of what has none.
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match (signal_names::name(self.0), self.0) {
            (Some(name), _) => f.write_str(name),
            (None, RTMIN) => f.write_str("RTMIN"),
            (None, RTMIN..) => write!(f, "RTMIN+{}", self.0 - RTMIN),
            (None, number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn every_signal_goes_there_and_back() {
        for number in 0..=255 {
            let signal = Signal::new(number);
            assert_eq!(signal.is_some(), (1..=64).contains(&number));
            assert_eq!(Signal::parse(number.to_string().as_bytes()), signal);
            let Some(signal) = signal else { continue };
            assert_eq!(signal.number(), number);
            let name = signal.to_string();
            assert_eq!(Signal::parse(name.as_bytes()), Some(signal), "{name}");
            let small = name.to_lowercase();
            assert_eq!(Signal::parse(small.as_bytes()), Some(signal), "{small}");
            if (1..=31).contains(&number) || number >= RTMIN {
                let long = format!("SIG{name}");
                assert_eq!(Signal::parse(long.as_bytes()), Some(signal), "{long}");
                let mixed = format!("sig{name}");
                assert_eq!(Signal::parse(mixed.as_bytes()), Some(signal), "{mixed}");
            }
        }
    }

    #[test]
    fn names_of_kill() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("15", 15),
            ("RTMIN", 34),
            ("RTMIN+0", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+30", 64),
            ("RTMAX", 64),
            ("RTMAX-30", 34),
            ("VTALRM", 26),
        ] {
            assert_eq!(
                Signal::parse(text.as_bytes()),
                Signal::new(number),
                "{text}"
            );
        }
        for (number, name) in [(15, "TERM"), (33, "33"), (34, "RTMIN"), (37, "RTMIN+3")] {
            assert_eq!(
                Signal::new(number).map(|s| s.to_string()).as_deref(),
                Some(name)
            );
        }
    }

    #[test]
    fn what_is_no_signal() {
        for text in [
            "",
            "SIG",
            "0",
            "65",
            "256",
            "+15",
            "-15",
            " 15",
            "TERM ",
            "SIGSIGTERM",
            "SIG15",
            "RTMIN+",
            "RTMIN+31",
            "RTMIN+222",
            "RTMIN-1",
            "RTMAX+1",
            "RTMAX-31",
            "RTMAX-256",
            "RTMIN+-1",
            "RTMIN++1",
            "\u{ff}",
            "TERM\0",
            "SIGVTALRMX",
        ] {
            assert_eq!(Signal::parse(text.as_bytes()), None, "{text}");
        }
    }
}
