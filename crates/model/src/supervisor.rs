//! The supervisor of any number of services, as a pure state machine.
//!
//! It makes all decisions: which units (service directories) there are, whose child each
//! process is, when to look again, what the state files show, and how the supervision
//! ends. It has no descriptor and no clock. The caller hands in what happened as an
//! [`Input`] with the moment, and gets back what to do as [`Action`]s, which name units
//! and services by number.
//!
//! ```text
//! handle(moment, input) --> next() -> action --> done by the caller --> its answer --> handle ...
//! ```
//!
//! The rule for the caller: after each `handle` perform all actions, one after the other,
//! and hand in the answer of each before taking the next. `next` returns the actions that
//! follow from an answer before those that waited already. So one service is finished
//! before the next one, as if all answers came at once. Between any two actions the
//! supervisor may be killed; `tests/simulation` does that.
//!
//! Only the answer of [`Action::Start`] may come later, because a program takes time to
//! load, or hangs. A start without an answer is a state of its service, and everything
//! else goes on (`starts.rs`).
//!
//! Work is done in bounded steps. One input causes a bounded number of actions. What a
//! look at the scan directory finds is put aside, as is an order to all services
//! (`orders.rs`), and handled one by one when the caller has time
//! ([`Supervisor::has_more`], [`Input::More`]); so are deadlines. The caller takes a
//! bounded amount of this work, writes state files ([`Input::RoundOver`]), and takes
//! signals and commands before it continues.
//!
//! When a supervisor begins, services whose processes live on from an earlier one come
//! before those that are to be started ([`Action::LookForLiving`]): if descriptors are
//! short, running services come first.
//!
//! A service has its fifos and a first status before it starts, because its run script
//! may command it at once. The rest and later states are written at the end of a round,
//! but not while the answer of a start is expected soon; and also after the commands of
//! one service, because `sv` waits for that.
//!
//! Cost: one input about one service takes time logarithmic in the number of
//! services, a look at the scan directory linear. The queue of actions holds a
//! handful for each service at most.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use crate::adoption::Inheritance;
use crate::command::{Command, Sig};
use crate::facts::{Facts, Files, Line};
use crate::format::notify_message::Message;
use crate::format::state::ready::Source;
use crate::format::tai64n::Tai64n;
use crate::graph::Edges;
use crate::moment::Moment;
use crate::restart::Report;
use crate::scan::{Identity, Name};
use crate::service::{self, Announce, Exit, Failure, Pid, Role};
use crate::settings::{Look, Settings};
use crate::signal::Signal;
use crate::time::Instant;

mod alarms;
mod checks;
mod crashes;
mod ending;
mod handover;
mod lines;
mod logger;
mod named;
mod order;
mod orders;
mod own;
mod principal;
mod queue;
mod roster;
mod services;
mod starts;
mod unit;
mod unshown;
mod view;

use alarms::{Alarm, Alarms};
use checks::Checks;
use ending::Ending;
pub use logger::Log;
use order::Order;
use principal::Principal;
use queue::Queue;
use roster::Waiting;
use starts::Starts;
use unit::Unit;
use unshown::Unshown;

/// Number of a unit; never used twice.
pub type UnitId = u64;

/// A service or its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The service directory.
    pub unit: UnitId,
    /// Which of the two.
    pub role: Role,
}

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// `./setup`.
    Setup(Id),
    /// `./run`.
    Run(Id),
    /// `./finish`, told how the run ended, and what its environment says besides.
    Finish(Id, Exit, Option<Report>),
    /// `./control/u`.
    Prepare(Id),
    /// `./control/LETTER PID` in a signal's place.
    Script(Id, Sig, Pid),
    /// `./control/d PID` or `./control/x PID` after a stop.
    Epilogue(Id, u8, Pid),
    /// `./check`, in a session of its own.
    Check(Id),
}

impl Job {
    /// Whose it is.
    pub const fn id(self) -> Id {
        match self {
            Self::Setup(id)
            | Self::Run(id)
            | Self::Finish(id, ..)
            | Self::Prepare(id)
            | Self::Script(id, ..)
            | Self::Epilogue(id, ..)
            | Self::Check(id) => id,
        }
    }

    /// Whether it is the service's process, which outlives its supervisor, and
    /// not a script.
    pub const fn is_process(self) -> bool {
        matches!(self, Self::Setup(_) | Self::Run(_) | Self::Finish(..))
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "inputs are handed in one by one, and never kept"
)]
pub enum Input {
    /// The moment of [`Supervisor::deadline`] came. Repeat this while that lies in the
    /// past: each input handles one deadline.
    Due,
    /// A round of inputs is over: state files are written now.
    RoundOver,
    /// Handle the next thing that was put aside.
    More,
    /// Answer to [`Action::LookForLiving`]: the services whose process seems to live, and
    /// those that are to start before others.
    Living(Vec<Identity>),
    /// The scan directory may have changed.
    ScanDue,
    /// Answer to [`Action::Scan`]: the services that there are.
    Scanned {
        /// Names that lead to directories.
        entries: Vec<(Name, Identity)>,
        /// When to look again, if no event reports changes.
        next_look: Option<Instant>,
    },
    /// Something happened to a few entries of the scan directory: what they lead to now.
    Noticed {
        /// Names, with the directory that each leads to, if it does.
        found: Vec<(Name, Option<Identity>)>,
        /// When to look at all entries, if no event reports changes.
        next_look: Option<Instant>,
    },
    /// Answer to [`Action::Scan`]: it cannot be read.
    NotScanned,
    /// Answer to [`Action::Open`]. As the first input, the one service of runsv.
    Opened(Opened),
    /// Answer to [`Action::Open`]: why it failed, or `None` if the directory changed
    /// meanwhile.
    NotOpened(Identity, Option<String>),
    /// Answer to [`Action::Start`].
    Started(Job, Pid),
    /// Answer to [`Action::Start`].
    NotStarted(Job, Failure),
    /// The answer to [`Action::Start`] is late: this process hangs in its exec. The
    /// answer follows.
    Late(Job, Pid),
    /// Answer to [`Action::Look`].
    Looked {
        /// Whose directory.
        id: Id,
        /// For what.
        look: Look,
        /// What is there.
        found: Settings,
        /// What the entry `log` is, if it was looked at.
        log: Option<Log>,
    },
    /// Answer to [`Action::Show`], if it failed.
    NotWritten(Id),
    /// Something happened to the entry `log` of a service directory.
    LogChanged(UnitId),
    /// Answer to [`Action::ReadEdges`], with the command that it had.
    EdgesRead(UnitId, Edges, Option<Command>),
    /// Something happened to the directories that say for whom a service waits.
    EdgesChanged(UnitId),
    /// Answer to [`Action::LookAtPipe`]: so many bytes wait in it.
    PipeSeen(UnitId, u32),
    /// A command was read from the control fifo.
    Command(Id, Command),
    /// All commands that were read have been handed in. `release`: a successor also asks
    /// for the unit; then its starts have been answered.
    Obeyed {
        /// Whose fifo it was.
        id: Id,
        /// See above.
        release: bool,
    },
    /// A child, known or not, ended and was reaped. The moment is the best estimate of
    /// its end: the time that it waited to be reaped is not part of its life.
    ChildEnded(Pid, Exit, Instant),
    /// A process that is watched by descriptor ended.
    AdoptedEnded(Id, Exit),
    /// The run of this process is ready, by this source.
    Ready(Id, Pid, Source),
    /// The run of this process, or who speaks for it, has sent this.
    Notified(Id, Pid, Message),
    /// Answer to [`Action::Group`]: whether anything is left of it.
    Group(Id, Pid, bool),
    /// Told to end (TERM).
    Terminate,
    /// Told to stop everything (HUP).
    HangUp,
    /// Told to stop every service, and to go on (HUP of busybox's `runsvdir -s` as PID 1).
    StopEach,
    /// Answer to [`Action::Leave`], in the process that leaves.
    Left,
    /// Answer to [`Action::Leave`], in the keeper: no process is its child.
    Kept,
    /// Answer to [`Action::Leave`]: there is no keeper.
    NotLeft,
}

/// A unit that was opened and locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The number that [`Action::Open`] gave.
    pub unit: UnitId,
    /// The name it was opened by.
    pub name: Name,
    /// Its directory.
    pub identity: Identity,
    /// What was found of the service.
    pub main: Inheritance,
    /// What was found of its logger, if there is one.
    pub log: Option<Inheritance>,
    /// What its directory says of other services.
    pub edges: Edges,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a child. A run announces that it is ready as it says; other children do
    /// not. Answered by `Started` or `NotStarted`, which may come later.
    Start(Job, Announce),
    /// Send a signal to the service's process.
    Signal(Id, Pid, Signal),
    /// Send a signal to the rest of the process group that this process led, or only look;
    /// answered by `Group`.
    Group(Id, Pid, Option<Signal>),
    /// Write what there is to show and see that the fifos are there; answered by
    /// `NotWritten` if `status`, `pid` or `stat` cannot be written. A unit that is
    /// opened shows no crash loop, whatever an earlier supervisor left.
    Show {
        /// Whose.
        id: Id,
        /// What there is.
        facts: Facts,
        /// Which files differ.
        files: Files,
        /// Which of our own files differ, and what they are to show.
        lines: Vec<Line>,
    },
    /// Look what is in the directory; answered by `Looked`.
    Look {
        /// Whose.
        id: Id,
        /// For what.
        look: Look,
        /// Look at the entry `log`, too, unless `control/u` is to run first. If there
        /// was no logger and it is there, open and lock it.
        log: bool,
    },
    /// Open, lock and look at the directory; answered by `Opened` or `NotOpened`.
    Open {
        /// The number that it gets.
        unit: UnitId,
        /// Where it is.
        name: Name,
        /// What it must be.
        identity: Identity,
    },
    /// Ask whoever keeps the directory to let go of it.
    Ask(Name),
    /// Close the writing end of the log pipe, so that the logger ends.
    ClosePipe(UnitId),
    /// Look how many bytes wait in the log pipe, whose logger has ended; answered by
    /// `PipeSeen`.
    LookAtPipe(UnitId),
    /// The logger is supervised no more: let go of it and of the pipe.
    CloseLog(UnitId),
    /// Make a new log pipe: the service is started although its logger was to end.
    OpenPipe(UnitId),
    /// The supervision is over: remove the records, and close the unit.
    Dismiss(UnitId),
    /// Close the unit as it is; a successor takes it over, or whoever opens it again.
    Release(UnitId),
    /// Look at the scan directory; answered by `Scanned` or `NotScanned`.
    Scan,
    /// A check hangs: kill it, and what it has started.
    KillCheck(Id, Pid),
    /// Read what the directory says of other services; answered by `EdgesRead`.
    ReadEdges(UnitId, Option<Command>),
    /// Watch the directories that say so; what happens to them is `EdgesChanged`, and so is
    /// what happened before.
    WatchEdges(UnitId),
    /// Watch them no longer.
    UnwatchEdges(UnitId),
    /// Look which of these hold the record of a process that seems to live; answered
    /// by `Living`.
    LookForLiving(Vec<(Name, Identity)>),
    /// Watch every process by descriptor and fork a keeper; answered by `Left`
    /// in the parent, `Kept` in the child, `NotLeft` if there is none.
    Leave,
    /// Tell the administrator.
    Say(String),
}

impl Action {
    /// The unit in whose directories something is done, if it is open.
    pub const fn unit(&self) -> Option<UnitId> {
        match self {
            Self::Start(job, _) => Some(job.id().unit),
            Self::Show { id, .. } | Self::Look { id, .. } => Some(id.unit),
            Self::Open { unit, .. }
            | Self::CloseLog(unit)
            | Self::Dismiss(unit)
            | Self::ReadEdges(unit, _)
            | Self::WatchEdges(unit) => Some(*unit),
            Self::Signal(..)
            | Self::Group(..)
            | Self::Ask(_)
            | Self::ClosePipe(_)
            | Self::OpenPipe(_)
            | Self::LookAtPipe(_)
            | Self::Release(_)
            | Self::UnwatchEdges(_)
            | Self::KillCheck(..)
            | Self::Scan
            | Self::LookForLiving(_)
            | Self::Leave
            | Self::Say(_) => None,
        }
    }
}

/// What is supervised, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One service directory (runsv).
    One {
        /// As below.
        init: bool,
    },
    /// A scan directory (runsvdir).
    All {
        /// As PID 1: nobody is left to stop services later.
        init: bool,
    },
}

impl Scope {
    const fn is_one(self) -> bool {
        matches!(self, Self::One { .. })
    }

    const fn is_init(self) -> bool {
        matches!(self, Self::One { init: true } | Self::All { init: true })
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Supervisor {
    scope: Scope,
    now: Moment,
    /// Boxed, because a map that was filled in order is half empty.
    units: BTreeMap<UnitId, Box<Unit>>,
    next_unit: UnitId,
    by_identity: BTreeMap<Identity, UnitId>,
    waiting: BTreeMap<Identity, Waiting>,
    /// The candidates to open next, in this order.
    arrivals: VecDeque<Identity>,
    /// The units that are still to be told to exit (`orders.rs`).
    untold: BTreeSet<UnitId>,
    /// It has not looked at the scan directory yet.
    is_first_look: bool,
    /// Starts without an answer.
    starts: Starts,
    owners: BTreeMap<Pid, Job>,
    alarms: Alarms,
    unshown: Unshown,
    /// Services and loggers that are neither down nor gone.
    busy: BTreeSet<Id>,
    ending: Ending,
    order: Order,
    checks: Checks,
    /// The main service of a container.
    principal: Option<Principal>,
    queue: Queue,
}

impl Supervisor {
    /// A supervisor that has no services yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            now: Moment {
                at: Instant(0),
                wall: Tai64n::from_unix(0, 0),
            },
            units: BTreeMap::new(),
            next_unit: 1,
            by_identity: BTreeMap::new(),
            waiting: BTreeMap::new(),
            arrivals: VecDeque::new(),
            untold: BTreeSet::new(),
            is_first_look: true,
            starts: Starts::default(),
            owners: BTreeMap::new(),
            alarms: Alarms::default(),
            unshown: Unshown::default(),
            busy: BTreeSet::new(),
            ending: Ending::No,
            order: Order::default(),
            checks: Checks::default(),
            principal: None,
            queue: Queue::default(),
        }
    }

    /// Takes an input; its actions are [`Supervisor::next`].
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.now = now;
        self.take(input);
        self.queue.end_input();
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Due => self.ring(),
            Input::RoundOver => self.write_some(),
            Input::More => self.go_on(),
            Input::Living(living) => self.living_first(&living),
            Input::ScanDue => self.scan(),
            Input::Scanned { entries, next_look } => self.scanned(&entries, next_look),
            Input::Noticed { found, next_look } => self.noticed(&found, next_look),
            Input::NotScanned => self.not_scanned(),
            Input::Opened(opened) => self.opened(opened),
            Input::NotOpened(identity, obstacle) => self.not_opened(identity, obstacle),
            Input::Started(job, pid) => self.started(job, pid),
            Input::NotStarted(job, failure) => self.not_started(job, failure),
            Input::Late(job, pid) => self.late(job, pid),
            Input::Looked {
                id,
                look,
                found,
                log,
            } => self.looked(id, look, found, log),
            Input::NotWritten(id) => self.not_written(id),
            Input::LogChanged(unit) => self.log_changed(unit),
            Input::EdgesRead(unit, edges, then) => self.edges_read(unit, &edges, then),
            Input::EdgesChanged(unit) => self.edges_changed(unit),
            Input::PipeSeen(unit, bytes) => self.pipe_seen(unit, bytes),
            Input::Command(id, command) => self.command(id, command),
            Input::Obeyed { id, release } => self.obeyed(id, release),
            Input::ChildEnded(pid, exit, by) => self.child_ended(pid, exit, by),
            Input::AdoptedEnded(id, exit) => self.adopted_ended(id, exit),
            Input::Ready(id, pid, source) => self.ready(id, pid, source),
            Input::Notified(id, pid, message) => self.notified(id, pid, &message),
            Input::Group(id, pid, is_left) => self.drive(id, service::Event::Group(pid, is_left)),
            Input::Terminate => self.terminate(),
            Input::HangUp => self.hang_up(),
            Input::StopEach => self.order_all(),
            Input::Left => self.left(),
            Input::Kept => self.kept(),
            Input::NotLeft => self.not_left(),
        }
    }

    /// What [`Supervisor::next`] will return.
    pub fn peek(&self) -> Option<&Action> {
        self.queue.peek()
    }

    /// The next thing to do.
    #[expect(
        clippy::should_implement_trait,
        reason = "the caller hands in answers between two of them"
    )]
    pub fn next(&mut self) -> Option<Action> {
        let next = self.queue.pop()?;
        if let Action::Start(job, _) = next {
            self.starts.begin(job);
        }
        Some(next)
    }

    /// Whether something was put aside, for [`Input::More`].
    pub fn has_more(&self) -> bool {
        let has_units = !self.untold.is_empty() || !self.arrivals.is_empty();
        has_units || self.order.has_more() || self.can_make_sure()
    }

    /// Whether the caller must not sleep now, because work is left for [`Input::More`] or
    /// [`Input::RoundOver`].
    pub fn is_busy(&self) -> bool {
        self.has_more() || self.has_unwritten()
    }

    /// When to hand in [`Input::Due`]; `None`: never, as things are.
    pub fn deadline(&self) -> Option<Instant> {
        self.alarms.first()
    }

    /// The unit to listen to before the next [`Input::Due`]: the time of its run is over,
    /// unless the run has said something that nobody has heard yet.
    pub fn to_hear_out(&self, now: Instant) -> Option<UnitId> {
        let Some(Alarm::Service(id)) = self.alarms.due(now) else {
            return None;
        };
        let service = self.service(id).filter(|_| id.role == Role::Main)?;
        service.heeds_words().then_some(id.unit)
    }

    fn go_on(&mut self) {
        if self.give_order() || self.go_on_with_order() {
            return;
        }
        if self.arrivals.is_empty() {
            self.finish_order();
        } else {
            self.arrive();
        }
    }

    fn ring(&mut self) {
        match self.alarms.take_due(self.now.at) {
            None => {}
            Some(Alarm::Service(id)) => self.drive(id, crate::service::Event::Tick),
            Some(Alarm::Rewrite) => self.mark_unwritten(),
            Some(Alarm::Admit(identity)) => self.admit(identity),
            Some(Alarm::Check(unit)) => self.check_due(unit),
            Some(Alarm::Held(unit)) => self.still_held(unit),
            Some(Alarm::Edges(unit)) => self.edges_settled(unit),
            Some(Alarm::Scan) => self.scan(),
            Some(Alarm::Log(unit)) => self.look_at_log(unit),
            Some(Alarm::Leave) => self.leave(),
            Some(Alarm::Remind) => self.remind(),
            Some(Alarm::Linger) => self.linger_over(),
        }
    }

    fn push(&mut self, action: Action) {
        self.queue.push(action);
    }
}
