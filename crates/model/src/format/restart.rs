//! `DIR/restart`: after which ends a service is started again. The first word is `always`,
//! `failure` or `never`; each further word is an exit code or the name of a signal after
//! which the service stays down.

use alloc::format;
use core::fmt::{self, Debug, Formatter};

use super::{Mistake, decimal, words};
use crate::process::Exit;
use crate::signal::Signal;

/// When a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// After every end.
    Always,
    /// After a failure.
    Failure,
    /// After none.
    Never,
}

impl Policy {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Always, "always"),
        (Self::Failure, "failure"),
        (Self::Never, "never"),
    ];
}

/// The decoded file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Restart {
    /// The first word.
    pub policy: Policy,
    /// The exit codes, a bit for each.
    codes: [u64; 4],
    /// The signals, a bit for each: the lowest is for number 1.
    signals: u64,
}

impl Restart {
    /// Whether one of the further words names this end.
    pub fn names(&self, exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => self.codes[usize::from(code / 64)] >> (code % 64) & 1 == 1,
            Exit::Signal(number) | Exit::Dumped(number) => {
                matches!(number, 1..=64) && self.signals >> (number - 1) & 1 == 1
            }
            Exit::Unknown => false,
        }
    }

    /// Adds a code or a signal; returns whether the word was one.
    fn add(&mut self, word: &[u8]) -> bool {
        if let Some(code) = decimal(word) {
            let code = u8::try_from(code);
            if let Ok(code) = code {
                self.codes[usize::from(code / 64)] |= 1 << (code % 64);
            }
            return code.is_ok();
        }
        let signal = Signal::parse(word);
        if let Some(signal) = signal {
            self.signals |= 1 << (signal.number() - 1);
        }
        signal.is_some()
    }
}

/// The words of the file.
impl Debug for Restart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = Policy::ALL
            .iter()
            .find(|(policy, _)| *policy == self.policy);
        f.write_str(word.map_or("", |(_, word)| word))?;
        let mut codes = (0..=255).filter(|code| self.names(Exit::Code(*code)));
        codes.try_for_each(|code| write!(f, " {code}"))?;
        let signals = (1..=64).filter(|number| self.names(Exit::Signal(*number)));
        let mut signals = signals.filter_map(Signal::new);
        signals.try_for_each(|signal| write!(f, " {signal}"))
    }
}

/// The words.
///
/// # Errors
/// The first word that does not belong where it is.
pub fn decode(content: &[u8]) -> Result<Restart, Mistake> {
    let mut words = words(content);
    let (line, first) = words.next().unwrap_or((1, b""));
    let known = Policy::ALL
        .iter()
        .find(|(_, word)| word.as_bytes() == first);
    let Some((policy, _)) = known else {
        let reason = match first {
            b"" => "empty, where always, failure or never belongs".into(),
            first => format!("{}: not always, failure or never", first.escape_ascii()),
        };
        return Err(Mistake { line, reason });
    };
    let mut restart = Restart {
        policy: *policy,
        codes: [0; 4],
        signals: 0,
    };
    for (line, word) in words {
        if !restart.add(word) {
            let word = word.escape_ascii();
            let reason = format!("{word}: neither an exit code from 0 to 255 nor a signal");
            return Err(Mistake { line, reason });
        }
    }
    Ok(restart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_policy_and_ends() {
        for (content, policy, codes, signals) in [
            (&b"always\n"[..], Policy::Always, &[][..], &[][..]),
            (b"failure", Policy::Failure, &[], &[]),
            (b"\nnever\n78 0\n", Policy::Never, &[0, 78], &[]),
            (
                b"always 0 63 64 255 SIGTERM rtmin+30 HUP",
                Policy::Always,
                &[0, 63, 64, 255],
                &[1, 15, 64],
            ),
        ] {
            let restart = decode(content).unwrap();
            assert_eq!(restart.policy, policy);
            for number in 0..=255 {
                assert_eq!(restart.names(Exit::Code(number)), codes.contains(&number));
                let is_named = signals.contains(&number);
                assert_eq!(restart.names(Exit::Signal(number)), is_named);
                assert_eq!(restart.names(Exit::Dumped(number)), is_named);
            }
            assert!(!restart.names(Exit::Unknown));
            assert_eq!(decode(format!("{restart:?}").as_bytes()), Ok(restart));
        }
    }

    /// Signals 32 and 33, which the C library keeps for itself, have no name.
    #[test]
    fn every_code_and_signal_has_a_place_of_its_own() {
        let signals = (1..=64).filter(|number| !matches!(number, 32 | 33));
        let all = (0..=255).map(Exit::Code).chain(signals.map(Exit::Signal));
        let all: Vec<Exit> = all.collect();
        for end in &all {
            let word = match end {
                Exit::Code(code) => format!("always {code}"),
                end => format!("always {}", Signal::new(end.signal().unwrap()).unwrap()),
            };
            let restart = decode(word.as_bytes()).unwrap();
            for other in &all {
                assert_eq!(restart.names(*other), other == end, "{word}");
            }
        }
    }

    #[test]
    fn mistakes_name_line_and_reason() {
        for (content, line, reason) in [
            (&b""[..], 1, "empty, where always, failure or never belongs"),
            (b"\n78", 2, "78: not always, failure or never"),
            (b"on-failure", 1, "on-failure: not always, failure or never"),
            (
                b"never\n256",
                2,
                "256: neither an exit code from 0 to 255 nor a signal",
            ),
            (
                b"always \xff",
                1,
                "\\xff: neither an exit code from 0 to 255 nor a signal",
            ),
        ] {
            let reason = reason.into();
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
    }
}
