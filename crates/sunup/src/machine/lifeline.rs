//! What happens if PID 1 itself fails: it must not end, because the kernel would panic.
//!
//! A panic of Rust, or an allocation that fails ([`heap`]), says what happened and
//! execs PID 1 anew, which takes over the running processes: it left a line for its
//! successor after each step. A second failure shortly after the first means that
//! this does not help; then there is only a shell on the console, started again and
//! again.
//!
//! Nothing here changes our own environment: that needs memory from libc, and std panics
//! if there is none. The successor's environment is made as a copy.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;
use std::time::Duration;

use model::pid1::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, wait, waitid};

use super::console;
use crate::sys::{arguments, clock, env, heap, spawn, tty};

/// The variable that holds the line for the successor.
const HANDOVER: &str = "SUNUP_INIT_HANDOVER";
/// When the last failure was, in seconds since boot.
const FAILED: &str = "SUNUP_INIT_PANICKED";
/// A second failure within this time ends the attempts.
const SHORTLY: Duration = Duration::from_mins(1);
/// Between two shells of the rescue.
const PAUSE: Duration = Duration::from_secs(1);

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
    let told = [(HANDOVER, line.as_str())];
    let told = told.iter().chain(more);
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
/// kernel panic, and a person can look and save.
pub fn rescue(why: &str) -> ! {
    console::say(&format!(
        "{why}; only a rescue shell is left, `reboot -f` ends it"
    ));
    loop {
        let shell = spawn::fork(|| {
            let _ = rustix::process::setsid();
            drop(tty::take(std::io::stdin()));
            spawn::exec_in_path(c"/bin/sh", &[c"-sh".to_owned()]);
            127
        });
        // There is no child at all, or the shell has ended: start the next shell.
        while let Ok(Some((pid, _))) = wait(WaitOptions::empty()) {
            if shell.as_ref().is_ok_and(|shell| *shell == pid.as_raw_pid()) {
                break;
            }
        }
        std::thread::sleep(PAUSE);
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
