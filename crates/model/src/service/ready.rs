//! When a run is ready, and how long it may take to become so.
//!
//! *Ready* is a moment in the life of one run. Where the directory has
//! `notification-fd` or `notify`, somebody says so; else it is the start itself. The first
//! word counts, and only one about this very process. A run that said that it ends, or
//! has had its time, is not ready any more by anything that comes later.
//!
//! `timeout-up` limits `./setup` and then the wait for readiness, from the start of the
//! first of the two. Over it, the run gets the signal of a stop, and KILL after
//! `timeout-kill`, else [`UP_KILL_MS`]; however long it lived, it counts as a short life.
//! The process may ask for more time: that moves the deadline that it has now, before it
//! is ready that of the start, in a stop that of KILL. Nothing that it asks makes a
//! deadline earlier, since whoever asks for a second each second means no harm.
//!
//! A supervisor that takes over a run that is not ready gives it the whole time anew, and
//! takes it for ready in the end, for its word may have been lost with the predecessor.
//! So nobody is stopped over that. A `./setup` has its time anew, too, and no word.

use super::{Action, Actions, Next, Role, Running, Service, State};
use crate::command::Sig;
use crate::format::notify::Notify;
use crate::format::state::{self, ready::Source};
use crate::process::{Pid, Program};
use crate::restart::{GAP_MS, Streak};
use crate::settings::{Look, Settings};
use crate::time::Instant;

/// How long a run that did not become ready may take to end (ms), if its directory does
/// not say.
pub const UP_KILL_MS: u64 = 5000;
/// When a run that a predecessor left is taken for ready (ms), if its directory does not
/// say.
pub const ADOPTED_MS: u64 = 30_000;
/// A process gets no more time than this at once (ms).
pub const EXTEND_MS_MAX: u64 = 3_600_000;

/// How a service says that it is ready: what its directory asks for when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Announce {
    /// It writes a newline to this descriptor; 0: somebody says it by `sv ready`.
    pub notification_fd: Option<u16>,
    /// It gets `NOTIFY_SOCKET`.
    pub notify: Option<Notify>,
}

impl Announce {
    /// It says nothing: it is ready when it runs.
    pub const NONE: Self = Self {
        notification_fd: None,
        notify: None,
    };

    const fn of(found: &Settings) -> Self {
        Self {
            notification_fd: found.notification_fd,
            notify: found.notify,
        }
    }

    /// Whether a run is not ready before somebody says so.
    pub const fn is_awaited(self) -> bool {
        let by_message = matches!(self.notify, Some(Notify { ready: true, .. }));
        self.notification_fd.is_some() || by_message
    }
}

/// Since when a run is ready, and by what that is known.
pub type Ready = (Instant, Source);

/// What the present start must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rise {
    pub announce: Announce,
    /// By then.
    pub by: Option<Instant>,
}

impl Rise {
    /// To a process.
    pub const NONE: Self = Self {
        announce: Announce::NONE,
        by: None,
    };

    /// Of a start that a predecessor in this process began: `./setup` and the run that
    /// follows it have one time.
    pub const fn again(state: &State) -> Self {
        let by = match state {
            State::Run(Running {
                program: Program::Setup,
                ultimatum: Some((at, Next::Stop)),
                ..
            }) => Some(*at),
            _ => None,
        };
        Self { by, ..Self::NONE }
    }
}

/// Why a run that goes on is not to become ready any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaves {
    /// It is not so.
    No,
    /// It said that it ends.
    Said,
    /// It did not become ready in time.
    Overdue,
}

impl Running {
    /// A process that has just started.
    pub(super) fn risen(program: Program, pid: Pid, now: Instant, rise: Rise) -> Self {
        let mut running = Self::new(program, pid, now);
        let is_setup = matches!(program, Program::Setup);
        if !is_setup && rise.announce.is_awaited() {
            running.ready = None;
        }
        if is_setup || running.ready.is_none() {
            running.ultimatum = rise.by.map(|at| (at, Next::Stop));
        }
        running
    }

    /// Whether its time is over.
    pub(super) const fn is_overdue(&self) -> bool {
        matches!(self.leaves, Leaves::Overdue)
    }

    /// Whoever is to end need not become ready any more. A logger has its time.
    pub(super) fn need_not_rise(&mut self, role: Role) {
        let rises = matches!(self.ultimatum, Some((_, Next::Stop | Next::Ready)));
        if role == Role::Main && rises {
            self.ultimatum = None;
        }
    }

    /// Whether it is a run that is to become ready.
    const fn awaits(&self) -> bool {
        self.ready.is_none() && matches!(self.leaves, Leaves::No)
    }
}

impl Service {
    /// The same, if its run may announce that it is ready: it is so or not as a
    /// predecessor wrote into the file `ready`, and not yet if that is about another run,
    /// since the predecessor may have been killed before it wrote.
    #[must_use]
    pub fn was_ready(mut self, line: Option<&state::ready::Ready>) -> Self {
        if let State::Run(r) = &mut self.state
            && r.program == Program::Run
        {
            let source = line.filter(|line| line.pid == r.pid);
            let source = source.and_then(|line| line.source);
            r.ready = source.map(|source| (r.since, source));
        }
        self
    }

    /// Whether it runs and is not ready yet.
    pub const fn awaits_ready(&self) -> bool {
        matches!(self.state, State::Run(r) if r.awaits())
    }

    /// Whether its process has a deadline that a word of it moves or takes away.
    pub const fn heeds_words(&self) -> bool {
        matches!(
            self.state,
            State::Run(Running {
                program: Program::Run,
                ultimatum: Some((_, Next::Stop | Next::Kill | Next::Ready)),
                ..
            })
        )
    }

    /// A start was looked for: what must it come to, and by when?
    pub(super) fn rise_to(&mut self, found: &Settings, now: Instant) {
        let by = found.timeout_up.map(|ms| now.plus_ms(ms.into()));
        self.rise = Rise {
            announce: Announce::of(found),
            by: self.rise.by.or(by),
        };
    }

    /// The run of a predecessor that was not ready was looked at.
    pub(super) fn looked_for_ready(&mut self, found: &Settings, now: Instant) {
        let State::Run(r) = &mut self.state else {
            return;
        };
        if r.program == Program::Setup {
            let by = found.timeout_up.map(|ms| now.plus_ms(ms.into()));
            r.ultimatum = by.map(|at| (at, Next::Stop));
            self.rise.by = by;
            return;
        }
        if !r.awaits() {
            return;
        }
        if !Announce::of(found).is_awaited() {
            r.ready = Some((r.since, Source::Start));
            return;
        }
        let ms = found.timeout_up.map_or(ADOPTED_MS, u64::from);
        r.ultimatum = Some((now.plus_ms(ms), Next::Ready));
    }

    pub(super) fn is_taken_for_ready(&mut self, now: Instant) {
        if let State::Run(r) = &mut self.state {
            r.ultimatum = None;
            let pid = r.pid;
            self.ready(pid, Source::Assumed, now);
        }
    }

    pub(super) fn ready(&mut self, pid: Pid, source: Source, now: Instant) {
        let State::Run(r) = &mut self.state else {
            return;
        };
        if r.pid != pid || !r.awaits() {
            return;
        }
        r.ready = Some((now, source));
        if matches!(r.ultimatum, Some((_, Next::Stop | Next::Ready))) {
            r.ultimatum = None;
        }
        if now.ms_since(r.since) >= GAP_MS {
            self.streak = Streak::NONE;
        }
    }

    /// Whoever is to run, does, and nothing else is known of it.
    pub(super) fn ready_by_command(&mut self, now: Instant) {
        if let State::Run(r) = self.state {
            self.ready(r.pid, Source::Command, now);
        }
    }

    /// `timeout-up` is over.
    pub(super) fn end_start(&mut self, now: Instant, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state {
            r.leaves = Leaves::Overdue;
            self.streak.is_late();
            // The look that comes first may know better.
            r.ultimatum = Some((now.plus_ms(UP_KILL_MS), Next::Kill));
            self.signal(Sig::Term, now, actions);
        }
    }

    /// What the look before that signal found.
    pub(super) fn learn_overdue(&mut self, found: &Settings, now: Instant) {
        if let State::Run(r) = &mut self.state
            && r.leaves == Leaves::Overdue
            && !r.got_term
            && let Some(ms) = found.timeout_kill
        {
            r.ultimatum = Some((now.plus_ms(ms.into()), Next::Kill));
        }
    }

    /// The process asks for so many ms.
    pub(super) fn extend(&mut self, ms: u64, now: Instant) {
        if let State::Run(Running {
            ultimatum: Some((at, Next::Stop | Next::Kill | Next::Ready)),
            ..
        }) = &mut self.state
        {
            *at = now.plus_ms(ms.min(EXTEND_MS_MAX)).max(*at);
        }
    }

    /// The process says that it ends. A stop that was ordered has its deadline already.
    pub(super) fn says_that_it_ends(&mut self, ms: u64, now: Instant, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state
            && r.leaves == Leaves::No
        {
            r.leaves = Leaves::Said;
            if !(r.got_term || r.stopping) {
                return actions.push(Action::Look(Look::Ends(r.pid, ms)));
            }
        }
        self.extend(ms, now);
    }

    /// That was looked for: how long may it take?
    pub(super) fn looked_for_end(
        &mut self,
        pid: Pid,
        asked_ms: u64,
        found: &Settings,
        now: Instant,
    ) {
        if let State::Run(r) = &mut self.state
            && r.pid == pid
            && !matches!(r.ultimatum, Some((_, Next::Kill | Next::Over)))
            && let Some(ms) = found.timeout_kill
        {
            let ms = asked_ms.min(EXTEND_MS_MAX).max(ms.into());
            r.ultimatum = Some((now.plus_ms(ms), Next::Kill));
        }
    }
}
