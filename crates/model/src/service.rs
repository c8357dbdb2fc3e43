//! The life of one service, as a pure and total state machine.
//!
//! ```text
//!            start                    Spawned
//!   Down ------------> Preparing ---------------> Run
//!    ^  ^               (control/u,                | Exited
//!    |  |                then run)                 v
//!    |  +----------------------------------- EndingRun ---> Finish
//!    |            no ./finish                  (spawns         |
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
//! Effects are answered by events: `StartRun` and `StartFinish` by `Spawned` or
//! `SpawnFailed`; `Script` (run `./control/LETTER PID`) by `ScriptEnded`, at once
//! with `handled: false` where there is no such script; `AskBackoff` by `Backoff`,
//! before anything else is done. Scripts never block: the
//! service can be signalled while one runs. Each effect's answer names what it
//! belongs to (letter and pid), so that a late answer about an earlier process
//! changes nothing.
//!
//! The rules are runsv(8)'s. Differences from runit's runsv that matter: `kill`
//! leaves the state to what really happens to the process, `./finish` can be
//! signalled, and a pause ends with its process.

use alloc::string::String;

use crate::command::{Command, Sig};
use crate::format::crash_loop::CrashLoop;
use crate::format::status::Phase;
use crate::restart::Streak;
use crate::time::Instant;

pub mod handover;

/// A process id.
pub type Pid = u32;

/// A run that lives less than this is restarted with a gap, and the gap's length (ms).
pub const GAP_MS: u64 = 1000;
/// How long a logger may take to read its closed pipe to the end before TERM (ms).
pub const LOG_DRAIN_MS: u64 = 5000;
/// How long it may take after TERM before KILL (ms).
pub const LOG_TERM_MS: u64 = 30_000;
/// Cap of the growing delay between attempts to get a process from the kernel (ms).
pub const FORK_RETRY_MS_MAX: u64 = 16_000;

/// Whether the service has a logger's short life or a main service's full one.
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

/// A process that runs `./run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// Its pid.
    pub pid: Pid,
    /// When it started.
    pub since: Instant,
    /// STOP was sent, and CONT was not.
    pub paused: bool,
    /// TERM was sent.
    pub got_term: bool,
    /// `control/t` runs because of a stop (d, x), whose further steps follow it.
    stopping: bool,
    /// Scripts that run now.
    scripts: ScriptSet,
    /// Scripts that were asked for again meanwhile.
    again: ScriptSet,
    /// The next signal to a logger that does not end by itself.
    ultimatum: Option<(Instant, Sig)>,
}

impl Running {
    fn new(pid: Pid, since: Instant) -> Self {
        Self {
            pid,
            since,
            paused: false,
            got_term: false,
            stopping: false,
            scripts: ScriptSet(0),
            again: ScriptSet(0),
            ultimatum: None,
        }
    }
}

/// A set of control letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ScriptSet(u16);

impl ScriptSet {
    fn bit(sig: Sig) -> u16 {
        Sig::ALL
            .iter()
            .position(|s| *s == sig)
            .map_or(0, |i| 1 << i)
    }

    fn add(&mut self, sig: Sig) {
        self.0 |= Self::bit(sig);
    }

    /// Removes the signal and says whether it was there.
    fn take(&mut self, sig: Sig) -> bool {
        let had = self.has(sig);
        self.0 &= !Self::bit(sig);
        had
    }

    fn has(self, sig: Sig) -> bool {
        self.0 & Self::bit(sig) != 0
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
    /// `control/u` runs; `./run` is started after it.
    Preparing,
    /// `./run` was asked for. A stop that came meanwhile is kept for the answer.
    Starting {
        /// Stop it as soon as it runs.
        stop: bool,
    },
    /// `./run` runs.
    Run(Running),
    /// `./finish` was asked for.
    EndingRun {
        /// Carried to `Down`.
        not_before: Instant,
    },
    /// `./finish` runs.
    Finish {
        /// Its pid.
        pid: Pid,
        /// It was sent STOP and no CONT.
        paused: bool,
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
    /// Logger only: it ends with its pipe, and a supervisor that takes over
    /// meanwhile, and so makes a new pipe, is to want it up.
    resumes: bool,
    /// Attempts in a row for which the kernel had no process.
    fork_failures: u8,
    /// Short lives in a row, while it is wanted up.
    streak: Streak,
}

/// What `supervise/stat` shows of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    phase: Phase,
    paused: bool,
    got_term: bool,
    want: Want,
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
            (self.want == Want::Down, ", want down"),
            (self.want == Want::Exit, ", want exit"),
        ] {
            if shown {
                text.push_str(words);
            }
        }
        text.push('\n');
        text
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// The raw wait status of waitpid(2).
    Status(i32),
    /// It was not our child, and nobody could say.
    Unknown,
}

impl Exit {
    /// The two arguments of `./finish` (runsv(8)): exit code or -1, and the low
    /// byte of the wait status. An unknown end counts as abnormal, by no signal.
    pub const fn finish_args(self) -> (i32, i32) {
        match self {
            Self::Status(raw) => match raw & 0x7f {
                0 => ((raw >> 8) & 0xff, raw & 0xff),
                _ => (-1, raw & 0xff),
            },
            Self::Unknown => (-1, 0),
        }
    }
}

/// Why a process was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel had no process or memory for it.
    Resources,
    /// The program could not be executed.
    Exec,
    /// There is no such program: normal for `./finish`.
    Absent,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A control byte, or its like.
    Command(Command),
    /// The deadline came, or nothing in particular: look again.
    Tick,
    /// Answer to `StartRun` or `StartFinish`.
    Spawned(Pid),
    /// Answer to `StartRun` or `StartFinish`.
    SpawnFailed(Failure),
    /// A process ended and was reaped.
    Exited(Pid, Exit),
    /// `control/u` ended or does not exist.
    Prepared,
    /// `control/LETTER` for the process `pid` ended. `handled`: it exists and
    /// said, by exit code 0, that it did the signal's work.
    ScriptEnded {
        /// Which script.
        sig: Sig,
        /// For which process.
        pid: Pid,
        /// Whether the signal is not to be sent.
        handled: bool,
    },
    /// Answer to `AskBackoff`: the longest delay (s), or `None` if it is not to grow.
    Backoff(Option<u32>),
    /// The supervisor ends: what runs goes on; what ends stays down, but is
    /// still wanted up by the status that the next supervisor reads.
    Retire,
    /// Logger only: its service is gone, or down as the supervisor ends, and the
    /// supervisor closed its pipe.
    Drain,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run `./control/u`, then answer `Prepared`; at once if there is none.
    Prepare,
    /// Start `./run`.
    StartRun,
    /// Start `./finish` with the exit's arguments.
    StartFinish(Exit),
    /// Run `./control/LETTER PID` and answer `ScriptEnded`.
    Script(Sig, Pid),
    /// Run `./control/d` or `./control/x` (the byte) with the pid; no answer.
    Epilogue(u8, Pid),
    /// Send a signal to the process.
    Kill(Pid, Sig),
    /// Look whether the service asks for delays that grow, and answer `Backoff`.
    AskBackoff,
}

/// At most this many actions follow from one event.
pub const ACTIONS_MAX: usize = 4;

/// The actions of one step, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    list: [Option<Action>; ACTIONS_MAX],
}

impl Actions {
    fn push(&mut self, action: Action) {
        if let Some(slot) = self.list.iter_mut().find(|a| a.is_none()) {
            *slot = Some(action);
        }
    }

    /// The actions, in order.
    pub fn iter(&self) -> impl Iterator<Item = Action> + use<> {
        self.list.into_iter().flatten()
    }
}

impl Service {
    /// A service that nothing is known of: without a process, and to be started
    /// (by the first `Tick`) if `want` says so.
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
        }
    }

    /// A service whose `./run` was started by an earlier supervisor.
    pub fn adopt_run(
        role: Role,
        want: Want,
        pid: Pid,
        since: Instant,
        paused: bool,
        got_term: bool,
    ) -> Self {
        let running = Running {
            paused,
            got_term,
            ..Running::new(pid, since)
        };
        Self {
            state: State::Run(running),
            ..Self::new(role, want)
        }
    }

    /// A service whose `./finish` was started by an earlier supervisor.
    pub fn adopt_finish(want: Want, pid: Pid, now: Instant) -> Self {
        let state = State::Finish {
            pid,
            paused: false,
            not_before: now.plus_ms(GAP_MS),
        };
        Self {
            state,
            ..Self::new(Role::Main, want)
        }
    }

    /// A logger that has ended with its pipe, for a new pipe.
    #[must_use]
    pub const fn again(&self) -> Self {
        let want = if self.resumes { Want::Up } else { Want::Down };
        Self::new(self.role, want)
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
        matches!(self.want, Want::Up) || self.resumes
    }

    /// Whether supervision has ended.
    pub const fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Whether it is down, with nothing under way.
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Its short lives in a row.
    pub const fn streak(&self) -> Streak {
        self.streak
    }

    /// Whether it starts nothing any more, because its supervisor ends.
    pub const fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether it ends and is started again all the time.
    pub const fn is_crash_looping(&self) -> bool {
        self.streak.is_loop() && !self.retired
    }

    /// What is shown of a crash loop. Of a service that does not ask for delays
    /// that grow nothing is: its files are as runit's.
    pub fn crash_loop(&self) -> Option<CrashLoop> {
        let shows = self.is_crash_looping() && self.streak.backs_off();
        let next = match self.state {
            State::Down { not_before }
            | State::EndingRun { not_before }
            | State::Finish { not_before, .. } => Some(not_before),
            _ => None,
        };
        shows.then(|| CrashLoop {
            lives: self.streak.lives(),
            ended: self.streak.last().finish_args(),
            next,
        })
    }

    /// The phase and pid (0: none) that the status record shows.
    pub const fn phase(&self) -> (Phase, Pid) {
        match self.state {
            State::Run(r) => (Phase::Run, r.pid),
            State::Finish { pid, .. } => (Phase::Finish, pid),
            _ => (Phase::Down, 0),
        }
    }

    /// Whether the status record shows it paused.
    pub const fn paused(&self) -> bool {
        match self.state {
            State::Run(r) => r.paused,
            State::Finish { paused, .. } => paused,
            _ => false,
        }
    }

    /// Whether TERM was sent to the present process.
    pub const fn got_term(&self) -> bool {
        matches!(self.state, State::Run(r) if r.got_term)
    }

    /// Whether it is being stopped and did not get TERM yet.
    pub const fn is_stopping(&self) -> bool {
        matches!(self.state, State::Run(r) if r.stopping)
    }

    /// What `supervise/stat` shows.
    pub const fn stat(&self) -> Stat {
        let (phase, pid) = self.phase();
        Stat {
            phase,
            paused: self.paused(),
            got_term: self.got_term(),
            // It says nothing of a service that is down already.
            want: if pid == 0 { Want::Up } else { self.want },
        }
    }

    /// When to send a `Tick`; `None`: never, as far as this state goes.
    pub const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Down { not_before } if matches!(self.want, Want::Up) && !self.retired => {
                Some(not_before)
            }
            State::Run(Running {
                ultimatum: Some((at, _)),
                ..
            }) => Some(at),
            // A crash loop is over when a run has lived for long enough.
            State::Run(r) if self.is_crash_looping() => Some(r.since.plus_ms(GAP_MS)),
            _ => None,
        }
    }

    /// What follows from an event at the moment `now`.
    #[must_use]
    pub fn step(mut self, now: Instant, event: Event) -> (Self, Actions) {
        let mut actions = Actions::default();
        match event {
            Event::Command(command) => self.command(command, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
            Event::Spawned(pid) => self.spawned(pid, now, &mut actions),
            Event::SpawnFailed(failure) => self.spawn_failed(failure, now, &mut actions),
            Event::Exited(pid, exit) => self.exited(pid, exit, now, &mut actions),
            Event::Prepared => {
                if self.state == State::Preparing {
                    self.state = State::Starting { stop: false };
                    actions.push(Action::StartRun);
                }
            }
            Event::ScriptEnded { sig, pid, handled } => {
                self.script_ended(sig, pid, handled, &mut actions);
            }
            Event::Backoff(longest_s) => self.back_off(longest_s, now),
            Event::Retire => self.retired = true,
            Event::Drain => self.drain(now, &mut actions),
        }
        self.settle(now, &mut actions);
        if self.want != Want::Up {
            // It is not started again: there is no loop.
            self.streak = Streak::NONE;
        }
        (self, actions)
    }

    /// Down is where the want decides.
    fn settle(&mut self, now: Instant, actions: &mut Actions) {
        let State::Down { not_before } = self.state else {
            return;
        };
        match self.want {
            Want::Up if not_before <= now && !self.retired => self.start(actions),
            Want::Exit => self.state = State::Gone,
            Want::Up | Want::Down => {}
        }
    }

    fn start(&mut self, actions: &mut Actions) {
        if self.role == Role::Log {
            self.state = State::Starting { stop: false };
            actions.push(Action::StartRun);
        } else {
            self.state = State::Preparing;
            actions.push(Action::Prepare);
        }
    }

    fn command(&mut self, command: Command, actions: &mut Actions) {
        let ending = self.role == Role::Log && self.want == Want::Exit;
        match command {
            // A logger whose pipe is closed has nothing to come back for; the next
            // supervisor's has.
            Command::Up if ending => self.resumes = true,
            Command::Once if ending => self.resumes = false,
            Command::Down if ending => {
                self.resumes = false;
                self.stop(Want::Exit, actions);
            }
            Command::Up => {
                self.want_unless_gone(Want::Up);
                self.start_if_down(actions);
            }
            Command::Once => {
                self.want_unless_gone(Want::Down);
                self.start_if_down(actions);
            }
            Command::Down => self.stop(Want::Down, actions),
            // runsv(8): ignored if it is given to the logger.
            Command::Exit if self.role == Role::Log => {}
            Command::Exit => self.stop(Want::Exit, actions),
            Command::Signal(sig) => self.signal(sig, actions),
        }
    }

    fn want_unless_gone(&mut self, want: Want) {
        if !self.is_gone() {
            self.want = want;
        }
        if let State::Starting { stop } = &mut self.state {
            *stop = false;
        }
    }

    /// A command is an order: the restart gap does not hold it up.
    fn start_if_down(&mut self, actions: &mut Actions) {
        if matches!(self.state, State::Down { .. }) {
            self.start(actions);
        }
    }

    fn stop(&mut self, want: Want, actions: &mut Actions) {
        self.want = want;
        match &mut self.state {
            State::Preparing => {
                self.state = State::Down {
                    not_before: Instant(0),
                }
            }
            State::Starting { stop } => *stop = true,
            State::Run(_) => self.begin_stop(actions),
            State::Down { .. } | State::EndingRun { .. } | State::Finish { .. } | State::Gone => {}
        }
    }

    /// d and x: control/t or TERM first; the rest follows in `stop_rest`.
    fn begin_stop(&mut self, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state {
            r.stopping = true;
        }
        self.signal(Sig::Term, actions);
    }

    fn signal(&mut self, sig: Sig, actions: &mut Actions) {
        match &mut self.state {
            State::Run(r) if self.role == Role::Main => {
                if r.scripts.has(sig) {
                    r.again.add(sig);
                } else {
                    r.scripts.add(sig);
                    actions.push(Action::Script(sig, r.pid));
                }
            }
            State::Run(_) => self.deliver(sig, actions),
            State::Finish { pid, paused, .. } => {
                note_pause(paused, sig);
                actions.push(Action::Kill(*pid, sig));
            }
            _ => {}
        }
    }

    /// Sends the signal to the running process and, after a stop's TERM, takes its further steps.
    fn deliver(&mut self, sig: Sig, actions: &mut Actions) {
        if let State::Run(r) = &mut self.state {
            note_pause(&mut r.paused, sig);
            r.got_term |= sig == Sig::Term;
            actions.push(Action::Kill(r.pid, sig));
        }
        self.stop_rest(sig, actions);
    }

    fn stop_rest(&mut self, sig: Sig, actions: &mut Actions) {
        let State::Run(r) = &mut self.state else {
            return;
        };
        if sig != Sig::Term || !r.stopping {
            return;
        }
        r.stopping = false;
        r.paused = false;
        actions.push(Action::Kill(r.pid, Sig::Cont));
        if self.role == Role::Main {
            let letter = if self.want == Want::Exit { b'x' } else { b'd' };
            actions.push(Action::Epilogue(letter, r.pid));
        }
    }

    fn script_ended(&mut self, sig: Sig, pid: Pid, handled: bool, actions: &mut Actions) {
        let State::Run(r) = &mut self.state else {
            return;
        };
        if r.pid != pid || !r.scripts.take(sig) {
            return;
        }
        if r.again.take(sig) {
            r.scripts.add(sig);
            actions.push(Action::Script(sig, pid));
        } else if handled {
            note_pause(&mut r.paused, sig);
            self.stop_rest(sig, actions);
        } else {
            self.deliver(sig, actions);
        }
    }

    fn spawned(&mut self, pid: Pid, now: Instant, actions: &mut Actions) {
        match self.state {
            State::Starting { stop } => {
                self.fork_failures = 0;
                let mut running = Running::new(pid, now);
                if self.role == Role::Log && self.want == Want::Exit {
                    running.ultimatum = Some((now.plus_ms(LOG_DRAIN_MS), Sig::Term));
                }
                self.state = State::Run(running);
                if stop {
                    self.begin_stop(actions);
                }
            }
            State::EndingRun { not_before } => {
                self.state = State::Finish {
                    pid,
                    paused: false,
                    not_before,
                };
            }
            _ => {}
        }
    }

    fn spawn_failed(&mut self, failure: Failure, now: Instant, actions: &mut Actions) {
        match (self.state, failure) {
            (State::Starting { .. }, Failure::Resources) => {
                let delay = (GAP_MS << self.fork_failures.min(8)).min(FORK_RETRY_MS_MAX);
                self.fork_failures = self.fork_failures.saturating_add(1);
                self.state = State::Down {
                    not_before: now.plus_ms(delay),
                };
            }
            // As if it had run and exited 111 (runsv(8)).
            (State::Starting { .. }, Failure::Exec | Failure::Absent) => {
                let exit = Exit::Status(111 << 8);
                self.died_young(exit, actions);
                self.end_run(exit, now.plus_ms(GAP_MS), actions);
            }
            (State::EndingRun { not_before }, _) => self.state = State::Down { not_before },
            _ => {}
        }
    }

    fn exited(&mut self, pid: Pid, exit: Exit, now: Instant, actions: &mut Actions) {
        match self.state {
            State::Run(r) if r.pid == pid => {
                let short = now.ms_since(r.since) < GAP_MS;
                let not_before = if short { now.plus_ms(GAP_MS) } else { now };
                if !short {
                    self.streak = Streak::NONE;
                } else if !r.got_term {
                    self.died_young(exit, actions);
                }
                self.end_run(exit, not_before, actions);
            }
            State::Finish {
                pid: p, not_before, ..
            } if p == pid => {
                self.state = State::Down { not_before };
            }
            _ => {}
        }
    }

    /// A run ended, though nobody asked for that, before it had lived for a second.
    fn died_young(&mut self, exit: Exit, actions: &mut Actions) {
        self.streak = self.streak.and(exit);
        if self.streak.may_grow() && self.want == Want::Up {
            // Before `./finish`: the gap begins with the end of the run.
            actions.push(Action::AskBackoff);
        }
    }

    fn back_off(&mut self, longest_s: Option<u32>, now: Instant) {
        if let State::EndingRun { not_before } | State::Down { not_before } = &mut self.state
            && self.streak.may_grow()
        {
            self.streak.ask(longest_s);
            let delay = self.streak.delay_ms(longest_s);
            *not_before = (*not_before).max(now.plus_ms(delay));
        }
    }

    fn end_run(&mut self, exit: Exit, not_before: Instant, actions: &mut Actions) {
        if self.role == Role::Main {
            self.state = State::EndingRun { not_before };
            actions.push(Action::StartFinish(exit));
        } else {
            self.state = State::Down { not_before };
        }
    }

    /// The pipe's writers are gone: the logger reads to the end and exits. One
    /// that was about to be restarted is, for the pipe may hold lines.
    fn drain(&mut self, now: Instant, actions: &mut Actions) {
        let wanted = core::mem::replace(&mut self.want, Want::Exit);
        self.resumes |= wanted == Want::Up;
        match &mut self.state {
            State::Run(r) => r.ultimatum = Some((now.plus_ms(LOG_DRAIN_MS), Sig::Term)),
            State::Down { .. } if wanted == Want::Up => self.start(actions),
            _ => {}
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Actions) {
        let State::Run(r) = &mut self.state else {
            return;
        };
        if now.ms_since(r.since) >= GAP_MS {
            self.streak = Streak::NONE;
        }
        let Some((at, sig)) = r.ultimatum else { return };
        if now < at {
            return;
        }
        r.ultimatum = (sig == Sig::Term).then(|| (now.plus_ms(LOG_TERM_MS), Sig::Kill));
        self.deliver(sig, actions);
    }
}

fn note_pause(paused: &mut bool, sig: Sig) {
    match sig {
        Sig::Pause => *paused = true,
        Sig::Cont => *paused = false,
        _ => {}
    }
}
