//! The life of a machine: boot, run, shut down, end.
//!
//! # In prose
//!
//! The machine holds one slot for each inittab entry. A slot is idle, ready to
//! be started, being started, running, or resting until it may be tried again.
//!
//! It *boots*: the sysinit entries run one after another, then the wait entries
//! likewise. A failed entry is told and the boot goes on. Then it *runs*: the
//! once entries start together, and the respawn and askfirst entries are kept
//! running. A command that lived less than [`SHORT_LIFE`] rests for
//! [`rest`] before it is started again, and so does one for which the kernel
//! had no process; a command that lived longer starts again at once. A slot that
//! keeps failing says so once and is then quiet until it lives again.
//!
//! Signals are answered in every state, at once, also while a sysinit entry
//! hangs: INT runs the ctrlaltdel entries one after another, TSTP stops
//! respawning until CONT, HUP reads the inittab again, and USR1 or PWR (halt),
//! TERM (reboot), USR2 (poweroff) and QUIT (become the restart entry, if there
//! is one) take the machine *down*. The first wish to go down stands; from
//! there on no signal changes anything.
//!
//! Down: [`STAGE3`] and then the shutdown entries run one after another, each
//! for a bounded time, after which its process group is killed. Then every
//! process gets TERM; as soon as none is left, or when the grace is over, every
//! process gets KILL; once more the machine waits until none is left, for at
//! most [`KILL_GRACE`]; then it asks the kernel for the end. If the kernel
//! refuses (a container), the machine ends by exiting.
//!
//! A reload keeps the slots of entries that stay, by command and terminal. An
//! entry that vanished is forgotten when its process ends; sysinit, wait and
//! once entries that appear after their turn do not run.
//!
//! # The contract with the loop
//!
//! [`Machine::step`] is total and pure. Each [`Action::Start`] must be answered
//! by [`Event::Started`], [`Event::StartFailed`] or [`Event::NoStage3`], each
//! [`Action::ReadInittab`] by [`Event::Inittab`], and an [`Action::End`] that
//! comes back by [`Event::Refused`]. [`Event::Tick`] is due at
//! [`Machine::deadline`], and once at the start. Times are durations since boot.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;
use core::time::Duration;

use crate::format::inittab::{self, Entry};

pub mod handover;
mod message;
#[cfg(test)]
mod tests;

pub use message::Message;

/// A life shorter than this is a failure.
pub const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The longest rest between two attempts.
pub const REST_MAX: Duration = Duration::from_secs(30);
/// From this many failures in a row on, a slot is quiet.
pub const QUIET_AFTER: u8 = 3;
/// How long stage 3 may take.
pub const STAGE3_LIMIT: Duration = Duration::from_mins(3);
/// How long a shutdown entry may take.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_mins(1);
/// How long a killed command of the shutdown may take to vanish.
pub const KILL_GRACE: Duration = Duration::from_secs(2);
/// What runs before the shutdown entries, if it is there and executable.
pub const STAGE3: &[u8] = b"/etc/runit/3";

/// A process id.
pub type Pid = i32;

/// A slot, for its whole life; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// The slot of [`STAGE3`], which may be absent.
    pub const STAGE3: Self = Self(0);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// It exited with this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

/// The signals that mean something to PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-Alt-Del.
    Int,
    /// Stop respawning.
    Tstp,
    /// Respawn again.
    Cont,
    /// Become the restart entry.
    Quit,
    /// Read the inittab again.
    Hup,
    /// Halt.
    Usr1,
    /// Halt: the power fails.
    Pwr,
    /// Reboot.
    Term,
    /// Power off.
    Usr2,
}

/// How the machine ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Stop, with the power on.
    Halt,
    /// Start again.
    Reboot,
    /// Turn the power off.
    Poweroff,
    /// PID 1 becomes this command; the kernel stays.
    Restart(Entry),
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal came.
    Signal(Signal),
    /// The command of the slot runs.
    Started(Id, Pid),
    /// The kernel gave no process, for this reason.
    StartFailed(Id, String),
    /// There is no stage 3 to run, which is no failure.
    NoStage3,
    /// A child was reaped, known or not.
    Exited(Pid, Ended),
    /// PID 1 has no child: no process is left.
    NoChildren,
    /// The inittab as it is now; none when it cannot be used.
    Inittab(Option<Vec<Entry>>),
    /// The kernel (or the exec) refused the end, for this reason.
    Refused(String),
    /// The deadline is reached, or may be.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the command of a slot; a quiet start is not worth a line.
    Start {
        /// The slot, for the answer.
        id: Id,
        /// What to start.
        entry: Entry,
        /// Whether it failed so often that nothing should be said.
        quiet: bool,
    },
    /// Say it.
    Say(Message),
    /// Send KILL to the process group of this child.
    KillGroup(Pid),
    /// Send TERM to every process.
    TermAll,
    /// Send KILL to every process.
    KillAll,
    /// Write the file systems to disk.
    Sync,
    /// Read the inittab.
    ReadInittab,
    /// End as the fate says.
    End(Fate),
    /// Exit: what is left when the kernel refuses the end.
    Exit,
}

/// Where a slot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    /// Not to be started unless somebody asks.
    Idle,
    /// To be started when its turn comes.
    Ready,
    /// The start was asked for.
    Starting,
    /// It runs.
    Running { pid: Pid, since: Duration },
    /// To be started, but not before.
    Resting { until: Duration },
}

impl Job {
    fn is_due(self, now: Duration) -> bool {
        match self {
            Self::Ready => true,
            Self::Resting { until } => until <= now,
            Self::Idle | Self::Starting | Self::Running { .. } => false,
        }
    }

    fn has_process(self) -> bool {
        matches!(self, Self::Starting | Self::Running { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    id: Id,
    entry: Entry,
    /// Whether the inittab still holds it.
    listed: bool,
    job: Job,
    /// Short lives and failed starts in a row.
    failures: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// The sysinit entries run in turn.
    Sysinit,
    /// The wait entries run in turn.
    Wait,
    /// The machine is up.
    Run,
    /// It goes down.
    Down(Fate, Down),
    /// Nothing is left to do.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Down {
    /// The commands of the shutdown run in turn.
    Commands { current: Option<Current> },
    /// Every process has got TERM.
    Term { until: Duration },
    /// Every process has got KILL.
    Kill { until: Duration },
    /// The end was asked for.
    Asked,
}

/// The command of the shutdown whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Current {
    id: Id,
    until: Duration,
    killed: bool,
}

/// The machine; see the top of this file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    phase: Phase,
    slots: Vec<Slot>,
    next_id: u32,
    frozen: bool,
    grace: Duration,
}

/// How long a slot rests after this many failures in a row: 1, 2, 4, ... seconds.
pub fn rest(failures: u8) -> Duration {
    let seconds = 1_u64 << failures.saturating_sub(1).min(10);
    Duration::from_secs(seconds).min(REST_MAX)
}

impl Machine {
    /// A machine that boots when it gets its first [`Event::Tick`]. `grace` is
    /// the time between TERM and KILL for processes that do not end.
    pub fn boot(entries: Vec<Entry>, grace: Duration) -> Self {
        let stage3 = Slot {
            id: Id::STAGE3,
            entry: Entry::on_console(inittab::Action::Shutdown, STAGE3),
            listed: true,
            job: Job::Idle,
            failures: 0,
        };
        let mut machine = Self {
            phase: Phase::Sysinit,
            slots: alloc::vec![stage3],
            next_id: 1,
            frozen: false,
            grace,
        };
        machine.list(entries);
        machine
    }

    /// When the next [`Event::Tick`] is due, if no other event comes first.
    pub fn deadline(&self) -> Option<Duration> {
        let rests = |slot: &Slot| match slot.job {
            Job::Resting { until } if self.has_turn(slot) => Some(until),
            _ => None,
        };
        let of_phase = match &self.phase {
            Phase::Down(_, Down::Commands { current }) => current.map(|c| c.until),
            Phase::Down(_, Down::Term { until } | Down::Kill { until }) => Some(*until),
            _ => None,
        };
        self.slots.iter().filter_map(rests).chain(of_phase).min()
    }

    /// Whether the boot is over and nothing takes the machine down: then
    /// [`Machine::handover`] says all that there is to say.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Run)
    }

    /// Whether [`Event::NoChildren`] would be news: only then need it be sent.
    pub fn waits_for_the_last_process(&self) -> bool {
        matches!(
            self.phase,
            Phase::Down(_, Down::Term { .. } | Down::Kill { .. })
        )
    }

    /// What follows from an event.
    #[must_use]
    pub fn step(mut self, now: Duration, event: Event) -> (Self, Vec<Action>) {
        let mut out = Vec::new();
        match event {
            Event::Signal(signal) => self.signal(signal, &mut out),
            Event::Started(id, pid) => self.started(id, pid, now),
            Event::StartFailed(id, reason) => self.start_failed(id, reason, now, &mut out),
            Event::NoStage3 => self.no_stage3(),
            Event::Exited(pid, ended) => self.exited(pid, ended, now, &mut out),
            Event::NoChildren => self.no_process_is_left(now),
            Event::Inittab(Some(entries)) if !self.is_going_down() => self.list(entries),
            Event::Refused(reason) => self.refused(reason, &mut out),
            Event::Inittab(_) | Event::Tick => {}
        }
        self.settle(now, &mut out);
        (self, out)
    }

    fn is_going_down(&self) -> bool {
        matches!(self.phase, Phase::Down(..) | Phase::Over)
    }

    // Events.

    fn signal(&mut self, signal: Signal, out: &mut Vec<Action>) {
        if self.is_going_down() {
            return;
        }
        match signal {
            Signal::Int => self.ask_for(inittab::Action::Ctrlaltdel),
            Signal::Tstp => self.frozen = true,
            Signal::Cont => self.frozen = false,
            Signal::Hup => {
                out.push(Action::Say(Message::Reloading));
                out.push(Action::ReadInittab);
            }
            Signal::Usr1 | Signal::Pwr => self.go_down(Fate::Halt),
            Signal::Term => self.go_down(Fate::Reboot),
            Signal::Usr2 => self.go_down(Fate::Poweroff),
            Signal::Quit => {
                let restarts = |s: &&Slot| s.entry.action == inittab::Action::Restart;
                if let Some(slot) = self.slots.iter().find(restarts) {
                    self.go_down(Fate::Restart(slot.entry.clone()));
                }
            }
        }
    }

    /// Makes the idle slots of an action ready.
    fn ask_for(&mut self, action: inittab::Action) {
        for slot in &mut self.slots {
            if slot.entry.action == action && slot.job == Job::Idle {
                slot.job = Job::Ready;
            }
        }
    }

    fn go_down(&mut self, fate: Fate) {
        self.phase = Phase::Down(fate, Down::Commands { current: None });
        self.ask_for(inittab::Action::Shutdown);
    }

    fn slot(&mut self, id: Id) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|s| s.id == id)
    }

    fn started(&mut self, id: Id, pid: Pid, now: Duration) {
        if let Some(slot) = self.slot(id) {
            slot.job = Job::Running { pid, since: now };
        }
    }

    fn start_failed(&mut self, id: Id, reason: String, now: Duration, out: &mut Vec<Action>) {
        let Some(slot) = self.slot(id).filter(|s| s.job == Job::Starting) else {
            return;
        };
        slot.failures = slot.failures.saturating_add(1);
        if slot.failures == 1 {
            out.push(Action::Say(Message::NoProcess {
                command: slot.entry.command.clone(),
                reason,
            }));
        }
        let until = now.saturating_add(rest(slot.failures));
        slot.job = Job::Resting { until };
    }

    fn no_stage3(&mut self) {
        if let Some(slot) = self.slot(Id::STAGE3).filter(|s| s.job == Job::Starting) {
            slot.job = Job::Idle;
        }
    }

    fn exited(&mut self, pid: Pid, ended: Ended, now: Duration, out: &mut Vec<Action>) {
        let going_down = self.is_going_down();
        let runs = |s: &Slot| matches!(s.job, Job::Running { pid: p, .. } if p == pid);
        let Some(at) = self.slots.iter().position(runs) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(at) {
            slot.ended(pid, ended, now, going_down, out);
            if !slot.listed {
                self.slots.remove(at);
            }
        }
    }

    fn no_process_is_left(&mut self, now: Duration) {
        if let Phase::Down(_, Down::Term { until } | Down::Kill { until }) = &mut self.phase {
            *until = now;
        }
    }

    /// A restart that cannot be becomes a reboot: a device without a hand must
    /// come up again. Any other end that cannot be leaves nothing to do.
    fn refused(&mut self, reason: String, out: &mut Vec<Action>) {
        let Phase::Down(fate, Down::Asked) = &mut self.phase else {
            return;
        };
        let told = fate.clone();
        out.push(Action::Say(Message::Refused { fate: told, reason }));
        if let Fate::Restart(_) = fate {
            *fate = Fate::Reboot;
            out.push(Action::Say(Message::Requesting(Fate::Reboot)));
            out.push(Action::End(Fate::Reboot));
        } else {
            self.phase = Phase::Over;
            out.push(Action::Exit);
        }
    }

    /// Takes over a list of entries. What stays keeps its process.
    fn list(&mut self, entries: Vec<Entry>) {
        let (mut slots, mut old): (Vec<Slot>, Vec<Slot>) = take(&mut self.slots)
            .into_iter()
            .partition(|s| s.id == Id::STAGE3);
        for entry in entries {
            if entry.command == STAGE3 && entry.action == inittab::Action::Shutdown {
                continue; // It runs anyway, and first.
            }
            let job = self.first_job(entry.action);
            let slot = match old.iter().position(|s| s.entry.is_same(&entry)) {
                Some(at) => old.remove(at).listed_as(entry, job),
                None => self.new_slot(entry, job),
            };
            slots.push(slot);
        }
        for slot in old.into_iter().filter(|s| s.job.has_process()) {
            slots.push(Slot {
                listed: false,
                ..slot
            });
        }
        self.slots = slots;
    }

    fn new_slot(&mut self, entry: Entry, job: Job) -> Slot {
        let id = Id(self.next_id);
        self.next_id = self.next_id.wrapping_add(1).max(1);
        Slot {
            id,
            entry,
            listed: true,
            job,
            failures: 0,
        }
    }

    /// What an entry that appears now is to do.
    fn first_job(&self, action: inittab::Action) -> Job {
        use inittab::Action as A;
        let ready = match action {
            A::Sysinit => self.phase == Phase::Sysinit,
            A::Wait | A::Once => matches!(self.phase, Phase::Sysinit | Phase::Wait),
            A::Respawn | A::Askfirst => true,
            A::Ctrlaltdel | A::Shutdown | A::Restart => false,
        };
        if ready { Job::Ready } else { Job::Idle }
    }

    // What follows.

    /// Whether the slot may be started in this phase.
    fn has_turn(&self, slot: &Slot) -> bool {
        use inittab::Action as A;
        match (&self.phase, slot.entry.action) {
            (Phase::Sysinit, A::Sysinit)
            | (Phase::Wait, A::Wait)
            | (Phase::Run, A::Once)
            | (Phase::Sysinit | Phase::Wait | Phase::Run, A::Ctrlaltdel) => true,
            (Phase::Run, A::Respawn | A::Askfirst) => slot.listed && !self.frozen,
            (Phase::Down(_, Down::Commands { current: Some(c) }), _) => c.id == slot.id,
            _ => false,
        }
    }

    /// Does what is due now.
    fn settle(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.phase == Phase::Sysinit && self.in_turn(inittab::Action::Sysinit, now, out) {
            self.phase = Phase::Wait;
        }
        if self.phase == Phase::Wait && self.in_turn(inittab::Action::Wait, now, out) {
            self.phase = Phase::Run;
        }
        if self.phase == Phase::Run {
            self.keep_running(now, out);
        }
        if self.is_going_down() {
            self.settle_down(now, out);
        } else {
            self.in_turn(inittab::Action::Ctrlaltdel, now, out);
        }
    }

    /// Starts the next slot of an action when none of them is under way;
    /// returns whether all are done.
    fn in_turn(&mut self, action: inittab::Action, now: Duration, out: &mut Vec<Action>) -> bool {
        let mut todo = self
            .slots
            .iter_mut()
            .filter(|s| s.entry.action == action && s.job != Job::Idle);
        let under_way = |s: &Slot| s.job != Job::Ready;
        let Some(first) = todo.next() else {
            return true;
        };
        let next = if under_way(first) {
            first
        } else {
            todo.find(|s| under_way(s)).unwrap_or(first)
        };
        if next.job.is_due(now) {
            next.start(out);
        }
        false
    }

    /// Starts the once entries, and whatever must run and does not.
    fn keep_running(&mut self, now: Duration, out: &mut Vec<Action>) {
        let frozen = self.frozen;
        for slot in &mut self.slots {
            let wanted = match slot.entry.action {
                inittab::Action::Once => true,
                action => action.respawns() && !frozen,
            };
            if wanted && slot.listed && slot.job.is_due(now) {
                slot.start(out);
            }
        }
    }

    /// One step down after another, until one must wait.
    fn settle_down(&mut self, now: Duration, out: &mut Vec<Action>) {
        while let Phase::Down(fate, down) = &self.phase {
            let (fate, down) = (fate.clone(), down.clone());
            let next = match down {
                Down::Commands {
                    current: Some(current),
                } => self.command_goes_on(current, now, out),
                Down::Commands { current: None } => Some(self.next_command(now, out)),
                Down::Term { until } if until <= now => {
                    out.extend([Action::KillAll, Action::Say(Message::SentKill)]);
                    Some(Down::Kill {
                        until: now.saturating_add(KILL_GRACE),
                    })
                }
                Down::Kill { until } if until <= now => {
                    out.push(Action::Sync);
                    if !matches!(fate, Fate::Restart(_)) {
                        out.push(Action::Say(Message::Requesting(fate.clone())));
                    }
                    out.push(Action::End(fate.clone()));
                    Some(Down::Asked)
                }
                Down::Term { .. } | Down::Kill { .. } | Down::Asked => None,
            };
            let Some(next) = next else { return };
            self.phase = Phase::Down(fate, next);
        }
    }

    /// The next command of the shutdown, or TERM for everybody after the last.
    fn next_command(&mut self, now: Duration, out: &mut Vec<Action>) -> Down {
        let is_next =
            |s: &&mut Slot| s.entry.action == inittab::Action::Shutdown && s.job != Job::Idle;
        let Some(slot) = self.slots.iter_mut().find(is_next) else {
            out.extend([
                Action::Say(Message::GoingDown),
                Action::TermAll,
                Action::Say(Message::SentTerm),
                Action::Sync,
            ]);
            let until = now.saturating_add(self.grace);
            return Down::Term { until };
        };
        if slot.job.is_due(Duration::MAX) {
            slot.start(out);
        }
        let until = now.saturating_add(slot.limit());
        let current = Current {
            id: slot.id,
            until,
            killed: false,
        };
        Down::Commands {
            current: Some(current),
        }
    }

    /// What becomes of the current command; `None`: wait on.
    fn command_goes_on(
        &mut self,
        current: Current,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Option<Down> {
        let over = Some(Down::Commands { current: None });
        let Some(slot) = self.slot(current.id).filter(|s| s.job != Job::Idle) else {
            return over;
        };
        if now < current.until {
            if slot.job.is_due(now) {
                slot.start(out);
            }
            return None;
        }
        match slot.job {
            Job::Running { pid, .. } if !current.killed => {
                out.push(Action::Say(Message::TooLong {
                    command: slot.entry.command.clone(),
                    limit: slot.limit(),
                }));
                out.push(Action::KillGroup(pid));
                let current = Current {
                    until: now.saturating_add(KILL_GRACE),
                    killed: true,
                    ..current
                };
                Some(Down::Commands {
                    current: Some(current),
                })
            }
            // It cannot be killed, or cannot be started: go on without it.
            _ => {
                slot.job = Job::Idle;
                over
            }
        }
    }
}

impl Slot {
    fn start(&mut self, out: &mut Vec<Action>) {
        self.job = Job::Starting;
        out.push(Action::Start {
            id: self.id,
            entry: self.entry.clone(),
            quiet: self.failures >= QUIET_AFTER,
        });
    }

    fn limit(&self) -> Duration {
        if self.id == Id::STAGE3 {
            STAGE3_LIMIT
        } else {
            SHUTDOWN_LIMIT
        }
    }

    /// The same slot under a new line of the inittab.
    fn listed_as(self, entry: Entry, first_job: Job) -> Self {
        let keeps = self.job.has_process() || self.entry.action == entry.action;
        Self {
            job: if keeps { self.job } else { first_job },
            entry,
            listed: true,
            ..self
        }
    }

    /// Its process has ended.
    fn ended(
        &mut self,
        pid: Pid,
        ended: Ended,
        now: Duration,
        going_down: bool,
        out: &mut Vec<Action>,
    ) {
        let Job::Running { since, .. } = self.job else {
            return;
        };
        let again = self.entry.action.respawns() && self.listed && !going_down;
        let short = again && now.saturating_sub(since) < SHORT_LIFE;
        self.failures = if short {
            self.failures.saturating_add(1)
        } else {
            0
        };
        self.job = match (again, short) {
            (false, _) => Job::Idle,
            (true, false) => Job::Ready,
            (true, true) => Job::Resting {
                until: now.saturating_add(rest(self.failures)),
            },
        };
        // On the way down everybody ends, and only the commands of the shutdown are news.
        let is_news = !going_down || self.entry.action == inittab::Action::Shutdown;
        if is_news && self.failures <= QUIET_AFTER {
            out.push(Action::Say(Message::Exited {
                command: self.entry.command.clone(),
                pid,
                ended,
                again,
            }));
        }
        if self.failures == QUIET_AFTER {
            out.push(Action::Say(Message::EndsAtOnce {
                command: self.entry.command.clone(),
            }));
        }
    }
}
