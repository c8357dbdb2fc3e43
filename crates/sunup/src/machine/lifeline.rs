//! Should PID 1 itself fail: it must not end, for the kernel would panic.
//!
//! A panic of Rust says what happened and execs PID 1 anew, which takes over the
//! running processes: it left a line for its successor after each step.
//! A second panic shortly after the first means that this does not help; then
//! there is only a shell on the console, started again and again.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Mutex;
use std::time::Duration;

use model::pid1::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, wait, waitid};

use super::console;
use crate::sys::{clock, env, spawn, tty};

/// What the successor is told, in its environment.
const HANDOVER: &str = "SUNUP_INIT_HANDOVER";
/// When the last panic was, in seconds since boot.
const PANICKED: &str = "SUNUP_INIT_PANICKED";
/// A second panic within this time ends the attempts.
const SHORTLY: Duration = Duration::from_mins(1);
/// Between two shells of the rescue.
const PAUSE: Duration = Duration::from_secs(1);

static LINE: Mutex<String> = Mutex::new(String::new());

/// Arranges for the worst; a child that panics just ends.
pub fn install() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::process::id() == 1 {
            start_over(&format!("PID 1 failed: {info}"));
        }
        usual(info);
    }));
}

/// Keeps what a successor must know.
pub fn remember(told: String) {
    if let Ok(mut line) = LINE.try_lock() {
        *line = told;
    }
}

/// What a predecessor said, if this is a successor.
pub fn predecessor() -> Option<String> {
    let line = std::env::var(HANDOVER).ok()?;
    env::remove(HANDOVER);
    Some(line)
}

/// Puts that line where a successor looks for it.
pub fn leave_word() {
    let line = LINE.try_lock().map(|l| l.clone()).unwrap_or_default();
    env::set(HANDOVER, line);
}

/// There is no successor.
pub fn take_word_back() {
    env::remove(HANDOVER);
}

/// Whether a process that a predecessor names is still our child; if not, it ended unseen.
pub fn is_child(pid: model::process::Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok())
}

fn start_over(why: &str) -> ! {
    let now = clock::boot_ns() / 1_000_000_000;
    let last: Option<u64> = std::env::var(PANICKED).ok().and_then(|t| t.parse().ok());
    if last.is_some_and(|last| now.saturating_sub(last) < SHORTLY.as_secs()) {
        rescue(why);
    }
    console::say(&format!("{why}; it starts over"));
    leave_word();
    env::set(PANICKED, now.to_string());
    let argv: Vec<CString> = std::env::args_os()
        .filter_map(|a| CString::new(a.into_vec()).ok())
        .collect();
    for path in [c"/proc/self/exe", c"/sbin/init"] {
        spawn::exec(path, &argv, None);
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
        // No child at all, or the shell: both are the time for the next one.
        while let Ok(Some((pid, _))) = wait(WaitOptions::empty()) {
            if shell.as_ref().is_ok_and(|shell| *shell == pid.as_raw_pid()) {
                break;
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// In a build for tests, PID 1 panics on the signal that `SUNUP_TEST_PANIC` names.
pub fn fail_for_a_test(signal: Signal) {
    #[cfg(debug_assertions)]
    #[allow(clippy::panic, clippy::manual_assert)]
    if std::env::var_os("SUNUP_TEST_PANIC").is_some_and(|name| name == *format!("{signal:?}")) {
        panic!("as the test wants");
    }
    _ = signal;
}
