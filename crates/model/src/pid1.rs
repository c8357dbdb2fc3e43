//! The events of every PID 1, and what its loop must know.
//!
//! `init` ([`crate::boot`]) and `runit` ([`crate::stages`]) are two lives of a machine.
//! One loop drives both: it hands in events, performs the actions that come back, and
//! waits for the next [`News`] or for [`Life::deadline`]. Times are moments on the boot clock.

use alloc::string::String;
use alloc::vec::Vec;

use crate::process::{Exit, Pid};
use crate::time::Instant;

/// The signals that may mean something to a PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-Alt-Del.
    Int,
    /// Stop respawning.
    Tstp,
    /// Respawn again; to runit, look at its files.
    Cont,
    /// Become the restart entry.
    Quit,
    /// Read the inittab again.
    Hup,
    /// Halt.
    Usr1,
    /// The power fails.
    Pwr,
    /// Reboot.
    Term,
    /// Power off.
    Usr2,
    /// Start the kernel that is loaded.
    Kexec,
    /// Stop everything but root's shell.
    Single,
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Stop, with the power on.
    Halt,
    /// Turn the power off.
    Poweroff,
    /// Start again.
    Reboot,
    /// Start the kernel that is loaded (kexec(8)), without the firmware.
    Kexec,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Halt, Self::Poweroff, Self::Reboot, Self::Kexec];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Kexec => "kexec",
        }
    }

    /// The end of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// What happens to any PID 1, unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A signal came.
    Signal(Signal),
    /// A child was reaped, known or not.
    Exited(Pid, Exit),
    /// PID 1 has no child: no process is left.
    NoChildren,
    /// Something has appeared where a device is waited for ([`Life::waits_for_a_device`]).
    Device,
    /// The deadline is reached, or may be.
    Tick,
}

/// What the records of logins and boots (utmp(5)) are told, if the machine keeps any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The machine has booted.
    Booted,
    /// It goes down.
    GoesDown,
    /// A process has ended that may have been somebody's login.
    Ended(Pid),
}

/// The life of a machine, as PID 1 leads it.
pub trait Life: Sized {
    /// What happens to it: news, and the answers to its actions.
    type Event: From<News>;
    /// What is to be done.
    type Action;

    /// What follows from an event: total and pure.
    #[must_use]
    fn step(self, now: Instant, event: Self::Event) -> (Self, Vec<Self::Action>);

    /// When the next [`News::Tick`] is due, if no other event comes first.
    fn deadline(&self) -> Option<Instant>;

    /// Whether the boot is over and nothing takes the machine down: then
    /// [`Life::handover`] says all that there is to say.
    fn is_up(&self) -> bool;

    /// Whether the machine is on its way down.
    fn goes_down(&self) -> bool;

    /// Whether [`News::Device`] would change anything; otherwise nobody need watch for devices.
    fn waits_for_a_device(&self) -> bool {
        false
    }

    /// Whether [`News::NoChildren`] would change anything; otherwise it need not be sent.
    fn waits_for_the_last_process(&self) -> bool;

    /// The line for a successor.
    fn handover(&self) -> String;
}
