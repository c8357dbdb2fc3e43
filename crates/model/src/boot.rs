//! The life of a machine: boot, run, shut down, end.
//!
//! # In prose
//!
//! The machine holds one slot for each inittab entry. A slot is idle, ready to
//! be started, being started, running, or resting until it may be tried again.
//!
//! It *boots*: the sysinit entries run one after another, then the wait entries likewise.
//! A failed entry is reported and the boot continues. Then it *runs*: the once entries
//! start together, and the respawn and askfirst entries are kept running. A command that
//! lived less than [`SHORT_LIFE`] rests for [`rest`] before it is started again, and so
//! does one for which the kernel had no process; a command that lived longer starts again
//! at once. A slot that keeps failing is reported once, and then no more until it has
//! lived longer again. When every slot that is to be kept running has failed
//! [`RESCUE_AFTER`] times in a row, or waits for its terminal, root's shell is offered on the console, as one more
//! such slot.
//!
//! Signals are answered in every state, at once, also while a sysinit entry hangs: INT
//! runs the ctrlaltdel entries one after another, TSTP stops respawning until CONT, HUP
//! reads the inittab again, and USR1 or PWR (halt), TERM (reboot), USR2 (poweroff), 40
//! (kexec) and QUIT (become the restart entry, if there is one) take the machine *down*. The first
//! request wins; after it no signal changes anything. 35 takes a machine that is up to *single-user
//! mode*: root's shell on the console, and nothing else.
//!
//! Down: [`STAGE3`] and then the shutdown entries run one after another, each
//! for a bounded time, after which its process group is killed. Then every
//! process gets TERM; as soon as none is left, or when the grace is over, every
//! process gets KILL; once more the machine waits until none is left, for at
//! most [`KILL_GRACE`](crate::descent::KILL_GRACE); then it asks the kernel for the end. If the kernel
//! refuses (a container), the machine ends by exiting.
//!
//! The way to single-user mode is the way down without an end. The shutdown entries do not run,
//! because they unmount, and stage 3 is told so. Signals are answered as in a machine that is up, but
//! nothing starts; a request for an end replaces this one. After KILL, root's shell is started; when
//! it ends, the wait entries, the once entries and those that are kept running start again, as after
//! sysinit, and their failures are forgotten.
//!
//! A respawn or askfirst entry whose terminal is not there is not started: it waits for the
//! terminal, and looks again after [`REST_MAX`] if nobody says that a device has appeared.
//!
//! A reload keeps the slots of entries that stay, by command and terminal. An
//! entry that vanished is forgotten when its process ends; sysinit, wait and
//! once entries that appear after their turn do not run.
//!
//! # The contract with the loop
//!
//! [`Life::step`] is total and pure. Each [`Action::Start`] must be answered
//! by [`Event::Started`], [`Event::StartFailed`], [`Event::NoTerminal`] or
//! [`Event::NoStage3`], each
//! [`Action::ReadInittab`] by [`Event::Inittab`], and an [`Action::End`] that
//! comes back by [`Event::Refused`]. [`News::Tick`] is due at
//! [`Life::deadline`], and once at the start. Times are moments on the boot clock.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::format::inittab::{self, Entry};
use crate::pid1::{Account, End, Life, News, Signal};
use crate::process::Exit;
use crate::process::Pid;
use crate::time::Instant;

mod down;
pub mod handover;
mod message;
mod single;
mod slot;
#[cfg(test)]
mod tests;
mod up;

use down::Down;
pub use message::Message;
pub use slot::rest;
use slot::{Job, Slot};

/// A life shorter than this is a failure.
pub const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The longest rest between two attempts.
pub const REST_MAX: Duration = Duration::from_secs(30);
/// From this many failures in a row on, a slot is quiet.
pub const QUIET_AFTER: u8 = 3;
/// When everything has failed so often in a row, nobody can reach the machine but by a rescue.
pub const RESCUE_AFTER: u8 = 4;
/// How long stage 3 may take.
pub const STAGE3_LIMIT: Duration = Duration::from_mins(3);
/// How long a shutdown entry may take.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_mins(1);
/// What runs before the shutdown entries, if it is there and executable.
pub const STAGE3: &[u8] = b"/etc/runit/3";
/// It on the way to single-user mode: a script that unmounts must not do so then.
const STAGE3_SINGLE: &[u8] = b"/etc/runit/3 single";

/// A slot, for its whole life; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// The slot of [`STAGE3`], which may be absent.
    pub const STAGE3: Self = Self(0);
    /// The slot of root's shell in single-user mode.
    pub const SHELL: Self = Self(1);

    /// Whether no entry of the inittab has it.
    const fn is_own(self) -> bool {
        self.0 <= Self::SHELL.0
    }
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
    /// Start the kernel that is loaded.
    Kexec,
    /// PID 1 becomes this command; the kernel stays.
    Restart(Entry),
}

impl From<End> for Fate {
    fn from(end: End) -> Self {
        match end {
            End::Halt => Self::Halt,
            End::Poweroff => Self::Poweroff,
            End::Reboot => Self::Reboot,
            End::Kexec => Self::Kexec,
        }
    }
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What happens to any PID 1.
    News(News),
    /// The command of the slot runs.
    Started(Id, Pid),
    /// The kernel gave no process, for this reason.
    StartFailed(Id, String),
    /// There is no stage 3 to run, which is no failure.
    NoStage3,
    /// The terminal of a respawn or askfirst entry is not there; when it appears,
    /// [`News::Device`] comes.
    NoTerminal(Id),
    /// The inittab as it is now; none when it cannot be used.
    Inittab(Option<Vec<Entry>>),
    /// The kernel (or the exec) refused the end, for this reason.
    Refused(String),
}

impl From<News> for Event {
    fn from(news: News) -> Self {
        Self::News(news)
    }
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
    /// Tell the records of logins.
    Account(Account),
    /// Read the inittab.
    ReadInittab,
    /// End as the fate says.
    End(Fate),
    /// Exit: what is left when the kernel refuses the end.
    Exit,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// The sysinit entries run in turn.
    Sysinit,
    /// The wait entries run in turn.
    Wait,
    /// The machine is up.
    Run,
    /// It goes down to its end, or, without one, to single-user mode.
    Down(Option<Fate>, Down),
    /// Root's shell has it.
    Single,
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

impl Machine {
    /// A machine that boots when it gets its first [`News::Tick`]. `grace` is
    /// the time between TERM and KILL for processes that do not end.
    pub fn boot(entries: Vec<Entry>, grace: Duration) -> Self {
        let stage3 = Entry::on_console(inittab::Action::Shutdown, STAGE3);
        let stage3 = Slot::new(Id::STAGE3, stage3, Job::Idle);
        let mut machine = Self {
            phase: Phase::Sysinit,
            slots: alloc::vec![stage3],
            next_id: Id::SHELL.0 + 1,
            frozen: false,
            grace,
        };
        machine.list(entries);
        machine
    }

    fn is_going_down(&self) -> bool {
        matches!(self.phase, Phase::Down(..))
    }

    fn signal(&mut self, signal: Signal, out: &mut Vec<Action>) {
        if let Some(fate) = self.fate(signal) {
            if !self.goes_down() {
                self.go_down(Some(fate));
                out.push(Action::Account(Account::GoesDown));
            }
            return;
        }
        if self.goes_down() {
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
            Signal::Single => self.single(out),
            // Without a restart entry, QUIT means nothing.
            _ => {}
        }
    }

    /// The end that a signal asks for.
    fn fate(&self, signal: Signal) -> Option<Fate> {
        match signal {
            Signal::Usr1 | Signal::Pwr => Some(Fate::Halt),
            Signal::Term => Some(Fate::Reboot),
            Signal::Usr2 => Some(Fate::Poweroff),
            Signal::Kexec => Some(Fate::Kexec),
            Signal::Quit => {
                let restarts = |s: &&Slot| s.entry.action == inittab::Action::Restart;
                let slot = self.slots.iter().find(restarts);
                slot.map(|slot| Fate::Restart(slot.entry.clone()))
            }
            Signal::Int | Signal::Tstp | Signal::Cont | Signal::Hup | Signal::Single => None,
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

    fn slot(&mut self, id: Id) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|s| s.id == id)
    }

    fn started(&mut self, id: Id, pid: Pid, now: Instant) {
        if let Some(slot) = self.slot(id) {
            slot.job = Job::Running { pid, since: now };
            slot.is_told_absent = false;
        }
    }

    fn start_failed(&mut self, id: Id, reason: String, now: Instant, out: &mut Vec<Action>) {
        if let Some(slot) = self.slot(id).filter(|s| s.job == Job::Starting) {
            slot.start_failed(reason, now, out);
        }
    }

    fn no_stage3(&mut self) {
        if let Some(slot) = self.slot(Id::STAGE3).filter(|s| s.job == Job::Starting) {
            slot.job = Job::Idle;
        }
    }

    fn no_terminal(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        if let Some(slot) = self.slot(id).filter(|s| s.job == Job::Starting) {
            slot.no_terminal(now, out);
        }
        self.offer_rescue(out);
    }

    fn a_device_appeared(&mut self) {
        for slot in &mut self.slots {
            if matches!(slot.job, Job::Absent { .. }) {
                slot.job = Job::Ready;
            }
        }
    }

    fn exited(&mut self, pid: Pid, ended: Exit, now: Instant, out: &mut Vec<Action>) {
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
            if !self.goes_down() {
                out.push(Action::Account(Account::Ended(pid)));
            }
        }
        self.offer_rescue(out);
    }

    /// Whether the slot may be started in this phase.
    fn has_turn(&self, slot: &Slot) -> bool {
        use inittab::Action as A;
        match (&self.phase, slot.entry.action) {
            (Phase::Sysinit, A::Sysinit) | (Phase::Wait, A::Wait) | (Phase::Run, A::Once) => true,
            (_, A::Ctrlaltdel) => !self.goes_down(),
            (Phase::Single, _) => slot.id == Id::SHELL,
            (Phase::Run, A::Respawn | A::Askfirst) => slot.listed && !self.frozen,
            (Phase::Down(_, Down::Commands { current: Some(c) }), _) => c.id == slot.id,
            _ => false,
        }
    }

    /// Does what is due now.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.settle_down(now, out);
        if self.phase == Phase::Single && self.shell_is_over(now, out) {
            self.come_up_again();
        }
        if self.phase == Phase::Sysinit && self.in_turn(inittab::Action::Sysinit, now, out) {
            self.phase = Phase::Wait;
            out.push(Action::Account(Account::Booted));
        }
        if self.phase == Phase::Wait && self.in_turn(inittab::Action::Wait, now, out) {
            self.phase = Phase::Run;
        }
        if self.phase == Phase::Run {
            self.keep_running(now, out);
        }
        if !self.goes_down() {
            self.in_turn(inittab::Action::Ctrlaltdel, now, out);
        }
    }
}

impl Life for Machine {
    type Event = Event;
    type Action = Action;

    fn step(mut self, now: Instant, event: Event) -> (Self, Vec<Action>) {
        let mut out = Vec::new();
        match event {
            Event::News(News::Signal(signal)) => self.signal(signal, &mut out),
            Event::News(News::Exited(pid, ended)) => self.exited(pid, ended, now, &mut out),
            Event::News(News::NoChildren) => self.no_process_is_left(now),
            Event::Started(id, pid) => self.started(id, pid, now),
            Event::StartFailed(id, reason) => self.start_failed(id, reason, now, &mut out),
            Event::NoStage3 => self.no_stage3(),
            Event::NoTerminal(id) => self.no_terminal(id, now, &mut out),
            Event::News(News::Device) => self.a_device_appeared(),
            Event::Inittab(Some(entries)) if !self.goes_down() => self.list(entries),
            Event::Refused(reason) => self.refused(reason, &mut out),
            Event::Inittab(_) | Event::News(News::Tick) => {}
        }
        self.settle(now, &mut out);
        (self, out)
    }

    fn deadline(&self) -> Option<Instant> {
        let rests = |slot: &Slot| match slot.job {
            Job::Resting { until } | Job::Absent { until } if self.has_turn(slot) => Some(until),
            _ => None,
        };
        let of_phase = match &self.phase {
            Phase::Down(_, down) => down.deadline(),
            Phase::Sysinit | Phase::Wait | Phase::Run | Phase::Single => None,
        };
        self.slots.iter().filter_map(rests).chain(of_phase).min()
    }

    fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Run | Phase::Single)
    }

    fn goes_down(&self) -> bool {
        matches!(self.phase, Phase::Down(Some(_), _))
    }

    fn waits_for_a_device(&self) -> bool {
        let waits = |slot: &Slot| matches!(slot.job, Job::Absent { .. });
        !self.is_going_down() && self.slots.iter().any(waits)
    }

    fn waits_for_the_last_process(&self) -> bool {
        let Phase::Down(_, Down::Last(descent)) = self.phase else {
            return false;
        };
        descent.waits_for_the_last_process()
    }

    fn handover(&self) -> String {
        self.line_for_a_successor()
    }
}
