//! The life of a container: services beside a main program, or beside one of them that is the
//! main one, as a pure and total state machine. The services themselves are the
//! [`crate::supervisor`]'s.
//!
//! ```text
//!  Loading ---loaded---> Up ---stop signal, end of main, all at rest---> Stopping
//!     |                   |                                              ^    |
//!     |                   +--stop signal, main first--> MainStops -------+    | all over
//!     |  stop, failure, end of main (no service starts)                       v
//!     +--------------------------------> Stopping                         Sweeping
//!                                                                             | no child left
//!  a second stop signal, or the end of the grace: Killed ---no child left---> Over
//! ```
//!
//! Nothing waits for a fixed time: a state is left when what it waits for has happened, and its
//! deadline is only the upper bound.
//!
//! A signal for a main service that has not started yet waits for it: whoever sent it may have
//! seen it at work already.

use alloc::vec::Vec;
use core::iter;

use crate::process::Exit;
use crate::time::Instant;
use crate::ward::Forgiven;

/// What strays may take after TERM at most (ms), however long the grace is.
pub const STRAYS_MS_MAX: u64 = 3000;
/// How long services may take after the main program has ended by itself, if no grace was given
/// (ms): nobody outside counts then.
pub const OWN_END_MS: u64 = 10_000;
/// How long to wait for what got KILL (ms): it may hang in the kernel.
pub const KILLED_MS: u64 = 1000;

const CONT: u8 = 18;
const KILL: u8 = 9;
const TERM: u8 = 15;
const KILLED: Exit = Exit::Signal(KILL);

/// The program whose end is the container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Main {
    /// None.
    Nobody,
    /// A program of its own, beside the services.
    Program,
    /// One of the services.
    Service,
}

/// How the container is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whose end is the end.
    pub main: Main,
    /// Exit codes that count as 0.
    pub forgiven: Forgiven,
    /// How long (ms) everything may take to stop before KILL; `None`: as long as it takes.
    pub grace_ms: Option<u64>,
    /// The main program gets the stop signal first, and the services when it has ended.
    pub main_first: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A signal to stop; the number is what the main program gets in its place.
    Stop(u8),
    /// Another signal.
    Signal(u8),
    /// The main program has been loaded.
    Loaded,
    /// It cannot be; its process ends by itself.
    NotLoaded,
    /// The main service runs. Hand it in before a signal, and when
    /// [`Container::waits_for_the_main_service`] says so.
    ServiceRuns,
    /// The main program, or the run of the main service, ended.
    MainEnded(Exit),
    /// No service runs or is to be started.
    AtRest,
    /// Every service that was told to exit has done so.
    ServicesOver,
    /// No child is left.
    NoChild,
    /// The moment of [`Container::deadline`] came.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Supervise the services.
    StartServices,
    /// Tell all services to exit; answered by `ServicesOver`.
    StopServices,
    /// Send KILL to all services and forget them; answered by `ServicesOver`.
    KillServices,
    /// Send a signal to the main program, or to the run of the main service.
    Pass(u8),
    /// Send a signal to every process that is left; answered by `NoChild`, if none is.
    Sweep(u8),
}

/// What to do, in order.
pub type Actions = Vec<Action>;

/// What the container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The main program is loaded; services wait.
    Loading,
    /// Everything runs.
    Up,
    /// The main program was told to stop; the services follow.
    MainStops(Option<Instant>),
    /// Everything was told to stop.
    Stopping(Option<Instant>),
    /// Only strays are left, which got TERM.
    Sweeping(Instant),
    /// Everything got KILL.
    Killed(Instant),
    /// The end, with this exit code.
    Over(u8),
}

/// How far the main program or service is. It runs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The service has not started yet; signals that wait for it, as bits.
    Awaited(u64),
    /// It runs. A program does from the beginning: its process is there.
    Runs,
    /// It ended.
    Ended(Exit),
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    rules: Rules,
    phase: Phase,
    main: Progress,
    /// Services are supervised.
    serves: bool,
}

impl Container {
    /// A program that is being loaded, or services that are started at once.
    #[must_use]
    pub fn begin(rules: Rules) -> (Self, Actions) {
        let (phase, main) = match rules.main {
            Main::Program => (Phase::Loading, Progress::Runs),
            Main::Nobody | Main::Service => (Phase::Up, Progress::Awaited(0)),
        };
        let mut new = Self {
            rules,
            phase,
            main,
            serves: false,
        };
        let mut actions = Actions::new();
        if phase == Phase::Up {
            new.start_services(&mut actions);
        }
        (new, actions)
    }

    /// What it is doing.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The exit code, when it is over.
    pub const fn code(&self) -> Option<u8> {
        match self.phase {
            Phase::Over(code) => Some(code),
            _ => None,
        }
    }

    /// When to hand in [`Input::Tick`].
    pub const fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::MainStops(at) | Phase::Stopping(at) => at,
            Phase::Sweeping(at) | Phase::Killed(at) => Some(at),
            Phase::Loading | Phase::Up | Phase::Over(_) => None,
        }
    }

    /// Whether `NoChild` is waited for.
    pub const fn waits_for_the_last_child(&self) -> bool {
        matches!(self.phase, Phase::Sweeping(_) | Phase::Killed(_))
    }

    /// Whether `ServiceRuns` is waited for: a signal is.
    pub const fn waits_for_the_main_service(&self) -> bool {
        matches!(self.main, Progress::Awaited(1..)) && !self.is_killed()
    }

    /// Takes an input; see the module.
    #[must_use]
    pub fn step(mut self, now: Instant, input: Input) -> (Self, Actions) {
        let mut actions = Actions::new();
        match input {
            Input::Stop(signal) => self.stop(now, signal, &mut actions),
            Input::Signal(signal) => self.pass(signal, &mut actions),
            Input::Loaded if self.phase == Phase::Loading => {
                self.phase = Phase::Up;
                self.start_services(&mut actions);
            }
            Input::NotLoaded if self.phase == Phase::Loading => self.phase = Phase::Stopping(None),
            Input::ServiceRuns => self.service_runs(&mut actions),
            Input::MainEnded(exit) => self.main_ended(now, exit, &mut actions),
            Input::AtRest if self.phase == Phase::Up && self.rules.main != Main::Program => {
                self.stop_all(Some(self.patience(now)), &mut actions);
            }
            Input::ServicesOver => self.serves = false,
            Input::NoChild if self.waits_for_the_last_child() => self.end(),
            Input::Tick => self.tick(now, &mut actions),
            Input::Loaded | Input::NotLoaded | Input::AtRest | Input::NoChild => {}
        }
        self.settle(now, &mut actions);
        (self, actions)
    }

    fn start_services(&mut self, actions: &mut Actions) {
        self.serves = true;
        actions.push(Action::StartServices);
    }

    fn stop(&mut self, now: Instant, signal: u8, actions: &mut Actions) {
        let until = self.rules.grace_ms.map(|ms| now.plus_ms(ms));
        let program_runs = self.program_runs();
        match self.phase {
            Phase::Loading => {
                self.phase = Phase::Stopping(until);
                self.pass(signal, actions);
            }
            Phase::Up if self.rules.main_first && self.main_may_run() => {
                self.phase = Phase::MainStops(until);
                self.pass(signal, actions);
            }
            Phase::Up => {
                self.stop_all(until, actions);
                if program_runs {
                    self.pass(signal, actions);
                }
            }
            Phase::MainStops(_) | Phase::Stopping(_) | Phase::Sweeping(_) => {
                self.kill(now, actions);
            }
            Phase::Killed(_) | Phase::Over(_) => {}
        }
    }

    /// Whether the main program or service has not ended yet, as far as is known.
    fn main_may_run(&self) -> bool {
        self.rules.main != Main::Nobody && !matches!(self.main, Progress::Ended(_))
    }

    /// Whether there is a main program that has not ended yet, as far as is known.
    fn program_runs(&self) -> bool {
        self.rules.main == Main::Program && self.main_may_run()
    }

    /// Whether everything got KILL: no signal goes anywhere any more.
    const fn is_killed(&self) -> bool {
        matches!(self.phase, Phase::Killed(_) | Phase::Over(_))
    }

    /// A signal for the main program or service, now or when that runs. One that is paused goes
    /// on, to see that it is to stop.
    fn pass(&mut self, signal: u8, actions: &mut Actions) {
        if self.is_killed() || !self.main_may_run() {
            return;
        }
        let signals = iter::once(signal).chain((signal == TERM).then_some(CONT));
        match &mut self.main {
            Progress::Awaited(waiting) => signals.for_each(|signal| *waiting |= bit(signal)),
            Progress::Runs => actions.extend(signals.map(Action::Pass)),
            Progress::Ended(_) => {}
        }
    }

    /// Each signal that waited goes to the service once, in the order of the numbers.
    fn service_runs(&mut self, actions: &mut Actions) {
        let Progress::Awaited(waiting) = self.main else {
            return;
        };
        self.main = Progress::Runs;
        if !self.is_killed() {
            let signals = (1..=64).filter(|signal| waiting & bit(*signal) != 0);
            actions.extend(signals.map(Action::Pass));
        }
    }

    fn main_ended(&mut self, now: Instant, exit: Exit, actions: &mut Actions) {
        if !self.main_may_run() {
            return;
        }
        self.main = Progress::Ended(exit);
        match self.phase {
            Phase::Loading => self.phase = Phase::Stopping(None),
            Phase::Up => self.stop_all(Some(self.patience(now)), actions),
            Phase::MainStops(until) => self.stop_all(until, actions),
            Phase::Stopping(_) | Phase::Sweeping(_) | Phase::Killed(_) | Phase::Over(_) => {}
        }
    }

    /// Until when services may stop although nobody outside asked for it.
    fn patience(&self, now: Instant) -> Instant {
        now.plus_ms(self.rules.grace_ms.unwrap_or(OWN_END_MS))
    }

    fn stop_all(&mut self, until: Option<Instant>, actions: &mut Actions) {
        self.phase = Phase::Stopping(until);
        if self.serves {
            actions.push(Action::StopServices);
        }
    }

    fn kill(&mut self, now: Instant, actions: &mut Actions) {
        self.phase = Phase::Killed(now.plus_ms(KILLED_MS));
        if self.serves {
            actions.push(Action::KillServices);
        }
        if self.program_runs() {
            actions.push(Action::Pass(KILL));
        }
        actions.push(Action::Sweep(KILL));
    }

    fn tick(&mut self, now: Instant, actions: &mut Actions) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Killed(_) => self.end(),
            _ => self.kill(now, actions),
        }
    }

    /// When everything that was told to stop has done so, what is left are strays.
    fn settle(&mut self, now: Instant, actions: &mut Actions) {
        if matches!(self.phase, Phase::Stopping(_)) && !self.serves && !self.program_runs() {
            let grace = self.rules.grace_ms.unwrap_or(STRAYS_MS_MAX);
            self.phase = Phase::Sweeping(now.plus_ms(grace.min(STRAYS_MS_MAX)));
            actions.push(Action::Sweep(TERM));
        }
    }

    fn end(&mut self) {
        let code = match self.main {
            Progress::Ended(exit) => self.rules.forgiven.code(exit),
            _ if self.is_killed() && self.main_may_run() => self.rules.forgiven.code(KILLED),
            _ => 0,
        };
        self.phase = Phase::Over(code);
    }
}

/// The bit of a signal; none if there is no such signal.
fn bit(signal: u8) -> u64 {
    let place = u32::from(signal).wrapping_sub(1);
    1_u64.checked_shl(place).unwrap_or(0)
}
