//! PID 1 tells the records of logins and boots, utmp and wtmp, if the machine keeps them.
//!
//! A child writes: the history may be on a disk that hangs. Nobody waits for it but on the way
//! down, where file systems are unmounted soon, and there not for long.

use std::time::Duration;

use model::pid1::Account;

use super::is_the_first;
use crate::sys::bounded::within;
use crate::sys::{clock, signal, spawn, utmp};

/// How long the last record may hold up the way down.
const LIMIT: Duration = Duration::from_secs(1);

/// Tells them; a failure is no news, as it never keeps anybody from logging in.
pub fn tell(account: Account) {
    if !utmp::is_kept() {
        return;
    }
    let mut write = || {
        signal::ignore_of_writes();
        match account {
            Account::Booted => utmp::booted(up_s()),
            Account::GoesDown => drop(utmp::shutdown_once()),
            Account::Ended(pid) => drop(utmp::process_ended(pid as i32)),
        }
        0
    };
    match account {
        Account::GoesDown => drop(within(Some(LIMIT), &mut |_| {}, &mut write)),
        _ => drop(spawn::fork(write)),
    }
}

/// How long the machine is up (s); a container has just begun.
fn up_s() -> u64 {
    if is_the_first() {
        clock::boot_ns() / 1_000_000_000
    } else {
        0
    }
}
