//! The life of one service, as a pure and total state machine.
//!
//! ```text
//!            start                    Started
//!   Down ------------> Preparing ---------------> Run
//!    ^  ^               (looks, control/u,         | Exited
//!    |  |                then run)                 v
//!    |  +----------------------------------- EndingRun ---> Finish
//!    |            no ./finish                  (looks,         |
//!    |                                          ./finish)      | Exited
//!    +---------------------------------------------------------+
//!   Down --(want Exit)--> Gone
//! ```
//!
//! What is *wanted* (up, down, exit) and what *is* (the state) are separate:
//! commands change the want and may act on the present process; whenever the
//! state is `Down`, the want decides what follows. A pid exists only in the
//! states that have a process. A deadline belongs to a state, so leaving the
//! state cancels it:
//!
//! - `Down { not_before }`: a run that lived less than a second (or could not be
//!   started) is not started again before a second has passed, or longer if the
//!   service asks for that ([`crate::restart`]). A command is obeyed at once all
//!   the same, since nothing sleeps.
//! - `Run` of a logger that is to end: its pipe is closed first, so that it can
//!   read to the end; it gets TERM and then KILL only if it outstays its time.
//!
//! Before a start, a signal and an end the service looks at its directory
//! ([`crate::settings`]): `Look` is answered by `Looked`, before anything else is
//! done, and only programs that are there are started.
//!
//! Events answer the effects: `StartRun` and `StartFinish` by `Started` or `NotStarted`;
//! `Prepare` by `Prepared`; `Script` (run `./control/LETTER PID`) by `ScriptEnded`, at
//! once with `handled: false` if it cannot be started. A start may hang, if its program
//! is on a disk that does not answer: then `Late` names the process, which gets signals
//! from then on (a stop ends it); the answer follows later. Scripts never block: the
//! service can be signalled while one runs. Each answer names its effect (letter and
//! pid), so that a late answer about an earlier process changes nothing.
//!
//! A start and the signal of a stop may wait for other services (`gate.rs`).
//!
//! The rules are runsv(8)'s. Differences from runit's runsv that matter: `kill`
//! leaves the state to what really happens to the process, `./finish` can be
//! signalled, and a pause ends with its process.

use alloc::vec::Vec;

use crate::command::{Command, Sig};
use crate::format::adopt::Mark;
use crate::format::state::ready::Source;
pub use crate::process::{Exit, Pid, Program};
use crate::restart::{GAP_MS, GaveUp, Report, Streak};
use crate::settings::{Look, Scripts, Settings};
use crate::signal::Signal;
use crate::time::Instant;

use gate::Gates;
use group::Clearing;
pub use ready::{Announce, Ready};
use ready::{Leaves, Rise};

mod adopted;
mod ends;
mod gate;
mod group;
pub mod handover;
mod oneshot;
mod orders;
pub mod ready;
mod shown;
mod starts;
mod stop;

use stop::{Manner, Next};

/// How long a logger may take to read its closed pipe to the end before TERM (ms).
pub const LOG_DRAIN_MS: u64 = 5000;
/// How long it may take after TERM before KILL (ms).
pub const LOG_TERM_MS: u64 = 30_000;
/// Cap of the growing delay between attempts to get a process from the kernel (ms).
pub const FORK_RETRY_MS_MAX: u64 = 16_000;

/// A logger has fewer states than a main service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `./run` and `./finish`, customized by `./control`.
    Main,
    /// `./log/run`: no finish, no control scripts, ends with its pipe.
    Log,
}

/// What the administrator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Running; restarted when it ends.
    Up,
    /// Not running; a present run may go on (`once`).
    Down,
    /// No longer supervised.
    Exit,
}

/// A process that runs `./run`, or `./setup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened or not"
)]
pub struct Running {
    /// Which of the two.
    pub program: Program,
    /// Its pid.
    pub pid: Pid,
    /// When it started.
    pub since: Instant,
    /// STOP was sent, and no CONT after it.
    pub paused: bool,
    /// The stop signal was sent, or `control/t` has done its work for a service with
    /// `timeout-kill`.
    pub got_term: bool,
    /// Since when it is ready, and by what that is known.
    pub ready: Option<Ready>,
    /// It was told to end (`d`, `x`, `t` or `k`): its end says nothing of itself.
    was_told: bool,
    /// `control/t` runs because of a stop (d, x); the further steps of the stop follow
    /// it.
    stopping: bool,
    /// Scripts that run now.
    scripts: Scripts,
    /// Scripts that were asked for again meanwhile.
    again: Scripts,
    /// How it wants to be stopped.
    manner: Manner,
    /// Why it is not to become ready any more.
    leaves: Leaves,
    /// What it gets if it still runs at that moment.
    ultimatum: Option<(Instant, Next)>,
}

impl Running {
    fn new(program: Program, pid: Pid, since: Instant) -> Self {
        Self {
            program,
            pid,
            since,
            paused: false,
            got_term: false,
            ready: Some((since, Source::Start)),
            was_told: false,
            stopping: false,
            scripts: Scripts::NONE,
            again: Scripts::NONE,
            manner: Manner::PLAIN,
            leaves: Leaves::No,
            ultimatum: None,
        }
    }
}

/// What the service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No process; not to be started (by itself) before the moment.
    Down {
        /// The end of the restart gap.
        not_before: Instant,
    },
    /// Its directory is looked at, or `control/u` runs; `./setup` or `./run` is started
    /// after it.
    Preparing,
    /// The start of a program was requested. A stop that comes meanwhile waits for the
    /// answer.
    Starting {
        /// Which one.
        program: Program,
        /// Stop it as soon as it runs.
        stop: bool,
        /// If the answer is late: the process that has not loaded its program yet.
        child: Option<Pid>,
    },
    /// `./run` or `./setup` runs.
    Run(Running),
    /// There is nothing to start but `./check`, and somebody asks that whether it is done.
    Probe,
    /// A oneshot: `./setup` has succeeded, and there is no `./run`. Or a milestone: there is
    /// nothing to start. Or a probe whose `./check` has succeeded.
    Done {
        /// Scripts that run now.
        scripts: Scripts,
        /// Scripts that were asked for again meanwhile.
        again: Scripts,
    },
    /// Its directory is looked at, or `./finish` was asked for.
    EndingRun {
        /// Carried to `Down`.
        not_before: Instant,
        /// The run that has ended, until its directory was looked at.
        ended: Option<Pid>,
        /// How long `./finish` may take (ms).
        finish_ms: Option<u32>,
        /// As in `Starting`.
        child: Option<Pid>,
    },
    /// The rest of its process group is to end.
    Clearing(Clearing),
    /// `./finish` runs.
    Finish {
        /// Its pid.
        pid: Pid,
        /// It was sent STOP and no CONT.
        paused: bool,
        /// When it gets KILL.
        kill_at: Option<Instant>,
        /// Carried to `Down`.
        not_before: Instant,
    },
    /// The end: no longer supervised.
    Gone,
}

/// The whole state of one service's supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    role: Role,
    want: Want,
    state: State,
    /// The supervisor ends: nothing is started any more.
    retired: bool,
    /// Logger only: it ends with its pipe. A supervisor that takes over meanwhile makes a
    /// new pipe, and shall want the logger up.
    resumes: bool,
    /// How many attempts in a row failed because the kernel had no process.
    fork_failures: u8,
    /// Short lives in a row, while it is wanted up.
    streak: Streak,
    gates: Gates,
    /// It is wanted down because it said so itself, in this way.
    gave_up: Option<GaveUp>,
    /// `./finish` may say that it is to stay down.
    finish_decides: bool,
    /// What is left to say in the record of the last process, if that was `./setup`: what
    /// followed from its end is over, or a oneshot that is gone is still done.
    left: Mark,
    rise: Rise,
}

/// Why a process was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel had no process or memory for it.
    Resources,
    /// The program could not be executed.
    Exec,
    /// There is no such program.
    Absent,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A control byte, or its like.
    Command(Command),
    /// The deadline came; also sent without a reason: check what is due.
    Tick,
    /// Answer to `StartSetup`, `StartRun` or `StartFinish`.
    Started(Pid),
    /// Answer to `StartSetup`, `StartRun` or `StartFinish`.
    NotStarted(Failure),
    /// That answer is late. There is a process, which loads its program and hangs.
    Late(Pid),
    /// A process ended and was reaped.
    Exited(Pid, Exit),
    /// Answer to `Group`: whether anything is left of it.
    Group(Pid, bool),
    /// `control/u` ended, or could not be started.
    Prepared,
    /// `control/LETTER` for the process `pid` ended. `handled`: it said, by exit
    /// code 0, that it did the signal's work.
    ScriptEnded {
        /// Which script.
        sig: Sig,
        /// For which process.
        pid: Pid,
        /// Whether the signal is not to be sent.
        handled: bool,
    },
    /// Answer to `Look`.
    Looked(Look, Settings),
    /// The supervisor ends: running processes continue; a service that ends stays down,
    /// but its status says that it is wanted up, for the next supervisor.
    Retire,
    /// The run of this process said that it is ready, or somebody said so of it.
    Ready(Pid, Source),
    /// Whether a start is held until another service is ready: the gate is open, or not.
    Gate(bool),
    /// As `Gate`, for the signal of a stop, which waits for services that need this one.
    StopGate(bool),
    /// A service that this one follows has ended: it is stopped, and its want stays.
    Follow,
    /// The process asks for so much more time (ms), from now on.
    Extend(u64),
    /// The process says that it ends, and asks for so much time (ms) for that, or 0.
    Stopping(u64),
    /// Logger only: its service is gone, or down as the supervisor ends, and the
    /// supervisor closed its pipe.
    Drain,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at the directory, and answer `Looked` before anything else is done.
    Look(Look),
    /// Run `./control/u`, then answer `Prepared`.
    Prepare,
    /// Start `./setup`.
    StartSetup,
    /// Start `./run`, which announces so that it is ready.
    StartRun(Announce),
    /// Start `./finish` with the exit's arguments, and what it is told besides.
    StartFinish(Exit, Option<Report>),
    /// Run `./control/LETTER PID` and answer `ScriptEnded`.
    Script(Sig, Pid),
    /// Run `./control/d` or `./control/x` (the byte) with the pid; no answer.
    Epilogue(u8, Pid),
    /// Send a signal to the process.
    Signal(Pid, Signal),
    /// Send a signal to what is left of the process group that this process led, or only
    /// look whether anything is left; answered by `Group`.
    Group(Pid, Option<Signal>),
}

/// The actions of one step, in order: [`ACTIONS_MAX`] at most, which the exhaustive
/// test holds.
pub type Actions = Vec<Action>;

/// No event has more actions than a stop: TERM, CONT, and the script that follows.
pub const ACTIONS_MAX: usize = 3;

impl Service {
    /// A service without a known process; the first `Tick` starts it if `want` says so.
    pub const fn new(role: Role, want: Want) -> Self {
        let state = State::Down {
            not_before: Instant(0),
        };
        Self {
            role,
            want,
            state,
            retired: false,
            resumes: false,
            fork_failures: 0,
            streak: Streak::NONE,
            gates: Gates::OPEN,
            gave_up: None,
            finish_decides: false,
            left: Mark::None,
            rise: Rise::NONE,
        }
    }

    /// A logger that has ended with its pipe, for a new pipe.
    #[must_use]
    pub const fn again(&self) -> Self {
        let want = if self.resumes { Want::Up } else { Want::Down };
        Self::new(self.role, want)
    }

    /// The same, but not to be started by itself before the moment.
    #[must_use]
    pub fn rests_until(mut self, at: Instant) -> Self {
        if let Some(not_before) = self.not_before() {
            *not_before = at.max(*not_before);
        }
        self
    }

    /// The same, and due `now` if only the gap that ends `at` ([`Service::rests_until`])
    /// delays it.
    #[must_use]
    pub fn rests_no_longer(mut self, at: Instant, now: Instant) -> Self {
        if let Some(not_before) = self.not_before().filter(|not_before| **not_before == at) {
            *not_before = now;
        }
        self
    }

    const fn not_before(&mut self) -> Option<&mut Instant> {
        match &mut self.state {
            State::Down { not_before }
            | State::EndingRun { not_before, .. }
            | State::Clearing(Clearing { not_before, .. })
            | State::Finish { not_before, .. } => Some(not_before),
            _ => None,
        }
    }

    /// What it is doing.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What is wanted.
    pub const fn want(&self) -> Want {
        self.want
    }

    /// Whether the status record shows it wanted up.
    pub const fn shows_want_up(&self) -> bool {
        matches!(self.want, Want::Up) || self.resumes || self.stays_done()
    }

    /// Whether supervision has ended.
    pub const fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Whether an answer of a start is to come, if it was asked for.
    pub const fn awaits_a_start(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::EndingRun { .. })
    }

    /// Whether it has no process, and nothing is under way.
    pub const fn is_idle(&self) -> bool {
        matches!(
            self.state,
            State::Down { .. } | State::Probe | State::Done { .. }
        )
    }

    /// Its short lives in a row.
    pub const fn streak(&self) -> Streak {
        self.streak
    }

    /// Whether it starts nothing any more, because its supervisor ends.
    pub const fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether it is in a crash loop.
    pub const fn is_crash_looping(&self) -> bool {
        self.streak.is_loop() && !self.retired
    }

    /// When to send a `Tick`; `None`: never, as far as this state goes.
    pub const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Down { not_before }
                if matches!(self.want, Want::Up) && !self.retired && !self.is_held() =>
            {
                Some(not_before)
            }
            State::Run(Running {
                ultimatum: Some((at, Next::Stop | Next::Kill | Next::Ready)),
                ..
            }) => Some(at),
            State::Finish { kill_at, .. } => kill_at,
            State::Clearing(clearing) => Some(clearing.deadline()),
            // A crash loop is over when a run has lived for long enough.
            State::Run(r)
                if self.is_crash_looping()
                    && r.ready.is_some()
                    && matches!(r.program, Program::Run) =>
            {
                Some(r.since.plus_ms(GAP_MS))
            }
            _ => None,
        }
    }

    /// What follows from an event at the moment `now`.
    #[must_use]
    pub fn step(mut self, now: Instant, event: Event) -> (Self, Actions) {
        let mut actions = Actions::default();
        match event {
            Event::Command(command) => self.command(command, now, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
            Event::Started(pid) => self.started(pid, now, &mut actions),
            Event::NotStarted(failure) => self.not_started(failure, now, &mut actions),
            Event::Late(pid) => self.late(pid, &mut actions),
            Event::Exited(pid, exit) => self.exited(pid, exit, now, &mut actions),
            Event::Group(pid, is_left) => self.group_seen(pid, is_left, now, &mut actions),
            Event::Prepared => {
                if self.state == State::Preparing {
                    // The script may have changed what is there.
                    actions.push(Action::Look(Look::Run));
                }
            }
            Event::ScriptEnded { sig, pid, handled } => {
                self.script_ended((sig, pid), handled, None, now, &mut actions);
            }
            Event::Looked(look, found) => self.looked(look, &found, now, &mut actions),
            Event::Retire => self.retired = true,
            Event::Drain => self.drain(now, &mut actions),
            Event::Gate(is_open) => self.gate(is_open, &mut actions),
            Event::StopGate(is_open) => self.stop_gate(is_open, now, &mut actions),
            Event::Ready(_, Source::Check) => self.probed(&mut actions),
            Event::Follow => self.stop(self.want, now, &mut actions),
            Event::Ready(pid, source) => self.ready(pid, source, now),
            Event::Extend(ms) => self.extend(ms, now),
            Event::Stopping(ms) => self.says_that_it_ends(ms, now, &mut actions),
        }
        self.settle(now, &mut actions);
        if self.want != Want::Up {
            // It will not be started again, so there is no loop.
            self.streak = Streak::NONE;
        }
        (self, actions)
    }

    /// When the service is down, the want decides what follows.
    fn settle(&mut self, now: Instant, actions: &mut Actions) {
        let State::Down { not_before } = self.state else {
            return;
        };
        if self.want == Want::Exit {
            self.state = State::Gone;
        } else if self.is_due(not_before, now) {
            self.start(actions);
        }
    }

    /// Handles what a look found in the directory.
    fn looked(&mut self, look: Look, found: &Settings, now: Instant, actions: &mut Actions) {
        match look {
            Look::Start | Look::Run | Look::SetUp if self.state != State::Preparing => {}
            Look::Start if found.scripts.has(b'u') => actions.push(Action::Prepare),
            Look::Start | Look::Run => {
                self.rise_to(found, now);
                self.start_first(found, actions);
            }
            Look::SetUp => {
                self.rise_to(found, now);
                self.go_on(found, actions);
            }
            Look::Ends(pid, ms) => self.looked_for_end(pid, ms, found, now),
            Look::Signal(sig, pid) => self.script_looked_for(sig, pid, found, now, actions),
            Look::Stop(_, pid) => self.script_looked_for(Sig::Term, pid, found, now, actions),
            Look::Stopped(letter, pid) => {
                if found.scripts.has(letter) && matches!(self.state, State::Run(r) if r.pid == pid)
                {
                    actions.push(Action::Epilogue(letter, pid));
                }
            }
            Look::End { exit, cause, grows } => {
                self.end_looked((exit, cause, grows), found, now, actions);
            }
            Look::Adopted(_) | Look::Begun | Look::Logger => {}
        }
    }
}
