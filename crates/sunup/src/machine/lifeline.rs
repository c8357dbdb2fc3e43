//! What happens if PID 1 itself fails: it must not end, because the kernel would panic.
//!
//! A panic of Rust, or an allocation that fails ([`heap`]), says what happened and
//! execs PID 1 anew, which takes over the running processes: it left a line for its
//! successor after each step. A second failure shortly after the first means that
//! this does not help; then there is only a shell for root on the console, started again and
//! again, and the end of the machine.
//!
//! Nothing here changes our own environment: that needs memory from libc, and std panics
//! if there is none. The successor's environment is made as a copy.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;
use std::time::Duration;

use model::pid1::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, wait, waitid};

use super::{console, watchdog};
use crate::sys::power::{self, End};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{arguments, clock, env, heap, spawn};

/// The variable that holds the line for the successor.
const HANDOVER: &str = "SUNUP_INIT_HANDOVER";
/// When the last failure was, in seconds since boot.
const FAILED: &str = "SUNUP_INIT_PANICKED";
/// A second failure within this time ends the attempts.
const SHORTLY: Duration = Duration::from_mins(1);
/// Between two shells of the rescue.
const PAUSE_MS: u64 = 1000;
/// Between TERM and KILL at the end of a rescue, at most.
const GRACE_MS: u64 = 1000;

static LINE: Mutex<String> = Mutex::new(String::new());

/// Installs what happens on a panic and on a lack of memory; a child that panics just
/// ends.
pub fn install() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::process::id() == 1 {
            start_over(&format!("PID 1 failed: {info}"));
        }
        usual(info);
    }));
    heap::survive(|bytes| {
        start_over(&format!(
            "PID 1 failed: out of memory: {bytes} bytes were not to be had"
        ))
    });
}

/// Whether PID 1 uses the reserve of its heap and should execute itself again. If it has
/// just done so, it goes on as long as the reserve lasts.
pub fn is_due() -> bool {
    heap::is_short() && !failed_shortly_before()
}

/// Keeps what a successor must know.
pub fn remember(told: String) {
    if let Ok(mut line) = LINE.try_lock() {
        *line = told;
    }
}

/// The line of a predecessor, if this is a successor.
pub fn predecessor() -> Option<String> {
    let line = std::env::var(HANDOVER).ok()?;
    env::remove(HANDOVER);
    Some(line)
}

/// The environment of a successor: with that line, and with what else is given.
pub fn environment(more: &[(&str, &str)]) -> Vec<CString> {
    let line = LINE.try_lock().map(|l| l.clone()).unwrap_or_default();
    let device = watchdog::hand_over();
    let device = device.as_ref().map(|(name, value)| (*name, value.as_str()));
    let told = [(HANDOVER, line.as_str())];
    let told = told.iter().chain(more).chain(&device);
    let is_told = |name: &OsStr| told.clone().any(|(told, _)| name == *told);
    let kept = std::env::vars_os().filter(|(name, _)| !is_told(name));
    let kept = kept.map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
    let told = told.clone().map(|(name, value)| format!("{name}={value}"));
    kept.chain(told.map(String::into_bytes))
        .filter_map(|variable| CString::new(variable).ok())
        .collect()
}

/// Whether a process that a predecessor names is still our child; if not, it ended unseen.
pub fn is_child(pid: model::process::Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok())
}

fn failed_shortly_before() -> bool {
    let last: Option<u64> = std::env::var(FAILED).ok().and_then(|t| t.parse().ok());
    last.is_some_and(|last| boot_s().saturating_sub(last) < SHORTLY.as_secs())
}

fn boot_s() -> u64 {
    clock::boot_ns() / 1_000_000_000
}

/// PID 1 executes itself again, because it cannot go on in its present state.
pub fn start_over(why: &str) -> ! {
    if failed_shortly_before() {
        rescue(why);
    }
    console::say(&format!("{why}; it starts over"));
    let environment = environment(&[(FAILED, &boot_s().to_string())]);
    let argv = arguments::words();
    for path in [c"/proc/self/exe", c"/sbin/init"] {
        spawn::exec(path, &argv, Some(&environment));
    }
    rescue(why)
}

/// A shell on the console, and PID 1 reaping for ever: no services, but no
/// kernel panic, and a person can look and save. The signals of halt, poweroff and reboot
/// end the machine.
pub fn rescue(why: &str) -> ! {
    watchdog::keep();
    console::say(&format!(
        "{why}; only a rescue shell is left, and reboot, poweroff and halt"
    ));
    let signals = SignalFd::new(&[
        signal::SIGCHLD,
        signal::SIGUSR1,
        signal::SIGUSR2,
        signal::SIGTERM,
        signal::SIGPWR,
    ])
    .ok();
    let (mut shell, mut next) = (None, clock::boot_ns());
    loop {
        match signals.as_ref().and_then(SignalFd::next) {
            Some(told) => drop(end_of(told.signal).map(go_down)),
            None => wait_until(signals.as_ref(), shell.map_or(Some(next), |_| None)),
        }
        while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
            if shell == Some(pid.as_raw_pid()) {
                (shell, next) = (None, clock::after_ms(PAUSE_MS));
            }
        }
        if shell.is_none() && clock::boot_ns() >= next {
            shell = spawn::fork(super::rescue::on_the_console).ok();
            next = clock::after_ms(PAUSE_MS);
        }
    }
}

fn wait_until(signals: Option<&SignalFd>, until: Option<u64>) {
    let until = until.or(signals.is_none().then(|| clock::after_ms(PAUSE_MS)));
    let left = until.map(|until| clock::timespec(until.saturating_sub(clock::boot_ns())));
    let mut fds: Vec<PollFd> = signals
        .map(|signals| PollFd::new(signals, PollFlags::IN))
        .into_iter()
        .collect();
    let _ = poll(&mut fds, left.as_ref());
}

fn end_of(signal: signal::Signal) -> Option<End> {
    match signal {
        signal::SIGUSR1 | signal::SIGPWR => Some(End::Halt),
        signal::SIGUSR2 => Some(End::Poweroff),
        signal::SIGTERM => Some(End::Reboot),
        _ => None,
    }
}

/// TERM, KILL, the end; returns if the kernel refuses it.
fn go_down(end: End) {
    for signal in [signal::SIGHUP, signal::SIGTERM, signal::SIGCONT] {
        drop(signal::kill_all(signal));
    }
    let until = clock::after_ms(GRACE_MS);
    while wait(WaitOptions::NOHANG).is_ok() && clock::boot_ns() < until {
        wait_until(None, Some(clock::after_ms(GRACE_MS / 100)));
    }
    drop(signal::kill_all(signal::SIGKILL));
    power::sync();
    if let Err(e) = super::end(end) {
        console::say(&format!("the kernel refuses the end: {e}"));
    }
}

/// In a build for tests, PID 1 panics on the signal that `SUNUP_TEST_PANIC` names,
/// and on that of `SUNUP_TEST_MEMORY` (`SIGNAL=N`) there is no memory after N more
/// allocations.
pub fn fail_for_a_test(signal: Signal) {
    #[cfg(debug_assertions)]
    #[allow(clippy::panic, clippy::manual_assert)]
    {
        let told = |name| std::env::var(name).unwrap_or_default();
        let name = format!("{signal:?}");
        if told("SUNUP_TEST_PANIC") == name {
            panic!("as the test wants");
        }
        let memory = told("SUNUP_TEST_MEMORY");
        let count = memory.strip_prefix(&(name + "="));
        if let Some(count) = count.and_then(|count| count.parse().ok()) {
            heap::refusal::after(count);
        }
    }
    _ = signal;
}
