//! What a service directory asks for: one question, one answer.
//!
//! Before a service is started, signalled or finished, its directory is looked at
//! ([`Look`] says for what), and what is there comes back as [`Settings`]: which
//! programs there are besides `./run`, and what our own files say. The default is
//! runit's behaviour for a directory that holds `run` alone. Nothing is remembered:
//! a change counts from the next look on.
//!
//! Our own files are the rows of [`SETTINGS`]: a name, when it is read, and a decoder
//! from [`crate::format`].

use crate::command::Sig;
use crate::format::Mistake;
use crate::format::backoff;
use crate::process::{Exit, Pid};
use crate::restart::LONGEST_S_DEFAULT;

/// For what a service directory is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A start: is there `control/u`? Without it, also all that [`Look::Run`] asks.
    Start,
    /// `./run` is started next.
    Run,
    /// A signal to this process: is there a script in its place?
    Signal(Sig, Pid),
    /// A stop of this process: is there `control/t`, and the script of this letter
    /// (`d` or `x`), which follows it?
    Stop(u8, Pid),
    /// `control/t` has stopped this process: is there the script of this letter?
    Stopped(u8, Pid),
    /// The run ended so: is there `./finish`?
    End {
        /// How it ended.
        exit: Exit,
        /// It was one of several short lives: the delay may grow.
        grows: bool,
    },
    /// The entry `log` may have come or gone. The supervisor asks this, no service.
    Logger,
}

impl Look {
    /// The scripts in `control` that matter.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        let letters = match self {
            Self::Start => [Some(b'u'), None],
            Self::Signal(sig, _) => [Some(sig.letter()), None],
            Self::Stop(letter, _) => [Some(Sig::Term.letter()), Some(letter)],
            Self::Stopped(letter, _) => [Some(letter), None],
            Self::Run | Self::End { .. } | Self::Logger => [None, None],
        };
        letters.into_iter().flatten()
    }

    /// Whether a start follows, for which the logger must be known.
    pub const fn is_start(self) -> bool {
        matches!(self, Self::Start | Self::Run)
    }
}

/// What was found. What the look did not ask for is as in the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// There is `./finish`.
    pub finish: bool,
    /// The scripts in `control`.
    pub scripts: Scripts,
    /// `backoff`: delays between short lives grow up to so many seconds.
    pub backoff: Option<u32>,
}

/// A file of our own in a service directory.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Which looks read it.
    pub is_read: fn(Look) -> bool,
    /// No more of it is read (bytes).
    pub bytes_max: usize,
    /// Decodes its content into the settings.
    pub decode: fn(&[u8], &mut Settings) -> Result<(), Mistake>,
    /// The value that is used if it cannot be read or understood.
    pub instead: fn(&mut Settings),
    /// That in words, for "taken for ...".
    pub instead_is: &'static str,
    /// What the list of files in the manual says of it.
    pub manual: &'static str,
}

/// Every file of our own that a supervisor reads.
pub const SETTINGS: [Setting; 1] = [Setting {
    name: "backoff",
    is_read: |look| matches!(look, Look::End { grows: true, .. }),
    bytes_max: backoff::BYTES_MAX,
    decode: |content, settings| {
        settings.backoff = Some(backoff::decode(content)?);
        Ok(())
    },
    instead: |settings| settings.backoff = Some(LONGEST_S_DEFAULT),
    instead_is: "60 seconds",
    manual: "The longest delay in seconds, or nothing for 60",
}];

/// A set of scripts in `control`, by their letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scripts(u16);

/// Every letter that a script may have (service-directory(5)).
const LETTERS: &[u8; 13] = b"utdxpchaiqk12";

impl Scripts {
    /// None.
    pub const NONE: Self = Self(0);

    fn bit(letter: u8) -> u16 {
        let at = LETTERS.iter().position(|known| *known == letter);
        at.map_or(0, |at| 1 << at)
    }

    /// Adds one; what is no letter of a script is not added.
    pub fn add(&mut self, letter: u8) {
        self.0 |= Self::bit(letter);
    }

    /// Removes one; returns whether it was there.
    pub fn take(&mut self, letter: u8) -> bool {
        let had = self.has(letter);
        self.0 &= !Self::bit(letter);
        had
    }

    /// Whether one is there.
    pub fn has(self, letter: u8) -> bool {
        self.0 & Self::bit(letter) != 0
    }
}

impl FromIterator<u8> for Scripts {
    fn from_iter<T: IntoIterator<Item = u8>>(letters: T) -> Self {
        let mut scripts = Self::NONE;
        letters.into_iter().for_each(|letter| scripts.add(letter));
        scripts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_script_for_each_letter_and_no_other() {
        let all: Scripts = (0..=255).collect();
        for letter in 0..=255 {
            assert_eq!(all.has(letter), LETTERS.contains(&letter), "{letter}");
        }
        for sig in Sig::ALL {
            assert!(all.has(sig.letter()), "{sig:?}");
        }
        let mut two: Scripts = [b't', b'd'].into_iter().collect();
        assert!(two.take(b't') && !two.take(b't') && two.has(b'd'));
    }

    #[test]
    fn what_holds_instead_is_what_is_said() {
        let mut settings = Settings::default();
        for setting in SETTINGS {
            (setting.instead)(&mut settings);
        }
        assert_eq!(settings.backoff, Some(LONGEST_S_DEFAULT));
        assert_eq!(
            SETTINGS[0].instead_is,
            format!("{LONGEST_S_DEFAULT} seconds")
        );
    }
}
