//! What PID 1 says of its stages: in runit's words, where it has them.

use alloc::string::String;
use core::fmt::{self, Display};

use super::{End, PAUSE, STAGE3_LIMIT, STOP_GRACE, Script, Stage};
use crate::process::Exit;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A stage starts.
    Enter(Stage),
    /// A stage has ended.
    Leave(Stage),
    /// Stage 1 ended in a way that skips stage 2.
    SkipStage2(Exit),
    /// Stage 2 ended in a way that starts it again.
    Stage2Again(Exit),
    /// Ctrl-Alt-Del was pressed.
    CtrlAltDel,
    /// Root's shell is started.
    Single,
    /// Single-user mode was asked for again.
    AlreadySingle,
    /// A signal came at another time.
    OnlyInStage2,
    /// The kernel gave no process.
    NoProcess {
        /// What was to run.
        script: Script,
        /// The kernel's reason.
        reason: String,
    },
    /// A stage gets TERM.
    TermStage(Stage),
    /// A stage gets KILL because it does not end.
    KillStage(Stage),
    /// A stage gets KILL because it uses up its time.
    TooLong(Stage),
    /// Every process gets TERM.
    SendTerm,
    /// Every process gets KILL.
    SendKill,
    /// The kernel is asked for the end.
    Request(End),
    /// The kernel refused it.
    Refused {
        /// What was asked for.
        fate: End,
        /// The kernel's reason.
        reason: String,
    },
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |stage: &Stage| Script::Stage(*stage).path();
        match self {
            Self::Enter(stage) => write!(f, "enter stage: {}", path(stage)),
            Self::Leave(stage) => write!(f, "leave stage: {}", path(stage)),
            Self::SkipStage2(ended) => write!(f, "stage 1 {ended}: skipping stage 2..."),
            Self::Stage2Again(ended) => write!(
                f,
                "stage 2 {ended}: starting it again in {} s...",
                PAUSE.as_secs()
            ),
            Self::CtrlAltDel => f.write_str("ctrl-alt-del request..."),
            Self::Single => f.write_str("single-user mode; stage 2 follows the shell."),
            Self::AlreadySingle => f.write_str("single-user mode was asked for already."),
            Self::OnlyInStage2 => f.write_str("signals only work in stage 2."),
            Self::NoProcess { script, reason } => {
                write!(f, "unable to fork for {}: {reason}", script.path())
            }
            Self::TermStage(stage) => write!(f, "sending TERM to {}...", path(stage)),
            Self::KillStage(stage) => write!(
                f,
                "{} goes on {} s after TERM: sending KILL...",
                path(stage),
                STOP_GRACE.as_secs()
            ),
            Self::TooLong(stage) => write!(
                f,
                "{} goes on after {} s: sending KILL...",
                path(stage),
                STAGE3_LIMIT.as_secs()
            ),
            Self::SendTerm => f.write_str("sending TERM signal to all processes..."),
            Self::SendKill => f.write_str("sending KILL signal to all processes..."),
            Self::Request(fate) => write!(f, "{fate}..."),
            Self::Refused { fate, reason } => write!(f, "{fate}: refused: {reason}"),
        }
    }
}

impl Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Halt => "system halt",
            Self::Poweroff => "power off",
            Self::Reboot => "system reboot",
            Self::Kexec => "kexec",
        })
    }
}
