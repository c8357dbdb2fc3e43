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

use core::fmt::{self, Debug, DebugStruct, Formatter};

use crate::command::Sig;
pub use crate::format::kill::Kill;
pub use crate::format::notify::Notify;
pub use crate::format::restart::{Policy, Restart};
use crate::format::{Mistake, backoff, kill, notify, number, owner, restart, signal};
use crate::process::{Cause, Exit, Pid};
use crate::signal::Signal;

/// For what a service directory is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A start: is there `control/u`? Without it, also all that [`Look::Run`] asks.
    Start,
    /// `./setup` or `./run` is started next.
    Run,
    /// `./setup` has succeeded: is there `./run`? If so, it is started next.
    SetUp,
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
        /// Why.
        cause: Cause,
        /// It was one of several short lives: the delay may grow.
        grows: bool,
    },
    /// The run of this process was taken over, and was not ready: what does it announce?
    Adopted(Pid),
    /// This process says that it ends, and asks for so many ms: how long may that take?
    Ends(Pid, u64),
    /// The supervision begins: whose is the service? The supervisor asks this, no service.
    Begun,
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
            Self::Run
            | Self::SetUp
            | Self::Adopted(_)
            | Self::Ends(..)
            | Self::End { .. }
            | Self::Begun
            | Self::Logger => [None, None],
        };
        letters.into_iter().flatten()
    }

    /// Whether a start follows, for which the logger must be known.
    pub const fn is_start(self) -> bool {
        matches!(self, Self::Start | Self::Run | Self::SetUp)
    }

    /// Whether it matters how a run becomes ready.
    const fn is_rise(self) -> bool {
        self.is_start() || matches!(self, Self::Adopted(_))
    }

    /// Whether a run has ended.
    const fn is_end(self) -> bool {
        matches!(self, Self::End { .. })
    }

    /// Whether a stop may follow: of the process itself, or of what it has left.
    const fn may_stop(self) -> bool {
        matches!(
            self,
            Self::Stop(..)
                | Self::Stopped(..)
                | Self::Signal(Sig::Term, _)
                | Self::Ends(..)
                | Self::End { .. }
        )
    }
}

/// What was found. What the look did not ask for is as in the default.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a program of its own"
)]
pub struct Settings {
    /// There is `./finish`.
    pub finish: bool,
    /// The scripts in `control`.
    pub scripts: Scripts,
    /// `backoff`: delays between short lives grow up to so many seconds.
    pub backoff: Option<u32>,
    /// There is `./setup`, which is executable.
    pub setup: bool,
    /// There is something by the name of `./run`.
    pub run: bool,
    /// There is `./check`, which is executable.
    pub check: bool,
    /// There is nothing to start, and it names others in `needs` or `wants`.
    pub milestone: bool,
    /// `notification-fd`: a newline on this descriptor means ready. 0: somebody says so.
    pub notification_fd: Option<u16>,
    /// `notify`: the service gets a socket for messages.
    pub notify: Option<Notify>,
    /// `timeout-up`: `setup`, and then readiness, must come within so many milliseconds.
    pub timeout_up: Option<u32>,
    /// `down-signal`, in place of TERM.
    pub down_signal: Option<Signal>,
    /// `reload-signal`, in place of HUP.
    pub reload_signal: Option<Signal>,
    /// `timeout-kill`: so many milliseconds after the signal that stops it comes KILL.
    pub timeout_kill: Option<u32>,
    /// `timeout-finish`: `./finish` may take so many milliseconds.
    pub timeout_finish: Option<u32>,
    /// `kill`: what is stopped.
    pub kill: Kill,
    /// `restart`: after which ends it stays down.
    pub restart: Option<Restart>,
    /// `give-up`: after so many short lives in a row it stays down.
    pub give_up: Option<u32>,
    /// `owner`: who may command the service, by name.
    pub owner: Option<owner::Named>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            finish: false,
            scripts: Scripts::NONE,
            backoff: None,
            setup: false,
            run: true,
            check: false,
            milestone: false,
            notification_fd: None,
            notify: None,
            timeout_up: None,
            down_signal: None,
            reload_signal: None,
            timeout_kill: None,
            timeout_finish: None,
            kill: Kill::Process,
            restart: None,
            give_up: None,
            owner: None,
        }
    }
}

/// Of our own files, only those that change something are shown, but for the oldest.
impl Debug for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fn show<T: Debug + PartialEq>(f: &mut DebugStruct, name: &str, value: &T, plain: &T) {
            if value != plain {
                f.field(name, value);
            }
        }
        let plain = Self::default();
        let mut f = f.debug_struct("Settings");
        f.field("finish", &self.finish);
        f.field("scripts", &self.scripts);
        f.field("backoff", &self.backoff);
        macro_rules! show {
            ($($name:ident)*) => {
                $(show(&mut f, stringify!($name), &self.$name, &plain.$name);)*
            };
        }
        show! {
            setup run check milestone notification_fd notify timeout_up down_signal reload_signal
            timeout_kill timeout_finish kill restart give_up owner
        }
        f.finish()
    }
}

/// A file of our own in a service directory.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// A logger may have it, too.
    pub of_logger: bool,
    /// Which looks read it.
    pub is_read: fn(Look) -> bool,
    /// Decodes its content into the settings.
    pub decode: fn(&[u8], &mut Settings) -> Result<(), Mistake>,
    /// The value that is used if it cannot be read or understood.
    pub instead: fn(&mut Settings),
    /// That in words, for "taken for ...".
    pub instead_is: &'static str,
    /// What the list of files in the manual says of it.
    pub manual: &'static str,
}

impl Setting {
    /// A file that only a service may have, and that counts for nothing if it cannot be
    /// understood.
    const fn of_service(
        name: &'static str,
        is_read: fn(Look) -> bool,
        decode: fn(&[u8], &mut Settings) -> Result<(), Mistake>,
        instead_is: &'static str,
        manual: &'static str,
    ) -> Self {
        Self {
            name,
            of_logger: false,
            is_read,
            decode,
            instead: |_| (),
            instead_is,
            manual,
        }
    }
}

/// No more of a file of our own is read (bytes).
pub const BYTES_MAX: usize = 256;

/// Descriptors above this one are not handed over.
const FD_MAX: u32 = 1023;

/// Every file of our own that a supervisor reads.
pub const SETTINGS: [Setting; 12] = [
    Setting {
        name: "backoff",
        of_logger: true,
        is_read: |look| matches!(look, Look::End { grows: true, .. }),
        decode: |content, settings| {
            settings.backoff = Some(backoff::decode(content)?);
            Ok(())
        },
        instead: |settings| settings.backoff = Some(backoff::LONGEST_S_DEFAULT),
        instead_is: "60 seconds",
        manual: "The longest delay in seconds, or nothing for 60",
    },
    Setting::of_service(
        "notification-fd",
        Look::is_rise,
        |content, settings| {
            let number = number::decode(content, FD_MAX, "the number of a descriptor")?;
            settings.notification_fd = u16::try_from(number).ok();
            Ok(())
        },
        "no descriptor",
        "The number of a descriptor",
    ),
    Setting::of_service(
        "notify",
        Look::is_rise,
        |content, settings| {
            settings.notify = Some(notify::decode(content)?);
            Ok(())
        },
        "no socket",
        "Nothing, or the words",
    ),
    Setting::of_service(
        "timeout-up",
        Look::is_rise,
        |content, settings| {
            settings.timeout_up = ms(content)?;
            Ok(())
        },
        "no limit",
        "The milliseconds that a start may take",
    ),
    Setting::of_service(
        "down-signal",
        Look::may_stop,
        |content, settings| {
            settings.down_signal = Some(signal::decode(content)?);
            Ok(())
        },
        "TERM",
        "The signal that stops the service",
    ),
    Setting::of_service(
        "reload-signal",
        |look| matches!(look, Look::Signal(Sig::Hup, _)),
        |content, settings| {
            settings.reload_signal = Some(signal::decode(content)?);
            Ok(())
        },
        "HUP",
        "The signal that the command",
    ),
    Setting::of_service(
        "timeout-kill",
        Look::may_stop,
        |content, settings| {
            settings.timeout_kill = ms(content)?;
            Ok(())
        },
        "no limit",
        "The milliseconds that a stop may take",
    ),
    Setting::of_service(
        "timeout-finish",
        Look::is_end,
        |content, settings| {
            settings.timeout_finish = ms(content)?;
            Ok(())
        },
        "no limit",
        "The milliseconds that",
    ),
    Setting::of_service(
        "kill",
        |look| look.is_start() || look.is_end(),
        |content, settings| {
            settings.kill = kill::decode(content)?;
            Ok(())
        },
        "process",
        "What a stop ends",
    ),
    Setting::of_service(
        "restart",
        Look::is_end,
        |content, settings| {
            settings.restart = Some(restart::decode(content)?);
            Ok(())
        },
        "always",
        "The ends after which the service is started again",
    ),
    Setting::of_service(
        "give-up",
        Look::is_end,
        |content, settings| {
            settings.give_up =
                unless_0(number::decode(content, u32::MAX, "a number of short runs")?);
            Ok(())
        },
        "never",
        "A number of short runs",
    ),
    OWNER,
];

/// The one that is read when the supervision begins.
pub const OWNER: Setting = Setting::of_service(
    "owner",
    |look| matches!(look, Look::Begun),
    |content, settings| {
        settings.owner = Some(owner::decode(content)?);
        Ok(())
    },
    "nobody",
    "The user who may command the service",
);

/// A time limit; 0 is none.
fn ms(content: &[u8]) -> Result<Option<u32>, Mistake> {
    number::decode(content, u32::MAX, "a number of milliseconds").map(unless_0)
}

const fn unless_0(number: u32) -> Option<u32> {
    match number {
        0 => None,
        other => Some(other),
    }
}

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
    use alloc::vec::Vec;

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

    /// What is said of a file that cannot be understood is what holds then.
    #[test]
    fn what_holds_instead_is_what_is_said() {
        for setting in &SETTINGS {
            let mut settings = Settings::default();
            let refused = (setting.decode)(b"no such thing\n", &mut settings).unwrap_err();
            assert_eq!(refused.line, 1, "{}", setting.name);
            assert_eq!(settings, Settings::default(), "{}", setting.name);
            (setting.instead)(&mut settings);
            let longest_s = (setting.name == "backoff").then_some(backoff::LONGEST_S_DEFAULT);
            let backs_off = Settings {
                backoff: longest_s,
                ..Settings::default()
            };
            assert_eq!(settings, backs_off, "{}", setting.name);
        }
        let backoff = format!("{} seconds", backoff::LONGEST_S_DEFAULT);
        assert_eq!(SETTINGS[0].instead_is, backoff);
    }

    #[test]
    fn each_file_is_read_into_its_field() {
        for (name, content, shown) in [
            ("backoff", "30", "backoff: Some(30)"),
            ("notification-fd", "3", "notification_fd: Some(3)"),
            ("notification-fd", "0", "notification_fd: Some(0)"),
            ("timeout-up", "5000", "timeout_up: Some(5000)"),
            ("timeout-kill", "1", "timeout_kill: Some(1)"),
            ("timeout-finish", "70000", "timeout_finish: Some(70000)"),
            ("down-signal", "INT", "down_signal: Some(Signal(2))"),
            ("reload-signal", "USR1", "reload_signal: Some(Signal(10))"),
            ("kill", "group", "kill: Group"),
            ("restart", "never", "restart: Some(never)"),
            ("give-up", "10", "give_up: Some(10)"),
            (
                "owner",
                "dev:web",
                "owner: Some(Named { user: dev, group: Some(web) })",
            ),
            (
                "notify",
                "",
                "notify: Some(Notify { ready: true, status: false, all: false })",
            ),
        ] {
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let mut settings = Settings::default();
            (setting.unwrap().decode)(content.as_bytes(), &mut settings).unwrap();
            let is_shown = format!("{settings:?}").contains(shown);
            assert!(is_shown, "{name}: {settings:?}");
        }
    }

    #[test]
    fn no_time_is_no_limit_and_no_number_of_lives_is_never() {
        for name in ["timeout-up", "timeout-kill", "timeout-finish", "give-up"] {
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let mut settings = Settings::default();
            (setting.unwrap().decode)(b"0\n", &mut settings).unwrap();
            assert_eq!(settings, Settings::default(), "{name}");
        }
    }

    /// A logger reads a log to its end, and is ready at once; it shares one thing with a
    /// service.
    #[test]
    fn a_logger_has_a_delay_only() {
        let of_loggers = SETTINGS.iter().filter(|setting| setting.of_logger);
        let names: Vec<_> = of_loggers.map(|setting| setting.name).collect();
        assert_eq!(names, ["backoff"]);
    }
}
