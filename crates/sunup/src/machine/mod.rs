//! What every PID 1 of sunup needs, whatever decides for it: `turn` is its loop,
//! `accounts` tells utmp and wtmp, `ask` is how others ask it for the end, `console` speaks,
//! `children` reaps, `last_word` leaves word of that, `devices` waits for those that are not there yet, `record` is what PID 1
//! adds to the record of the boot, `watchdog` feeds the device, `lifeline` is what happens
//! should PID 1 itself fail, and here is the first moment, the last one, and the
//! time between the last two signals. `requests` are runit's files with a message
//! to PID 1. `rescue` is the way to a person. `own_copy` frees the file of a program that was
//! replaced.

pub mod accounts;
pub mod ask;
pub mod children;
pub mod console;
pub mod devices;
pub mod last_word;
pub mod lifeline;
pub mod new_root;
pub mod own_copy;
pub mod record;
pub mod requests;
pub mod rescue;
pub mod turn;
pub mod unmount;
pub mod upgrade;
pub mod watchdog;
pub mod world;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use model::format::proc_stat;
use model::process::Pid;
use rustix::thread::{CapabilitySet, capabilities};

use crate::sys::power;
use crate::sys::signal::{self, SignalFd};
use console::Voice;

/// The longest grace that may be set.
const GRACE_S_MAX: u64 = 3600;

/// The first moment of PID 1: from here on no signal is lost, Ctrl-Alt-Del is a
/// signal, and what PID 1 says is heard.
pub fn begin(voice: Voice, signals: &[signal::Signal]) -> SignalFd {
    let signals = SignalFd::new(signals);
    // A parent that ignored it would hide the end of our children from us.
    signal::reset(signal::SIGCHLD);
    lifeline::install();
    power::ctrl_alt_del_resets(false);
    console::open(voice);
    watchdog::begin();
    drop(std::env::set_current_dir("/"));
    let _ = rustix::process::setsid();
    match signals {
        Ok(signals) => signals,
        Err(e) => lifeline::rescue(&format!("signals cannot be read: {e}")),
    }
}

/// Whether this is the first PID 1 of the kernel, and not that of a container: then
/// what is mounted belongs to this machine alone. Its pid namespace has a number of
/// its own (include/linux/proc_ns.h), which /proc tells. While /proc is not mounted
/// yet, as at the first moment of a real machine, it is believed to be the first
/// unless the variable `container` says otherwise (container managers set it).
pub fn is_the_first() -> bool {
    const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;
    match std::fs::metadata("/proc/self/ns/pid") {
        Ok(namespace) => namespace.ino() == FIRST_PID_NAMESPACE,
        Err(_) => std::env::var_os("container").is_none(),
    }
}

/// Whether a process may end the machine (capabilities(7)): PID 1 of most containers may not.
pub fn may_end(pid: Option<rustix::process::Pid>) -> bool {
    capabilities(pid).is_ok_and(|has| has.effective.contains(CapabilitySet::SYS_BOOT))
}

/// The time between TERM and KILL at the end: `SUNUP_GRACE` in seconds, or the usual.
pub fn grace(usual_s: u64) -> Duration {
    let seconds = match std::env::var_os("SUNUP_GRACE") {
        None => usual_s,
        Some(text) => text.to_string_lossy().parse().unwrap_or_else(|_| {
            console::say(&format!(
                "SUNUP_GRACE={}: not a number of seconds; {usual_s} is used",
                text.display()
            ));
            usual_s
        }),
    };
    Duration::from_secs(seconds.min(GRACE_S_MAX))
}

/// Sends TERM to every process, and what those need that would take no notice of it: CONT
/// for a stopped process, and HUP for one with a terminal, because an interactive shell ignores TERM.
pub fn term_all() {
    drop(signal::kill_all(signal::SIGTERM));
    drop(signal::kill_all(signal::SIGCONT));
    for (pid, _) in processes_on_terminals().filter(|(pid, _)| *pid != 1) {
        drop(signal::kill(pid, signal::SIGHUP));
    }
}

/// The processes that have a controlling terminal, and its device number, by /proc.
pub fn processes_on_terminals() -> impl Iterator<Item = (Pid, u32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let terminal = proc_stat::decode(&line)?.terminal;
        (terminal != 0).then_some((pid, terminal))
    })
}

/// Unmounts everything and asks the kernel to end the machine, once the console has shown
/// everything. `Ok`: the kernel will do it. A PID 1 whose program was replaced does not return
/// from here: its copy begins anew ([`own_copy`]).
pub fn end(end: power::End) -> io::Result<()> {
    unmount::all(end);
    console::drain();
    watchdog::last(Some(end));
    power::end_by_child(end)
}
