//! utmpset: notes that nobody is on a terminal any more.
//!
//! Files: /run/utmp or /var/run/utmp; with -w also /var/log/wtmp, if it is there.
//! Exit codes: 0; 111: failed, or nobody was on the line; 1: called wrongly.

use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::{signal, utmp};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "utmpset",
    synopsis: "[-w] LINE",
    about: "record the end of a session on a terminal",
    options: &[Opt::flag(b'w', "record it in /var/log/wtmp as well")],
    order: Order::Posix,
    notes: "LINE is the name of the terminal below /dev, for example tty1.",
    usage_code: 1,
};

const FAILED: u8 = 111;

fn run(call: &Call) -> u8 {
    let [line] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "say one line, for example tty1");
    };
    signal::ignore_of_writes();
    let line = line.strip_prefix(b"/dev/").unwrap_or(line);
    let done = match utmp::log_out(line) {
        Ok(false) => Err("nobody is on it".to_owned()),
        Ok(true) if call.args.has(b'w') => utmp::log_out_in_history(line),
        other => other.map(drop),
    };
    match done {
        Ok(()) => 0,
        Err(trouble) => {
            let line = line.escape_ascii();
            say::line("utmpset", format_args!("log out {line}: {trouble}"));
            FAILED
        }
    }
}
