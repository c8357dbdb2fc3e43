//! The life of a machine in three stages, as runit's PID 1 leads it.
//!
//! # In prose
//!
//! Stage 1 does the one-time tasks; when it crashes or exits 100, stage 2 is
//! skipped. Stage 2 runs until the machine goes down; when it crashes or exits
//! 111, what is left of its process group is killed, and it is started again
//! after [`PAUSE`]. However else it ends, stage 3 follows, and then the end.
//!
//! Stage 2 is asked to end by CONT when [`STOPIT`] is executable; [`REBOOT`] then says
//! whether the machine starts again or is powered off. PWR, a power failure, powers it
//! off, whatever that says. USR1 (halt), USR2 (poweroff), TERM (reboot) and 40 (kexec)
//! say it themselves; they work in stage 1, too, for a hung boot. The first request wins.
//! INT runs [`CTRLALTDEL`] in stage 2; its end counts as a CONT. The stage that is to end
//! gets TERM, and KILL after [`STOP_GRACE`].
//!
//! Stage 3 may take [`STAGE3_LIMIT`]; then its process group is killed. Then
//! every process gets TERM; as soon as none is left, or when the grace is over,
//! every process gets KILL; once more the machine waits until none is left, for
//! at most [`KILL_GRACE`](crate::descent::KILL_GRACE); then it asks the kernel for the end. When the kernel
//! refuses to power off it is asked to halt, and when it has no other kernel to start, to
//! reboot; when it refuses that (a container), the machine ends by exiting.
//!
//! 35 in stage 2 takes the machine to *single-user mode*. Stage 2 ends as on the way down, and every
//! process gets TERM and KILL, but there is no stage 3, because existing ones unmount, and no end:
//! root's shell is started, and when it ends, stage 2 again. A request for an end replaces this
//! one at any time, and is answered as in stage 2.
//!
//! [`REBOOT`] is looked at before and after stage 3, and the last answer counts:
//! stage 3 may have changed it, or may have unmounted what it is on.
//!
//! # The contract with the loop
//!
//! [`Life::step`] is total and pure. Each [`Action::Start`] must be answered by
//! [`Event::Started`], [`Event::StartFailed`] or [`Event::NoCtrlAltDel`], each
//! [`Action::TakeStopit`] by [`Event::Stopit`], each [`Action::LookAtReboot`] by
//! [`Event::Reboot`], and an [`Action::End`] that comes back by
//! [`Event::Refused`]. [`News::Tick`] is due at [`Life::deadline`], and once
//! at the start. Times are durations since boot.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::descent::Descent;
use crate::pid1::{Account, End, Life, News, Signal};
use crate::process::Exit;
use crate::process::Pid;
use crate::time::Instant;

mod ending;
mod handover;
mod message;
mod single;
#[cfg(test)]
mod tests;

pub use message::Message;

/// How long a stage that was told to end may go on before it is killed (runit's).
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// From the crash of stage 2 to its next start (runit's), and between two attempts to start a stage.
pub const PAUSE: Duration = Duration::from_secs(5);
/// How long stage 3 may take. (Debian's alone waits up to 196 s for services.)
pub const STAGE3_LIMIT: Duration = Duration::from_mins(10);
/// If its owner may execute it, CONT shuts the machine down.
pub const STOPIT: &str = "/etc/runit/stopit";
/// Executable by its owner: the machine starts again.
pub const REBOOT: &str = "/etc/runit/reboot";
/// Executable by its owner: what Ctrl-Alt-Del runs.
pub const CTRLALTDEL: &str = "/etc/runit/ctrlaltdel";

/// The exit code of stage 1 that skips stage 2.
const SKIP: Exit = Exit::Code(100);
/// The exit code of stage 2 that starts it again.
const AGAIN: Exit = Exit::Code(111);
/// Stages 1 and 2 may take as long as they like.
const NO_LIMIT: Instant = Instant::MAX;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The one-time tasks of the boot.
    One,
    /// The services.
    Two,
    /// The tasks of the shutdown.
    Three,
}

/// What PID 1 starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// A stage.
    Stage(Stage),
    /// The answer to Ctrl-Alt-Del.
    CtrlAltDel,
    /// Root's shell on the console.
    Shell,
}

impl Script {
    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Stage(Stage::One) => "/etc/runit/1",
            Self::Stage(Stage::Two) => "/etc/runit/2",
            Self::Stage(Stage::Three) => "/etc/runit/3",
            Self::CtrlAltDel => CTRLALTDEL,
            Self::Shell => "sulogin",
        }
    }
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What happens to any PID 1.
    News(News),
    /// The script runs.
    Started(Script, Pid),
    /// The kernel gave no process, for this reason.
    StartFailed(Script, String),
    /// [`CTRLALTDEL`] is absent or not executable.
    NoCtrlAltDel,
    /// Whether [`STOPIT`] was executable.
    Stopit(bool),
    /// Whether [`REBOOT`] is executable; none when it cannot be found.
    Reboot(Option<bool>),
    /// The kernel refused the end, for this reason.
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
    /// Start it.
    Start(Script),
    /// Say it.
    Say(Message),
    /// Send TERM to this child.
    Term(Pid),
    /// Send KILL to this child.
    Kill(Pid),
    /// Send KILL to the process group of this child, which may have ended.
    KillGroup(Pid),
    /// Tell whether [`STOPIT`] is executable, and make it no longer so.
    TakeStopit,
    /// Tell whether [`REBOOT`] is executable.
    LookAtReboot,
    /// Make [`REBOOT`] executable or not, so that stage 3 knows what comes.
    SetReboot(bool),
    /// Send TERM to every process.
    TermAll,
    /// Send KILL to every process.
    KillAll,
    /// Tell the records of logins.
    Account(Account),
    /// Write the file systems to disk, unless that is not wanted.
    Sync,
    /// End as the fate says.
    End(End),
    /// Exit: what is left when the kernel refuses the end.
    Exit,
}

/// Where a stage is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    /// To be started, but not before.
    Resting(Instant),
    /// The start was asked for.
    Starting,
    /// It runs.
    Running(Pid),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// A stage, for so long.
    In {
        stage: Stage,
        job: Job,
        limit: Instant,
    },
    /// A stage was told to end.
    Ending {
        stage: Stage,
        pid: Pid,
        until: Instant,
        killed: bool,
    },
    /// The stages are over; what follows is the end, or root's shell.
    Last(Descent),
    /// Root's shell has the machine.
    Shell(Job),
}

/// Why the machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wish {
    /// It is to end like this.
    For(End),
    /// It is to end as [`REBOOT`] says.
    AsRebootSays,
    /// It is not to end, but to be root's alone.
    Single,
}

/// Where [`CTRLALTDEL`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CtrlAltDel {
    Idle,
    Starting,
    Running(Pid),
}

/// The machine; see the top of this file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stages {
    phase: Phase,
    wish: Option<Wish>,
    /// What [`REBOOT`] said last.
    reboot: bool,
    ctrl_alt_del: CtrlAltDel,
    grace: Duration,
}

impl Stages {
    /// A machine that boots when it gets its first [`News::Tick`]. `grace` is
    /// the time between the last TERM and the last KILL.
    pub fn boot(grace: Duration) -> Self {
        Self {
            phase: Phase::In {
                stage: Stage::One,
                job: Job::Resting(Instant::default()),
                limit: NO_LIMIT,
            },
            wish: None,
            reboot: false,
            ctrl_alt_del: CtrlAltDel::Idle,
            grace,
        }
    }

    fn stage(&self) -> Option<Stage> {
        match self.phase {
            Phase::In { stage, .. } => Some(stage),
            _ => None,
        }
    }

    fn signal(&mut self, signal: Signal, now: Instant, out: &mut Vec<Action>) {
        let fate = match signal {
            Signal::Usr1 => Some(End::Halt),
            Signal::Usr2 => Some(End::Poweroff),
            Signal::Term => Some(End::Reboot),
            Signal::Kexec => Some(End::Kexec),
            Signal::Int | Signal::Cont | Signal::Pwr | Signal::Single => None,
            // They mean nothing to runit.
            Signal::Tstp | Signal::Quit | Signal::Hup => return,
        };
        let stage = self.stage().or(self.is_single().then_some(Stage::Two));
        match (stage, signal, fate) {
            (None, ..) => {} // It is on its way already.
            (Some(Stage::One | Stage::Two), _, Some(fate)) => self.wish_for(fate, now, out),
            (Some(Stage::Two), Signal::Int, _) => {
                if self.ctrl_alt_del == CtrlAltDel::Idle {
                    self.ctrl_alt_del = CtrlAltDel::Starting;
                    out.push(Action::Say(Message::CtrlAltDel));
                    out.push(Action::Start(Script::CtrlAltDel));
                }
            }
            (Some(Stage::Two), Signal::Cont, _) => out.push(Action::TakeStopit),
            (Some(Stage::Two), Signal::Single, _) if self.is_single() => {
                out.push(Action::Say(Message::AlreadySingle));
            }
            (Some(Stage::Two), Signal::Single, _) => self.go_down(Wish::Single, now, out),
            (Some(Stage::Two), ..) => self.go_down(Wish::For(End::Poweroff), now, out),
            (Some(Stage::One | Stage::Three), ..) => {
                out.push(Action::Say(Message::OnlyInStage2));
            }
        }
    }

    fn wish_for(&mut self, fate: End, now: Instant, out: &mut Vec<Action>) {
        if self.wish.is_none() || self.is_single() {
            self.go_down(Wish::For(fate), now, out);
            out.push(Action::SetReboot(matches!(fate, End::Reboot | End::Kexec)));
        }
    }

    /// The first end wins, and any goes before single-user mode.
    fn go_down(&mut self, wish: Wish, now: Instant, out: &mut Vec<Action>) {
        let was_single = self.is_single();
        if was_single || self.wish.is_none() {
            self.wish = Some(wish);
        }
        if was_single && matches!(self.phase, Phase::Last(_) | Phase::Shell(_)) {
            self.enter(Stage::Three, now, out);
        }
    }

    fn started(&mut self, script: Script, pid: Pid) {
        match (script, &mut self.phase) {
            (Script::Stage(started), Phase::In { stage, job, .. }) if started == *stage => {
                *job = Job::Running(pid);
            }
            (Script::CtrlAltDel, _) => self.ctrl_alt_del = CtrlAltDel::Running(pid),
            (Script::Shell, Phase::Shell(job)) => *job = Job::Running(pid),
            _ => {}
        }
    }

    fn start_failed(
        &mut self,
        script: Script,
        reason: String,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::Say(Message::NoProcess { script, reason }));
        match (script, &mut self.phase) {
            (Script::Stage(failed), Phase::In { stage, job, .. }) if failed == *stage => {
                *job = Job::Resting(now.plus(PAUSE));
            }
            (Script::CtrlAltDel, _) => self.ctrl_alt_del = CtrlAltDel::Idle,
            (Script::Shell, Phase::Shell(job)) => *job = Job::Resting(now.plus(PAUSE)),
            _ => {}
        }
    }

    fn exited(&mut self, pid: Pid, ended: Exit, now: Instant, out: &mut Vec<Action>) {
        if self.ctrl_alt_del == CtrlAltDel::Running(pid) {
            self.ctrl_alt_del = CtrlAltDel::Idle;
            if self.stage() == Some(Stage::Two) || self.is_single() {
                out.push(Action::TakeStopit);
            }
            return;
        }
        match self.phase {
            Phase::In {
                stage,
                job: Job::Running(own),
                ..
            } if own == pid => {
                out.push(Action::Say(Message::Leave(stage)));
                self.stage_ended(stage, pid, ended, now, out);
            }
            Phase::Ending {
                stage, pid: own, ..
            } if own == pid => {
                out.push(Action::Say(Message::Leave(stage)));
                self.after(stage, now, out);
            }
            Phase::Shell(Job::Running(own)) if own == pid => self.shell_is_over(now, out),
            _ => {}
        }
    }

    /// What the end of a stage means that was not asked to end.
    fn stage_ended(
        &mut self,
        stage: Stage,
        pid: Pid,
        ended: Exit,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let crashed = ended.signal().is_some();
        match stage {
            Stage::One if crashed || ended == SKIP => {
                out.push(Action::Say(Message::SkipStage2(ended)));
                self.enter(Stage::Three, now, out);
            }
            Stage::One => {
                out.push(Action::Account(Account::Booted));
                self.enter(Stage::Two, now, out);
            }
            Stage::Two if crashed || ended == AGAIN => {
                out.push(Action::Say(Message::Stage2Again(ended)));
                out.push(Action::KillGroup(pid));
                self.phase = Phase::In {
                    stage,
                    job: Job::Resting(now.plus(PAUSE)),
                    limit: NO_LIMIT,
                };
            }
            Stage::Two | Stage::Three => self.after(stage, now, out),
        }
    }

    fn enter(&mut self, stage: Stage, now: Instant, out: &mut Vec<Action>) {
        let limit = if stage == Stage::Three {
            out.extend([Action::Account(Account::GoesDown), Action::LookAtReboot]);
            now.plus(STAGE3_LIMIT)
        } else {
            NO_LIMIT
        };
        self.phase = Phase::In {
            stage,
            job: Job::Resting(now),
            limit,
        };
    }

    /// Does what is due now; returns whether something more may be.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        match self.phase {
            Phase::In { stage, job, limit }
                if limit <= now || (stage != Stage::Three && self.wish.is_some()) =>
            {
                self.end_stage(stage, job, now, out)
            }
            Phase::In {
                stage,
                job: Job::Resting(until),
                limit,
            } if until <= now => {
                out.push(Action::Say(Message::Enter(stage)));
                out.push(Action::Start(Script::Stage(stage)));
                let job = Job::Starting;
                self.phase = Phase::In { stage, job, limit };
                false
            }
            Phase::Ending {
                stage,
                pid,
                until,
                killed,
            } if until <= now => {
                self.stage_does_not_end(stage, pid, killed, now, out);
                true
            }
            Phase::Last(descent) => {
                self.settle_descent(descent, now, out);
                false
            }
            Phase::Shell(Job::Resting(until)) if until <= now => {
                self.start_shell(out);
                false
            }
            _ => false,
        }
    }
}

impl Life for Stages {
    type Event = Event;
    type Action = Action;

    fn step(mut self, now: Instant, event: Event) -> (Self, Vec<Action>) {
        let mut out = Vec::new();
        match event {
            Event::News(News::Signal(signal)) => self.signal(signal, now, &mut out),
            Event::News(News::Exited(pid, ended)) => self.exited(pid, ended, now, &mut out),
            Event::News(News::NoChildren) => self.no_process_is_left(now),
            Event::Started(script, pid) => self.started(script, pid),
            Event::StartFailed(script, reason) => self.start_failed(script, reason, now, &mut out),
            Event::NoCtrlAltDel => self.ctrl_alt_del = CtrlAltDel::Idle,
            Event::Stopit(true) => self.go_down(Wish::AsRebootSays, now, &mut out),
            Event::Reboot(Some(wanted)) => self.reboot = wanted,
            Event::Refused(reason) => self.refused(reason, &mut out),
            Event::Stopit(false) | Event::Reboot(None) | Event::News(News::Tick | News::Device) => {
            }
        }
        while self.settle(now, &mut out) {}
        (self, out)
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::In {
                job: Job::Resting(until),
                limit,
                ..
            } => Some(until.min(limit)),
            Phase::In { limit, .. } => Some(limit).filter(|limit| *limit != NO_LIMIT),
            Phase::Ending { until, .. } | Phase::Shell(Job::Resting(until)) => Some(until),
            Phase::Last(descent) => descent.deadline(),
            Phase::Shell(_) => None,
        }
    }

    /// Stage 2 runs, or root's shell, and nothing else is under way.
    fn is_up(&self) -> bool {
        let runs = matches!(
            self.phase,
            Phase::In {
                stage: Stage::Two,
                job: Job::Running(_),
                ..
            } | Phase::Shell(Job::Running(_))
        );
        runs && self.ctrl_alt_del == CtrlAltDel::Idle
    }

    fn goes_down(&self) -> bool {
        let goes_on = matches!(self.stage(), Some(Stage::One | Stage::Two)) && self.wish.is_none();
        !goes_on && !self.is_single()
    }

    fn waits_for_the_last_process(&self) -> bool {
        matches!(self.phase, Phase::Last(descent) if descent.waits_for_the_last_process())
    }

    fn handover(&self) -> String {
        self.line_for_a_successor()
    }
}
