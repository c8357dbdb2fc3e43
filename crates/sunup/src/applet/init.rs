//! init: PID 1 with busybox's /etc/inittab.
//!
//! What it decides is in `model::boot`; here it acts.
//!
//! Files: /etc/inittab; /etc/runit/3, run first at shutdown; /dev/console and /dev/kmsg
//! for messages. Environment: CONSOLE or console names the console, `SUNUP_GRACE` the
//! seconds between TERM and KILL at the end. Both may stand on the kernel command line.
//! Signals: see `model::boot`. They are blocked before anything else is done, so that
//! none is lost, and stay blocked; children get the default actions. Exit codes, when not
//! PID 1: 0, or 1 on failure. As PID 1 it exits (0) only when the kernel refuses the end,
//! as in a container without the right to it.
//!
//! The files below: `table` reads the inittab, `child` is what a child does
//! before it becomes its command, `act` does what the model decides. The loop, and
//! what else any PID 1 needs, is in `crate::machine`.

mod act;
mod child;
mod table;

use std::os::fd::AsFd;

use model::boot::{Machine, handover};
use model::options::{Opt, Order, Spec};

use super::{Applet, Call};
use crate::machine::console::Voice;
use crate::machine::{self, lifeline, record, turn, upgrade};
use crate::say;
use crate::sys::{clock, env, signal, tty};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "init",
    synopsis: "[-q | u] | (as PID 1) [single | -s | 1]",
    about: "boots the machine as PID 1, by /etc/inittab",
    options: &[
        Opt::flag(b'q', "make PID 1 read /etc/inittab again"),
        Opt::flag(b's', "as PID 1: only a shell on the console"),
    ],
    order: Order::Permute,
    notes: "The kernel starts init. Anybody else may call it for -q, and for u: then PID 1\n\
            executes its program anew, with all processes going on.",
    usage_code: 1,
};

/// The signals that the loop handles.
const SIGNALS: [signal::Signal; 11] = [
    signal::SIGINT,
    signal::SIGTSTP,
    signal::SIGCONT,
    signal::SIGQUIT,
    signal::SIGHUP,
    signal::SIGUSR1,
    signal::SIGPWR,
    signal::SIGTERM,
    signal::SIGUSR2,
    upgrade::UPGRADE,
    signal::SIGCHLD,
];

const VOICE: Voice = Voice {
    name: "init",
    opening: "",
};

/// busybox's grace between TERM and KILL.
const GRACE_S: u64 = 1;

fn run(call: &Call) -> u8 {
    if call.args.operands.as_slice() == [b"u"] {
        return match upgrade::ask() {
            Ok(()) => 0,
            Err(trouble) => {
                say::line("init", trouble);
                1
            }
        };
    }
    if !call.args.has(b'q') {
        let hint = match call.args.operands.first().copied() {
            Some(b"6") => "; to restart the machine: reboot",
            Some(b"0") => "; to switch the machine off: poweroff",
            _ => "",
        };
        say::line("init", format_args!("must be run as PID 1{hint}"));
        return 1;
    }
    match signal::kill(1, signal::SIGHUP) {
        Ok(()) => 0,
        Err(e) => {
            say::line(
                "init",
                format_args!("signal PID 1 with HUP: {e}; only root may"),
            );
            1
        }
    }
}

/// Runs as PID 1; `args` are the words of the kernel command line that the kernel did not
/// understand, of which only the first has a meaning.
pub fn boot(args: &[Vec<u8>]) -> u8 {
    let signals = machine::begin(VOICE, &SIGNALS);
    let level = args.first().map(Vec::as_slice);
    set_up_process(level);
    let is_single = matches!(level, Some(b"single" | b"-s" | b"1"));
    let predecessor = lifeline::predecessor();
    if predecessor.is_none() {
        record::begin();
    }
    let handover = predecessor.map(|line| {
        let mut told = handover::decode(&line);
        told.processes.retain(|(_, pid)| lifeline::is_child(*pid));
        told
    });
    let entries = match &handover {
        None if is_single => model::format::inittab::single_user(),
        None => table::read_or_defaults(),
        // It stays a shell and nothing else, unless the inittab was read since.
        Some(told) if is_single && !told.entries.is_empty() => told.entries.clone(),
        Some(told) => table::read_or_as_before(&told.entries),
    };
    let grace = machine::grace(GRACE_S);
    let (machine, signal) = match handover {
        Some(told) => {
            let machine = Machine::resume(entries, grace, &told, clock::now());
            (machine, told.signal)
        }
        None => (Machine::boot(entries, grace), None),
    };
    turn::run(machine, &signals, signal, act::act)
}

/// What children inherit: environment and terminal.
fn set_up_process(level: Option<&[u8]>) {
    use std::os::unix::ffi::OsStrExt;
    env::set("PATH", "/sbin:/usr/sbin:/bin:/usr/bin");
    env::set("SHELL", "/bin/sh");
    env::set("USER", "root");
    if std::env::var_os("HOME").is_none() {
        env::set("HOME", "/");
    }
    if let Some(level) = level {
        env::set("RUNLEVEL", std::ffi::OsStr::from_bytes(level));
    }
    set_terminal_type();
    tty::make_sane(std::io::stdin().as_fd());
}

/// The kernel sets `linux` for any console, but a serial line is not such a terminal.
fn set_terminal_type() {
    let term = std::env::var_os("TERM");
    if tty::is_virtual(std::io::stdin().as_fd()) {
        if term.is_none() {
            env::set("TERM", "linux");
        }
    } else if term.is_none_or(|t| t == "linux") {
        env::set("TERM", "vt102");
    }
}
