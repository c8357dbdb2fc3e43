//! init: PID 1 with busybox's /etc/inittab.
//!
//! What it decides is in `model::boot`; here it acts.
//!
//! Files: /etc/inittab; /etc/runit/3, run first at shutdown and on the way to single-user
//! mode; /dev/console and /dev/kmsg for messages. Environment: CONSOLE or console names the
//! console, `SUNUP_GRACE` the seconds between TERM and KILL at the end. Both may stand on
//! the kernel command line. Signals: see `model::boot`. They are blocked before anything else
//! is done, so that none is lost, and stay blocked; children get the default actions. Exit
//! codes, when not PID 1: 0, or 1 on failure. As PID 1 it exits (0) only when the kernel
//! refuses the end, as in a container without the right to it.
//!
//! The files below: `table` reads the inittab, `child` is what a child does
//! before it becomes its command, `act` does what the model decides. The loop, and
//! what else any PID 1 needs, is in `crate::machine`.

mod act;
mod child;
mod table;

use std::os::fd::AsFd;

use model::boot::{Machine, handover};
use model::format::inittab;
use model::options::{Opt, Order, Spec};
use model::pid1::End;
use rustix::process::Pid;

use super::{Applet, Call, usage_error};
use crate::machine::ask::{self, First};
use crate::machine::console::Voice;
use crate::machine::{self, lifeline, own_copy, record, turn, upgrade};
use crate::say;
use crate::sys::{clock, env, signal, tty};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "init",
    synopsis: "[-q | 0 | 1 | 6 | q | u] | (as PID 1) [single | -s | 1]",
    about: "boot the machine as process 1, keep it running, shut it down",
    options: &[
        Opt::flag(b'q', "make PID 1 read /etc/inittab again"),
        Opt::flag(b's', "as PID 1: first root's shell on the console"),
    ],
    order: Order::Permute,
    notes: "The kernel starts init. Anybody else may call it, as telinit, to ask PID 1.",
    usage_code: 1,
};

/// The row of telinit.
pub const TELINIT: Applet = Applet {
    spec: &TELINIT_SPEC,
    run: |call| command_pid_1(call, &TELINIT_SPEC),
};

const TELINIT_SPEC: Spec = Spec {
    name: "telinit",
    synopsis: "0 | 1 | 6 | q | u",
    about: "ask process 1 to shut down, to restart, or to read its files again",
    options: &[],
    order: Order::Permute,
    notes: "0 powers off, 6 restarts, 1 (or s) stops all but root's shell on the console, q makes\n\
            PID 1 read /etc/inittab again, and u makes it execute its program again; no process\n\
            ends.",
    usage_code: 1,
};

/// The signals that the loop handles.
const SIGNALS: [signal::Signal; 13] = [
    signal::SIGINT,
    signal::SIGTSTP,
    signal::SIGCONT,
    signal::SIGQUIT,
    signal::SIGHUP,
    signal::SIGUSR1,
    signal::SIGPWR,
    signal::SIGTERM,
    signal::SIGUSR2,
    signal::KEXEC,
    signal::SINGLE,
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
    if call.args.operands.is_empty() && !call.args.has(b'q') {
        say::line("init", "must be run as PID 1");
        return 1;
    }
    command_pid_1(call, &SPEC)
}

/// What a process other than PID 1 is called for: to ask PID 1.
fn command_pid_1(call: &Call, spec: &Spec) -> u8 {
    let done = match call.args.operands.as_slice() {
        [] if call.args.has(b'q') => read_again(),
        [b"q" | b"Q"] => read_again(),
        [b"u" | b"U"] => upgrade::ask(),
        [b"0"] => ask::ask(End::Poweroff),
        [b"6"] => ask::ask(End::Reboot),
        [b"1" | b"s" | b"S"] => single(),
        [level @ [b'2'..=b'5']] => Err(format!(
            "{}: there are no runlevels but 0, 1 and 6",
            level.escape_ascii()
        )),
        _ => return usage_error(spec, "say one of 0, 1, 6, q and u"),
    };
    match done {
        Ok(()) => 0,
        Err(trouble) => {
            say::line(spec.name, trouble);
            1
        }
    }
}

/// Only init reads an inittab, and only to init is HUP no request to end.
fn read_again() -> Result<(), String> {
    match ask::first() {
        First::Init => send(signal::SIGHUP),
        First::Runit | First::EndsByTerm => Err("PID 1 reads no inittab".to_owned()),
        First::Other(name) => Err(ask::other(&name)),
    }
}

fn single() -> Result<(), String> {
    match ask::first() {
        First::Init | First::Runit if !machine::may_end(Some(Pid::INIT)) => {
            Err(ask::NO_SINGLE.to_owned())
        }
        First::Init | First::Runit => send(signal::SINGLE),
        First::EndsByTerm => Err("PID 1 has no single-user mode".to_owned()),
        First::Other(name) => Err(ask::other(&name)),
    }
}

fn send(signal: signal::Signal) -> Result<(), String> {
    ask::send(signal).map_err(|trouble| trouble + ask::advice())
}

/// Runs as PID 1; `args` are the words of the kernel command line that the kernel did not
/// understand, of which only the first has a meaning.
pub fn boot(args: &[Vec<u8>]) -> u8 {
    let signals = machine::begin(VOICE, &SIGNALS);
    let level = args.first().map(Vec::as_slice);
    set_up_process(level);
    let is_single = matches!(level, Some(b"single" | b"-s" | b"1"));
    if let Some(end) = own_copy::end_left() {
        return turn::run(Machine::ending(end), &signals, None, act::act);
    }
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
        None if is_single => inittab::single_user(table::read_or_defaults()),
        None => table::read_or_defaults(),
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
