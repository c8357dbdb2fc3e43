//! One service directory, and which of its state the files show.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::adoption::Inheritance;
use crate::facts::{Facts, Files, Line, Stat, StateFiles};
use crate::format::adopt::Mark;
use crate::format::crash_loop::CrashLoop;
use crate::format::status::Status;
use crate::format::tai64n::Tai64n;
use crate::process::Pid;
use crate::scan::{Identity, Name};
use crate::service::{Role, Service};
use crate::time::Instant;

use super::own::Own;

/// A supervised service directory.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name in the scan directory, or the argument of runsv.
    pub name: Name,
    /// Its directory's identity.
    pub identity: Identity,
    /// The service.
    pub main: Half,
    /// Its logger.
    pub log: Option<Box<Half>>,
    /// The writing end of the log pipe is open.
    pub piped: bool,
    /// How much the logger left in its closed pipe, as far as is known.
    pub rest: Rest,
    /// When the entry `log` was last looked at.
    pub log_seen_at: Instant,
    /// Why `log` could last not be opened; empty if it could.
    pub log_obstacle: String,
    /// The logger's directory went: the logger is to end.
    pub sheds_log: bool,
    /// No entry leads to it any more.
    pub removed: bool,
    /// Whether `./check` says when a run is ready.
    pub check: Asks,
    /// Until then the service waits for its logger (`super::lines`).
    pub lines_until: Option<Instant>,
}

/// Whether `./check` is asked about the runs of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// There was none at the last start, or the service says itself when it is ready.
    No,
    /// It is.
    Yes,
    /// It has found this run to be ready.
    Answered(Pid),
}

/// What a logger that ended left in its closed pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// The caller is looking. So many bytes were there at its last look.
    Asked(Option<u32>),
    /// So many bytes: the logger was started once more, to read them.
    Left(u32),
    /// Nothing, or nothing that the logger reads.
    Over,
}

/// A value that no service shows, so that a predecessor's file is written again, or
/// removed.
const UNKNOWN_LOOP: CrashLoop = CrashLoop {
    lives: 0,
    ended: (0, 0),
    next: None,
};

/// What is remembered of [`Facts`] that are shown: all but the crash loop, which most
/// services never have.
type Shown = (Status, Stat, Mark, bool);

fn remembered(facts: &Facts) -> Shown {
    (facts.status(), facts.stat(), facts.mark, facts.is_named)
}

/// A service or its logger.
#[derive(Clone, Debug)]
pub struct Half {
    /// The state machine.
    pub service: Service,
    /// The process is watched by descriptor, since it is no child of ours.
    pub held: bool,
    /// A `control/d` or `control/x` is running.
    pub epilogue: bool,
    /// What is added to the child's record.
    pub mark: Mark,
    /// The same, before the files were last written.
    mark_before: Mark,
    /// Others name it (`super::order`).
    pub is_named: bool,
    /// When phase or pid last changed.
    changed: Tai64n,
    /// What the files show; `None` if they could not be written.
    shown: Option<Shown>,
    shown_loop: Option<Box<CrashLoop>>,
    /// Our own files of one line.
    pub own: Own,
}

/// What is shown of a service that is about to start. The rest follows when it has
/// started.
pub const FIRST: Files = Files {
    mark: false,
    crash_loop: false,
    state: StateFiles::Status,
};

/// Only files of our own.
const NO_STATE: Files = Files {
    mark: false,
    crash_loop: false,
    state: StateFiles::None,
};

impl Unit {
    /// The service or the logger.
    pub fn half(&self, role: Role) -> Option<&Half> {
        match role {
            Role::Main => Some(&self.main),
            Role::Log => self.log.as_deref(),
        }
    }

    /// As [`Unit::half`].
    pub fn half_mut(&mut self, role: Role) -> Option<&mut Half> {
        match role {
            Role::Main => Some(&mut self.main),
            Role::Log => self.log.as_deref_mut(),
        }
    }
}

impl Half {
    /// As it was found at `now`; nothing is shown yet.
    pub fn new(found: &Inheritance, now: Tai64n) -> Self {
        let changed = found.changed.unwrap_or(now);
        Self {
            service: found.service,
            held: found.adopted,
            epilogue: false,
            mark: found.mark,
            mark_before: found.mark,
            is_named: false,
            changed,
            shown: None,
            shown_loop: None,
            own: Own::found(found),
        }
    }

    /// As a predecessor in this process left it; nothing is shown yet.
    pub fn again(service: Service, changed: Tai64n, own: Own) -> Self {
        Self {
            service,
            held: false,
            epilogue: false,
            mark: Mark::None,
            mark_before: Mark::None,
            is_named: false,
            changed,
            shown: None,
            shown_loop: Some(Box::new(UNKNOWN_LOOP)),
            own,
        }
    }

    /// When phase or pid last changed.
    pub const fn changed_at(&self) -> Tai64n {
        self.changed
    }

    /// Takes over the next state of the service.
    pub fn become_state(&mut self, next: Service, now: Tai64n) {
        if next.phase() != self.service.phase() {
            self.changed = now;
        }
        self.service = next;
        self.own.follow(&self.service, now);
    }

    /// Whether it has no process, and none is being started.
    pub fn is_down(&self) -> bool {
        self.service.is_idle() || self.service.is_gone()
    }

    /// What there is to show.
    pub fn facts(&self) -> Facts {
        Facts {
            is_named: self.is_named,
            ..Facts::of(&self.service, self.changed)
        }
    }

    /// Whether the state files lag behind.
    pub fn is_stale(&self) -> bool {
        self.own.is_due() || self.is_status_stale()
    }

    /// Whether the record lags behind. While a child is on its way, nobody knows whose record
    /// it is.
    fn marks(&self, facts: &Facts) -> bool {
        self.mark != facts.mark && !self.service.awaits_a_start()
    }

    fn is_status_stale(&self) -> bool {
        let facts = self.facts();
        self.own.is_watched_due()
            || self.shown != Some(remembered(&facts))
            || self.shown_loop.as_deref() != facts.crash_loop.as_ref()
            || self.marks(&facts)
    }

    /// What the state files are to show, and which of them differ; they count as
    /// written. `crash-loop` comes before the status, which is what sv watches for.
    pub fn show(&mut self) -> (Facts, Files, Vec<Line>) {
        let facts = self.facts();
        let is_stale = self.is_status_stale();
        let crash_loop = facts.crash_loop.map(Box::new);
        let files = Files {
            mark: self.marks(&facts),
            crash_loop: self.shown_loop != crash_loop,
            state: if is_stale {
                StateFiles::All
            } else {
                StateFiles::None
            },
        };
        self.mark_before = self.mark;
        if files.mark {
            self.mark = facts.mark;
        }
        self.shown = Some(remembered(&facts));
        self.shown_loop = crash_loop;
        (facts, files, self.own.take())
    }

    /// What `last` is to show, if it lags behind.
    pub fn show_last(&mut self) -> Option<(Facts, Files, Vec<Line>)> {
        let last = self.own.take_last()?;
        Some((self.facts(), NO_STATE, vec![last]))
    }

    /// They could not be written.
    pub fn not_shown(&mut self) {
        self.shown = None;
        if self.mark == Mark::None {
            self.mark = self.mark_before;
        }
    }

    /// Whether it is down, and only waits to be told to start.
    pub fn is_about_to_start(&self) -> bool {
        self.service.is_idle() && self.service.deadline().is_some()
    }
}
