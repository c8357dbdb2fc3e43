//! How another process asks PID 1 for the end of the machine, whatever PID 1 is.
//!
//! init, ours or busybox's, takes signals. runit takes the files of [`super::requests`] and CONT;
//! ours takes the signals, too, but runit's own does not. A PID 1 of a container that
//! only passes TERM on, or stops its services, ends by TERM. Any other PID 1 has ways of its
//! own: then the error says which.

use std::path::Path;

use model::pid1::End;

use super::requests;
use crate::sys::signal::{self, Signal};

/// The fifo of sysvinit, whose init is called `init`, too.
const INITCTL: [&str; 2] = ["/run/initctl", "/dev/initctl"];

/// What ends in order when it gets TERM.
const END_BY_TERM: [&str; 7] = [
    "runsvdir",
    "runsv",
    "container",
    "tini",
    "docker-init",
    "dumb-init",
    "catatonit",
];

/// What is told who wants [`End::Kexec`] when there is nothing to start.
pub const NO_KERNEL: &str = "no kernel is loaded; `kexec -l FILE` loads one";

/// What is told who wants single-user mode where it would leave nobody a shell.
pub const NO_SINGLE: &str = "a container that may not reboot has no single-user mode";

/// What PID 1 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// It takes the signals of busybox's init.
    Init,
    /// It takes the files of runit.
    Runit,
    /// It ends in order by TERM.
    EndsByTerm,
    /// It is none of ours; its name.
    Other(String),
}

/// Looks what PID 1 is: by its name, as tools do. Without /proc it is believed to be init.
pub fn first() -> First {
    let Ok(name) = std::fs::read_to_string("/proc/1/comm") else {
        return First::Init;
    };
    match name.trim_end() {
        "init" | "linuxrc" if INITCTL.iter().any(|fifo| Path::new(fifo).exists()) => {
            First::Other("sysvinit".to_owned())
        }
        "init" | "linuxrc" => First::Init,
        "runit" => First::Runit,
        name if END_BY_TERM.contains(&name) => First::EndsByTerm,
        name => First::Other(name.to_owned()),
    }
}

/// Asks PID 1 for the end.
///
/// # Errors
/// What was tried, why it failed, and what to do, in words.
pub fn ask(end: End) -> Result<(), String> {
    match (first(), end) {
        (First::Runit, End::Poweroff) => requests::ask(false),
        (First::Runit, End::Reboot) => requests::ask(true),
        (First::Init | First::Runit, end) => send(signal_of(end)),
        (First::EndsByTerm, _) => send(signal::SIGTERM),
        (First::Other(name), _) => Err(other(&name)),
    }
    .map_err(|trouble| trouble + advice())
}

/// The signal by which init is asked.
pub const fn signal_of(end: End) -> Signal {
    match end {
        End::Halt => signal::SIGUSR1,
        End::Poweroff => signal::SIGUSR2,
        End::Reboot => signal::SIGTERM,
        End::Kexec => signal::KEXEC,
    }
}

/// Sends a signal to PID 1.
///
/// # Errors
/// As [`ask`].
pub fn send(signal: Signal) -> Result<(), String> {
    signal::kill(1, signal).map_err(|e| format!("signal PID 1: {e}"))
}

/// Why a PID 1 of this name is not asked, and who is.
pub fn other(name: &str) -> String {
    let next = match name {
        "systemd" => "`systemctl` commands it",
        "sysvinit" => "its own `telinit` and `shutdown` command it",
        _ => "in a container, stop that from outside; `reboot -f` and `poweroff -f` ask the kernel",
    };
    format!("PID 1 is {name}, neither init nor runit: {next}")
}

/// What to add to a failure.
pub fn advice() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "" // A container without the right to it: nothing to advise.
    } else {
        "; not root: try again as root"
    }
}
