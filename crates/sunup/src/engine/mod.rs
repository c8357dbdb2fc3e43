//! The supervisor: one loop for any number of services.
//!
//! wait -> inputs -> [`model::supervisor`] decides -> actions. All decisions are made
//! there; this module has the descriptors, by the numbers of units and services, and
//! makes the system calls. There is no thread and no polling: control fifos, child
//! deaths, processes of an earlier supervisor and changes of the scan directory are all
//! descriptors in one epoll set, and its timeout is the next deadline.
//!
//! `runsv DIR` is this engine with one service ([`Engine::supervise_one`]),
//! `runsvdir DIR` with those of a scan directory ([`Engine::supervise_all`]).

mod access;
mod adopt;
mod booting;
mod budget;
mod container;
mod directory;
pub mod edges;
mod fifos;
mod foreign;
mod half;
mod heritage;
mod keeper;
mod late_exit;
pub mod launch;
mod living;
mod lock_holder;
mod look;
mod notify;
mod notify_pipe;
mod notify_socket;
mod open_unit;
mod perform;
mod reap;
mod scandir;
mod setting_file;
mod signal_script;
mod site;
mod starting;
mod supervise;
mod title;
mod token;
mod upgrade;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::access::Access;
use model::command::Command;
use model::supervisor::{Id, Input, Scope, Supervisor, UnitId};
use model::time::Instant;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::say;
use crate::state_rooms::Rooms;
use crate::sys::clock;
use crate::sys::descriptors::Table;
use crate::sys::memory;
use crate::sys::signal::{self, SignalFd};
use crate::sys::spawner::Session;
use booting::Booting;
use budget::Budget;
use heritage::Heritage;
use late_exit::Late;
use launch::Launcher;
use notify_pipe::Glass;
use open_unit::{OpenUnit, Place};
use reap::Zombies;
use scandir::{News, ScanDir};
use signal_script::SignalScript;
use starting::Starting;
use title::Title;
use token::Token;
use upgrade::Upgrade;

/// Ready descriptors taken from the kernel in one turn.
const EVENTS_MAX: usize = 64;
/// Signals taken in one turn.
const SIGNALS_MAX: usize = 64;
/// The signals that are taken through the loop; the first by process 1 alone.
const SIGNALS: [signal::Signal; 6] = [
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGHUP,
    signal::SIGALRM,
    signal::SIGUSR2,
    signal::SIGCHLD,
];
/// Control bytes taken from one fifo before the others have their turn.
const CONTROL_BYTES: usize = 64;

pub use setting_file::read_setting;

pub use container::{Plan as ContainerPlan, Program as ContainerProgram};

/// The shortest log argument of runsvdir that is taken (runsvdir(8)).
pub use title::BYTES_MIN as TITLE_BYTES_MIN;

/// The supervisor.
pub struct Engine {
    who: &'static str,
    epoll: OwnedFd,
    signals: SignalFd,
    launcher: Launcher,
    core: Supervisor,
    units: BTreeMap<UnitId, Box<OpenUnit>>,
    starting: Starting,
    scan_dir: Option<ScanDir>,
    /// What may have changed in service directories that nobody watches.
    overlooked: Vec<Input>,
    title: Option<Title>,
    signal_script: Option<SignalScript>,
    /// What it is all for, in a container.
    guard: Option<Box<container::Guard>>,
    rooms: Rooms,
    /// Who is let in besides this process' user, to all services.
    access: Access,
    /// For looks into the notification pipes of services.
    glass: Glass,
    /// Adopted processes whose exit status is still to come.
    late: Late,
    upgrade: Upgrade,
    booting: Booting,
    heritage: Option<Heritage>,
    /// Descriptors have run short.
    is_short: bool,
    table: Table,
    /// Number of the present input; everything within one counts as one moment.
    turn: u64,
    /// What may still be done of one kind before others have their turn.
    budget: Budget,
    /// Whether deadlines come before what was put aside in the next turn.
    is_due_first: bool,
    zombies: Zombies,
    /// Memory to give back is likely: the engine has just started, or looked at all
    /// entries.
    trims: bool,
}

impl Engine {
    /// Prepares the loop; `who` is the applet, for messages. From here on TERM,
    /// HUP, ALRM, USR2 and CHLD arrive through the loop, and inherited ignored signals have
    /// their default action again, for the services' sake.
    pub fn new(who: &'static str, session: Session) -> io::Result<Self> {
        let heritage = Heritage::receive(who);
        signal::reset_actions();
        signal::ignore_of_writes();
        // Signals that are pending from before an exec must reach the loop; unblocked,
        // the kernel would act on them.
        signal::block_only(signals());
        let engine = Self::with_signals(who, session, SignalFd::new(signals())?, heritage)?;
        if engine.launcher.world.is_none() {
            say::offer(
                who,
                "/proc is not mounted: if this supervisor is killed, its services cannot be taken over",
            );
        }
        Ok(engine)
    }

    /// As [`Engine::new`], for a container, which has made its arrangements for signals.
    pub fn in_container(who: &'static str, signals: SignalFd) -> io::Result<Self> {
        Self::with_signals(who, Session::Inherit, signals, None)
    }

    fn with_signals(
        who: &'static str,
        session: Session,
        signals: SignalFd,
        heritage: Option<Heritage>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let engine = Self {
            who,
            epoll,
            signals,
            launcher: Launcher::new(session, heritage.as_ref().and_then(Heritage::files))?,
            core: Supervisor::new(Scope::One { init: false }),
            units: BTreeMap::new(),
            starting: Starting::default(),
            scan_dir: None,
            overlooked: Vec::new(),
            title: None,
            signal_script: None,
            guard: None,
            rooms: Rooms::of(false),
            access: access::of_environment(who),
            glass: Glass::default(),
            late: Late::default(),
            upgrade: Upgrade::new(),
            booting: Booting::not(),
            heritage,
            is_short: false,
            table: Table::new(),
            turn: 0,
            budget: Budget::new(),
            is_due_first: true,
            zombies: Zombies::new(),
            trims: true,
        };
        engine.watch(engine.signals.as_fd(), Token::Signals)?;
        Ok(engine)
    }

    /// Supervises one service directory until it was told to exit; the result is the exit code.
    pub fn supervise_one(mut self, dir: &[u8]) -> u8 {
        let init = signal_script::is_process_1();
        let scope = Scope::One { init };
        if self.take_over(scope) && !self.units.is_empty() {
            return self.run();
        }
        self.core = Supervisor::new(scope);
        let path = Path::new(std::ffi::OsStr::from_bytes(dir));
        let opened = Place::open(path)
            .map_err(|e| format!("{}: {e}; name a service directory", path.display()))
            .and_then(|place| self.open_unit(1, &dir.to_vec(), place));
        match opened {
            Ok(opened) => {
                self.feed(opened);
                self.run()
            }
            Err(complaint) => {
                let holder = lock_holder::of(path).map(|pid| format!(": process {pid}"));
                say::offer(self.who, complaint + &holder.unwrap_or_default());
                111
            }
        }
    }

    /// Supervises the services of a scan directory; the result is the exit code.
    pub fn supervise_all(mut self, dir: &[u8]) -> u8 {
        let goes_on = self.heritage.is_some();
        let opened = if goes_on {
            Ok(ScanDir::again(self.who, dir))
        } else {
            ScanDir::new(self.who, dir)
        };
        let scan_dir = match opened {
            Ok(scan_dir) => scan_dir,
            Err(e) => {
                say::offer(
                    self.who,
                    format_args!("{}: {e}; name a directory of services", dir.escape_ascii()),
                );
                return 100;
            }
        };
        let watched = scan_dir
            .descriptor()
            .map(|fd| self.watch(fd, Token::ScanDir));
        if let Some(Err(e)) = watched {
            say::offer(self.who, format_args!("watch the scan directory: {e}"));
            return 111;
        }
        self.scan_dir = Some(scan_dir);
        self.booting = Booting::of_machine();
        let init = signal_script::is_process_1();
        let scope = Scope::All { init };
        if !self.take_over(scope) {
            self.core = Supervisor::new(scope);
        }
        self.feed(Input::ScanDue);
        self.run()
    }

    /// Shows standard error in the process title from now on. The last argument
    /// of the process is the place for it.
    pub fn log_to_title(&mut self) {
        let fed = self.heritage.as_mut().and_then(Heritage::title);
        match Title::new(fed) {
            Ok(title) => {
                drop(self.watch(title.descriptor(), Token::Title));
                self.title = Some(title);
            }
            Err(e) => say::offer(
                self.who,
                format_args!("show the log in the process title: {e}"),
            ),
        }
    }

    /// Turns, until the supervision is over. Each takes a bounded amount of each kind
    /// of work; what is left over goes on in the next.
    fn run(&mut self) -> u8 {
        let mut ready = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.look_where_blind();
            self.take_answers();
            self.feed(Input::RoundOver);
            if let Some(code) = self.code() {
                return code;
            }
            self.record_boot();
            self.upgrade_if_due();
            let goes_on = self.goes_on();
            if self.trims && !goes_on && self.starting.is_empty() {
                self.trims = false;
                memory::trim();
            }
            // If there is nothing else to do, sleep for the next answer of a start.
            let timeout = if goes_on && self.starting.has_room() || self.nap() {
                Some(Timespec::default())
            } else {
                self.deadline().map(clock::until)
            };
            if let Err(e) = self.take_events(&mut ready, timeout.as_ref()) {
                // Cannot happen with valid arguments; ending lets init start a successor.
                say::offer(self.who, format_args!("wait for events: {e}"));
                return 111;
            }
            self.reap();
            self.work();
        }
    }

    /// The exit code, once it is over.
    fn code(&mut self) -> Option<u8> {
        if self.guard.is_some() {
            self.container_code()
        } else {
            self.core.exit_code(clock::now())
        }
    }

    /// Deadlines that have come, and what the model has put aside. Both start services,
    /// and either may take all seats for it: so they are first in turns. Who is first
    /// stays first until it has done something.
    fn work(&mut self) {
        let now = clock::now();
        let before = self.turn;
        self.take_some(self.is_due_first, now);
        let did = self.turn != before;
        self.take_some(!self.is_due_first, now);
        self.is_due_first ^= did;
        if let Some(title) = &mut self.title {
            title.dot_if_due(now);
        }
        self.give_up_late(now);
    }

    /// As much as a turn has time for: of the deadlines that have come by `now`, or of what
    /// was put aside.
    fn take_some(&mut self, due: bool, now: Instant) {
        self.budget = Budget::of_order(self.core.has_order());
        while self.may_go_on() {
            let next = if due {
                // Another may be the next now, whose run is to be heard, too.
                if self.hears_in_time(now) {
                    continue;
                }
                let has_come = self.core.deadline().is_some_and(|at| at <= now);
                has_come.then_some(Input::Due)
            } else {
                self.core.has_more().then_some(Input::More)
            };
            let Some(next) = next else { break };
            self.feed(next);
        }
    }

    /// If watches cannot be set, regular looks replace them.
    fn look_where_blind(&mut self) {
        if self.scan_dir.as_ref().is_some_and(ScanDir::wants_look) {
            self.feed(Input::ScanDue);
        }
        for change in std::mem::take(&mut self.overlooked) {
            self.feed(change);
        }
    }

    /// Whether something is left over from the last turn.
    fn goes_on(&self) -> bool {
        self.zombies.are_left() || self.core.is_busy() || !self.overlooked.is_empty()
    }

    /// When to wake at the latest.
    fn deadline(&self) -> Option<Instant> {
        let dot = self.title.as_ref().map(Title::next_dot);
        let own = dot.into_iter().chain(self.upgrade_deadline());
        let others = own.chain(self.late.deadline());
        let others = others.chain(self.starting.deadline());
        let others = others.chain(self.container_deadline());
        let files = self.core.files_at();
        let core = self.core.deadline().into_iter().chain(files);
        core.chain(others).min()
    }

    /// Waits, and handles a bounded number of ready descriptors. The kernel reports the
    /// others again, the one that has waited longest first.
    fn take_events(
        &mut self,
        ready: &mut Vec<epoll::Event>,
        timeout: Option<&Timespec>,
    ) -> Result<(), Errno> {
        match epoll::wait(&self.epoll, spare_capacity(ready), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        self.zombies.seen(clock::now());
        self.budget = Budget::new();
        for event in ready.drain(..) {
            let token = Token::decode(event.data.u64());
            if token == Token::Signals || self.budget.is_left() {
                self.dispatch(token);
            }
        }
        Ok(())
    }

    /// Whether this turn has time for more of the same kind, and a seat for a start that
    /// follows from it.
    fn may_go_on(&self) -> bool {
        self.budget.is_left() && self.starting.has_room()
    }

    /// Hands an input to the model, and performs all actions that follow, including those
    /// that follow from answers.
    fn feed(&mut self, input: Input) {
        self.turn += 1;
        self.core.handle(clock::moment(), input);
        self.act();
    }

    /// Performs all waiting actions; starts may still be under way afterwards.
    fn act(&mut self) {
        while let Some(next) = self.core.peek() {
            if next.needs_all_answers() && !self.starting.is_empty() {
                self.take_all_answers(None);
                continue;
            }
            let answer = self.core.next().and_then(|action| self.perform(action));
            if let Some(answer) = answer {
                self.core.handle(clock::moment(), answer);
            }
        }
    }

    fn dispatch(&mut self, token: Token) {
        match token {
            Token::Signals => self.take_signals(),
            Token::ScanDir => {
                let news = self.scan_dir.as_mut().map(ScanDir::take_events);
                let News { look, names, units } = news.unwrap_or_default();
                if look {
                    self.feed(Input::ScanDue);
                } else if let (Some(scan_dir), false) = (&mut self.scan_dir, names.is_empty()) {
                    let found = scan_dir.look_at(names);
                    let next_look = scan_dir.next_look();
                    self.feed(Input::Noticed { found, next_look });
                }
                for change in units {
                    self.feed(change);
                }
            }
            Token::Title => {
                if let Some(title) = &mut self.title {
                    title.take();
                }
            }
            // The commands stay in the fifo, and epoll reports it again.
            Token::Control(id) if self.core.holds_back(id.unit) => {}
            Token::Control(id) => {
                self.obey(id);
            }
            Token::Exits => self.ask_again(),
            Token::Loads => self.program_loaded(),
            Token::NotifyPipe(unit) => self.hear_pipe(unit),
            Token::NotifySocket(unit) => self.hear_socket(unit),
            Token::Pidfd(id) => {
                // As of a child.
                self.obey(id);
                self.adopted_ended(id);
            }
        }
    }

    fn take_signals(&mut self) {
        for _ in 0..SIGNALS_MAX {
            let Some(delivered) = self.signals.next() else {
                break;
            };
            match delivered.signal {
                signal::SIGCHLD => {
                    self.zombies.may_be_left();
                    self.reap_named(delivered.sender);
                }
                signal if self.guard.is_some() => self.container_signalled(signal),
                // Debian's packages ask for a look at the scan directory by it.
                signal::SIGALRM if self.scan_dir.is_none() => {}
                signal::SIGALRM => self.feed(Input::ScanDue),
                signal => self.signalled(signal),
            }
        }
    }

    /// Obeys control bytes, up to one that starts something: the bytes after that are
    /// meant for what it starts. Returns whether there were any.
    fn obey(&mut self, id: Id) -> bool {
        let (mut said, mut release) = (0, false);
        while said < CONTROL_BYTES {
            let Some(byte) = self.half(id).and_then(|half| half.supervise.next_control()) else {
                break;
            };
            said += 1;
            release |= byte == keeper::RELEASE;
            if let Some(command) = Command::from_byte(byte) {
                self.feed(Input::Command(id, command));
            }
            if self.core.holds_back(id.unit) {
                break;
            }
        }
        if said == 0 {
            return false;
        }
        if release {
            self.settle_starts(Some(id.unit));
        }
        self.feed(Input::Obeyed { id, release });
        true
    }

    fn half(&mut self, id: Id) -> Option<&mut half::Half> {
        self.units.get_mut(&id.unit)?.half_mut(id.role)
    }

    fn watch(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        Ok(epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?)
    }
}

/// The signals that this process takes through the loop.
fn signals() -> &'static [signal::Signal] {
    let (_, others) = SIGNALS.split_at(usize::from(std::process::id() != 1));
    others
}
