//! init as PID 1, and the applets that ask it for the end. Each test is a machine of its own.

mod boot;
pub mod console;
mod ending;
mod single;
mod unmounting;
mod up;

/// A command that tells that it runs, and its pid, and waits at a fifo.
fn job(name: &str) -> String {
    format!("#!/bin/sh\necho {name} $$ >> /events\nread x < /gate-{name}\n")
}

const MAKE_GATE: &str = "mkfifo gate-a gate-b";
