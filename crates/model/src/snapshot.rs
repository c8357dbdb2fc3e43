//! What can be seen of a service from outside at one moment, for `sv list`, `why`, `watch`
//! and `--json`: plain data, and what it means in one word, the [`State`].
//!
//! runit's status has three phases and some flags. Our own files in `supervise` say more,
//! and each is believed only if it is about the run that the status shows. Where nobody
//! supervises the service, what its files say is stale: then it is `gone`, whatever they say.
//! What could not be read is unknown, and never `down`.

pub mod health;
pub mod json;
pub mod line;
pub mod metrics;
pub mod note;
pub mod table;
pub mod tree;
pub mod why;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::control::text::{self, Own};
use crate::format::crash_loop::CrashLoop;
use crate::format::state::last::Last;
use crate::format::state::reason::Reason;
use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;

/// A service, as far as it can be seen.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Its name: of its entry in the scan directory, or as the user named it.
    pub name: Vec<u8>,
    /// Its directory, or a link to it.
    pub dir: Vec<u8>,
    /// The scan directory has an entry for it.
    pub enabled: bool,
    /// Whether a supervisor runs; `None`: this is not known.
    pub supervised: Option<bool>,
    /// What its supervisor last wrote, if that can be read.
    pub status: Option<Status>,
    /// There is no file `down`; `None`: this is not known.
    pub normally_up: Option<bool>,
    /// What our own files say.
    pub own: Own,
    /// It is in a crash loop, and shows that.
    pub crash_loop: Option<CrashLoop>,
    /// What its process uses, if somebody looked.
    pub usage: Option<Usage>,
    /// Why it could not be seen, in a line.
    pub trouble: Option<String>,
    /// Its log service.
    pub log: Option<Box<Self>>,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is resident, in bytes.
    pub memory_bytes: u64,
    /// Time of processors, in milliseconds, if that was looked at, too.
    pub cpu_ms: Option<u64>,
}

/// What a service is doing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its program runs, and is ready as far as it says that.
    Run,
    /// It starts, or has not said yet that it is ready.
    Starting,
    /// It is wanted, and waits for another service.
    Held,
    /// It is wanted, has failed again and again, and is started later.
    Crashing,
    /// It is wanted, has ended, and is started in a moment.
    Restarting,
    /// It is stopped by `sv pause`.
    Paused,
    /// It was told to stop, and has not ended yet.
    Stopping,
    /// It has ended, and `finish` runs.
    Finish,
    /// A oneshot that is done.
    Done,
    /// It is down, and nobody wants it up.
    Down,
    /// It stays down because of how it ended.
    Failed,
    /// Nobody supervises it.
    Gone,
    /// It is in the database alone.
    Disabled,
    /// It cannot be seen.
    Unknown,
}

impl State {
    /// Every state, in the order in which they are declared.
    pub const ALL: [Self; 14] = [
        Self::Run,
        Self::Starting,
        Self::Held,
        Self::Crashing,
        Self::Restarting,
        Self::Paused,
        Self::Stopping,
        Self::Finish,
        Self::Done,
        Self::Down,
        Self::Failed,
        Self::Gone,
        Self::Disabled,
        Self::Unknown,
    ];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Starting => "starting",
            Self::Held => "held",
            Self::Crashing => "crashing",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Finish => "finish",
            Self::Done => "done",
            Self::Down => "down",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Disabled => "disabled",
            Self::Unknown => "?",
        }
    }

    /// The state of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Snapshot {
    /// What it is doing.
    pub fn state(&self) -> State {
        match (self.supervised, &self.status) {
            (Some(false), _) if self.enabled => State::Gone,
            (Some(false), _) => State::Disabled,
            (_, None) => State::Unknown,
            (_, Some(status)) => self.state_by(status),
        }
    }

    fn state_by(&self, status: &Status) -> State {
        match status.phase {
            Phase::Finish => State::Finish,
            Phase::Run if status.pid == 0 && status.want_up => State::Done,
            // A oneshot that is done has no process that could be stopped.
            Phase::Run if status.paused => State::Paused,
            Phase::Run if self.is_stopping() => State::Stopping,
            Phase::Run if text::is_starting(status, self.own.ready) => State::Starting,
            Phase::Run => State::Run,
            Phase::Down if status.pid != 0 => State::Starting,
            Phase::Down if !status.want_up && self.has_given_up() => State::Failed,
            Phase::Down if !status.want_up => State::Down,
            Phase::Down if self.waits_for().is_some() => State::Held,
            Phase::Down if self.crash_loop.is_some() => State::Crashing,
            Phase::Down => State::Restarting,
        }
    }

    /// `once` does not want it up either, and nothing stops it.
    fn is_stopping(&self) -> bool {
        let Some(status) = &self.status else {
            return false;
        };
        !status.want_up && (status.got_term || self.waits_for().is_some())
    }

    fn has_given_up(&self) -> bool {
        self.own.last.is_some_and(|last| last.given_up)
    }

    /// The service that it waits for, before it starts or stops; escaped.
    pub fn waits_for(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        let name = match self.own.reason.as_ref()? {
            Reason::Held { name, .. } if status.want_up => name,
            Reason::Stop(name) if !status.want_up => name,
            _ => return None,
        };
        text::may_be_held(status).then_some(name)
    }

    /// The process of it, if one is known.
    pub fn pid(&self) -> Option<u32> {
        let status = self.status.as_ref()?;
        (self.supervised != Some(false) && status.pid != 0).then_some(status.pid)
    }

    /// Since when it is what it is.
    pub fn since(&self) -> Option<Tai64n> {
        let is_stale = self.supervised == Some(false);
        self.status
            .filter(|_| !is_stale)
            .map(|status| status.changed)
    }

    /// Since when its run is ready, by its own word.
    pub fn ready_since(&self) -> Option<Tai64n> {
        let status = self.status.filter(|status| status.phase == Phase::Run)?;
        let ready = self.own.ready.filter(|ready| ready.is_of(&status))?;
        ready.source.map(|_| ready.at)
    }

    /// How its last run ended.
    pub const fn last(&self) -> Option<&Last> {
        self.own.last.as_ref()
    }

    /// Why it could not be seen, without its name.
    pub fn unseen(&self) -> Option<&str> {
        let why = self.trouble.as_deref()?;
        let name = format!(": {}: ", self.name.escape_ascii());
        Some(why.split_once(&name).map_or(why, |(_, why)| why))
    }

    /// What it says of itself, escaped.
    pub fn told(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        let told = self.own.told.as_ref().filter(|told| told.is_of(status))?;
        Some(&told.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::state::last::Outcome;
    use crate::format::state::ready::Ready;
    use crate::kind::Kind;
    use crate::process::Exit;

    const AT: Tai64n = Tai64n::from_unix(1000, 0);

    /// `d` down, `r` run, `f` finish; pid or 0; then `u` wanted, `t` got TERM, `p` paused.
    fn seen(phase: u8, pid: u32, flags: &str) -> Snapshot {
        Snapshot {
            enabled: true,
            supervised: Some(true),
            status: Some(Status {
                changed: AT,
                pid,
                paused: flags.contains('p'),
                want_up: flags.contains('u'),
                got_term: flags.contains('t'),
                phase: match phase {
                    b'd' => Phase::Down,
                    b'r' => Phase::Run,
                    _ => Phase::Finish,
                },
            }),
            ..Snapshot::default()
        }
    }

    #[test]
    fn each_state_has_its_word() {
        for (at, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(State::of_word(state.word()), Some(state));
            assert_eq!(state as usize, at);
        }
        for (snapshot, word) in [
            (seen(b'r', 7, "u"), "run"),
            // Once.
            (seen(b'r', 7, ""), "run"),
            (seen(b'r', 7, "t"), "stopping"),
            (seen(b'r', 7, "ut"), "run"),
            (seen(b'r', 7, "up"), "paused"),
            (seen(b'r', 0, "u"), "done"),
            (seen(b'f', 7, "u"), "finish"),
            (seen(b'f', 0, ""), "finish"),
            (seen(b'd', 0, ""), "down"),
            (seen(b'd', 0, "u"), "restarting"),
            (seen(b'd', 7, "u"), "starting"),
        ] {
            assert_eq!(snapshot.state().word(), word, "{:?}", snapshot.status);
        }
    }

    #[test]
    fn our_own_files_say_more_if_they_fit() {
        let mut run = seen(b'r', 7, "u");
        let starting = Ready {
            pid: 7,
            at: AT,
            source: None,
        };
        run.own.ready = Some(starting);
        assert_eq!((run.state(), run.ready_since()), (State::Starting, None));
        run.own.ready = Some(Ready { pid: 8, ..starting });
        assert_eq!(run.state(), State::Run);

        let mut held = seen(b'd', 0, "u");
        held.own.reason = Some(Reason::Held {
            by: Kind::Needs,
            name: "db".into(),
            why: "down".into(),
        });
        assert_eq!((held.state(), held.waits_for()), (State::Held, Some("db")));
        held.own.reason = Some(Reason::Stop("db".into()));
        assert_eq!((held.state(), held.waits_for()), (State::Restarting, None));
        held.crash_loop = Some(CrashLoop {
            lives: 3,
            ended: (1, 0),
            next: None,
        });
        assert_eq!(held.state(), State::Crashing);

        let mut failed = seen(b'd', 0, "");
        failed.own.last = Some(Last {
            exit: Exit::Code(1),
            outcome: Outcome::Exit,
            at: AT,
            restarts: 0,
            pid: 7,
            lived_ms: None,
            given_up: true,
        });
        assert_eq!(failed.state(), State::Failed);
        failed.supervised = Some(false);
        assert_eq!((failed.state(), failed.since()), (State::Gone, None));
        failed.enabled = false;
        assert_eq!(failed.state(), State::Disabled);
        failed.supervised = None;
        failed.status = None;
        assert_eq!(failed.state(), State::Unknown);
    }
}
