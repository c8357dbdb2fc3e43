//! What there is to show of a service or logger: one value, made in one place
//! ([`Facts::of`]) and written by one action (`supervisor::Action::Show`).
//!
//! All that others read in `supervise/` is an encoding of it: runit's files `status`,
//! `pid` and `stat`, our own file `crash-loop`, and for a supervisor that takes over,
//! the word in `lock` that a stop is under way or a oneshot done. That others name the
//! service is a mark on the fifos.
//! Our files of one line ([`Line`]) go with it.

use alloc::string::String;
use core::ffi::CStr;

use crate::format::adopt::Mark;
use crate::format::crash_loop::CrashLoop;
use crate::format::state::last::Last;
use crate::format::state::ready::Ready;
use crate::format::state::reason::Reason;
use crate::format::state::status_text::StatusText;
use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;
use crate::service::{Pid, Service, Want};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may go with any other"
)]
pub struct Facts {
    /// What it is doing.
    pub phase: Phase,
    /// Its process; 0: none.
    pub pid: Pid,
    /// When one of these two last changed.
    pub changed: Tai64n,
    /// It was sent STOP and no CONT.
    pub paused: bool,
    /// It was sent TERM.
    pub got_term: bool,
    /// What is wanted of its process, if it has one.
    pub want: Option<Want>,
    /// A supervisor that takes over shall want it up.
    pub want_up: bool,
    /// What a supervisor that takes over must find in the record.
    pub mark: Mark,
    /// It is in a crash loop, and asks for delays that grow.
    pub crash_loop: Option<CrashLoop>,
    /// Others name it, so that they stop before it: `sv` looks for them.
    pub is_named: bool,
}

/// What `supervise/stat` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    phase: Phase,
    paused: bool,
    got_term: bool,
    want: Option<Want>,
}

/// Which encodings are written, in this order; `status` comes before the last, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// The word in `lock`. It is taken away after all else, and only if the status could be
    /// written: what the one says no more, the other says by then.
    pub mark: bool,
    /// `crash-loop`: written, or removed. What cannot be written costs no more than
    /// the remark in `sv status`.
    pub crash_loop: bool,
    /// Those that runit has, too.
    pub state: StateFiles,
}

/// Which of runit's state files are written. `status` is written also if what it shows has
/// not changed, because `sv` watches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFiles {
    /// None: only `last` differs.
    None,
    /// `status`: the service is about to start.
    Status,
    /// `status`, `pid` and `stat`.
    All,
}

/// One of our own files that differs, and what it is to show. They are written before
/// `status`. What cannot be written is removed: then only a remark is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `last`.
    Last(Last),
    /// `ready`; without a line it is emptied.
    Ready(Option<Ready>),
    /// `reason`; without one it is removed.
    Reason(Option<Reason>),
    /// `status-text`; without one it is removed.
    StatusText(Option<StatusText>),
}

impl Line {
    /// The name of the file in `supervise`.
    pub const fn name(&self) -> &'static CStr {
        match self {
            Self::Last(_) => c"supervise/last",
            Self::Ready(_) => c"supervise/ready",
            Self::Reason(_) => c"supervise/reason",
            Self::StatusText(_) => c"supervise/status-text",
        }
    }

    /// The text of the file; `None`: nothing is to be told by it any more.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Last(last) => Some(last.encode()),
            Self::Ready(ready) => Some(ready.map_or_else(String::new, |ready| ready.encode())),
            Self::Reason(reason) => reason.as_ref().map(Reason::encode),
            Self::StatusText(told) => told.as_ref().map(StatusText::encode),
        }
    }
}

impl Facts {
    /// Of a service whose phase or pid last changed at that time.
    pub fn of(service: &Service, changed: Tai64n) -> Self {
        let (phase, pid) = service.phase();
        Self {
            phase,
            pid,
            changed,
            paused: service.paused(),
            got_term: service.got_term(),
            want: (pid != 0).then(|| service.want()),
            want_up: service.shows_want_up(),
            mark: service.mark(),
            crash_loop: service.crash_loop(),
            is_named: false,
        }
    }

    /// The record `supervise/status`.
    pub const fn status(&self) -> Status {
        Status {
            changed: self.changed,
            pid: self.pid,
            paused: self.paused,
            want_up: self.want_up,
            got_term: self.got_term,
            phase: self.phase,
        }
    }

    /// What `supervise/stat` shows.
    pub const fn stat(&self) -> Stat {
        Stat {
            phase: self.phase,
            paused: self.paused,
            got_term: self.got_term,
            want: self.want,
        }
    }
}

impl Stat {
    /// The file's text, as runit's runsv writes it.
    pub fn text(self) -> String {
        let mut text = String::from(match self.phase {
            Phase::Down => "down",
            Phase::Run => "run",
            Phase::Finish => "finish",
        });
        for (shown, words) in [
            (self.paused, ", paused"),
            (self.got_term, ", got TERM"),
            (self.want == Some(Want::Down), ", want down"),
            (self.want == Some(Want::Exit), ", want exit"),
        ] {
            if shown {
                text.push_str(words);
            }
        }
        text.push('\n');
        text
    }
}
