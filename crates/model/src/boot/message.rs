//! What PID 1 says: the texts, which are busybox's where it has one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::time::Duration;

use super::{Fate, REST_MAX};
use crate::process::Exit;
use crate::process::Pid;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The inittab is read again.
    Reloading,
    /// A command ended.
    Exited {
        /// What ran.
        command: Vec<u8>,
        /// Its pid.
        pid: Pid,
        /// How it ended.
        ended: Exit,
        /// Whether it is started again.
        again: bool,
    },
    /// A command ends again and again just after its start; said once.
    EndsAtOnce {
        /// What is to run.
        command: Vec<u8>,
    },
    /// No entry that is to be kept running stays up; root's shell is offered.
    NothingStaysUp,
    /// The terminal of a command is not there; said once.
    NoTerminal {
        /// Its name below /dev.
        tty: Vec<u8>,
        /// What is to run.
        command: Vec<u8>,
    },
    /// The kernel gave no process; said once.
    NoProcess {
        /// What is to run.
        command: Vec<u8>,
        /// The kernel's reason.
        reason: String,
    },
    /// A command of the shutdown used up its time and is killed.
    TooLong {
        /// What ran.
        command: Vec<u8>,
        /// How long it could.
        limit: Duration,
    },
    /// The shutdown commands have run.
    GoingDown,
    /// The way to single-user mode has begun.
    GoingSingle,
    /// Single-user mode was asked for before the boot was over.
    NotUpYet,
    /// Single-user mode was asked for again.
    AlreadySingle,
    /// Every process has got TERM.
    SentTerm,
    /// Every process has got KILL.
    SentKill,
    /// The kernel is asked for the end.
    Requesting(Fate),
    /// The kernel refused it.
    Refused {
        /// What was asked for.
        fate: Fate,
        /// The kernel's reason.
        reason: String,
    },
}

impl Message {
    /// Whether it belongs on the console; if not, the log is enough.
    pub fn is_for_the_console(&self) -> bool {
        !matches!(
            self,
            Self::Exited { again: true, .. }
                | Self::Exited {
                    ended: Exit::Code(0),
                    ..
                }
        )
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::Reloading => f.write_str("reloading /etc/inittab"),
            Self::Exited {
                command,
                pid,
                ended,
                again,
            } => {
                write!(f, "process '{}' (pid {pid}) ", text(command))?;
                match ended {
                    Exit::Code(code) => write!(f, "exited, exitcode:{code}.")?,
                    killed => write!(f, "killed, signal:{}.", killed.signal().unwrap_or(0))?,
                }
                f.write_str(if *again {
                    " Scheduling for restart."
                } else {
                    ""
                })
            }
            Self::EndsAtOnce { command } => write!(
                f,
                "process '{}' ends again and again within a second of its start; \
                 it is tried on, up to {} s apart, without further words",
                text(command),
                REST_MAX.as_secs()
            ),
            Self::NothingStaysUp => f.write_str(
                "nothing stays up that is to be kept running: \
                 press Enter on the console for root's shell",
            ),
            Self::NoTerminal { tty, command } => write!(
                f,
                "/dev/{} is not there: '{}' starts when it appears",
                text(tty),
                text(command)
            ),
            Self::NoProcess { command, reason } => write!(
                f,
                "can't start '{}' yet: fork: {reason}; trying again",
                text(command)
            ),
            Self::TooLong { command, limit } => write!(
                f,
                "'{}' still runs after {} s: killed",
                text(command),
                limit.as_secs()
            ),
            Self::GoingDown => f.write_str("The system is going down NOW!"),
            Self::GoingSingle => f.write_str("The system is going to single-user mode NOW!"),
            Self::NotUpYet => f.write_str("the boot is not over: no single-user mode yet"),
            Self::AlreadySingle => f.write_str("single-user mode was asked for already"),
            Self::SentTerm => f.write_str("Sent SIGTERM to all processes"),
            Self::SentKill => f.write_str("Sent SIGKILL to all processes"),
            Self::Requesting(fate) => write!(f, "Requesting system {}", fate.name()),
            Self::Refused { fate, reason } => write!(f, "{} failed: {reason}", fate.name()),
        }
    }
}

impl Fate {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Reboot => "reboot",
            Self::Poweroff => "poweroff",
            Self::Kexec => "kexec",
            Self::Restart(_) => "restart",
        }
    }
}
