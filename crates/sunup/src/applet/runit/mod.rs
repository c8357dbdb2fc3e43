//! runit: PID 1 in three stages.
//!
//! What it decides is in `model::stages`; here it acts.
//!
//! Files: /etc/runit/1, 2 and 3, the stages; /etc/runit/ctrlaltdel;
//! /etc/runit/stopit and reboot (see `machine::requests`); /etc/runit/nosync,
//! whose presence keeps it from writing file systems to disk.
//! Environment: the stages get PID 1's; CONSOLE and `SUNUP_GRACE` as for init.
//! Signals: see `model::stages`. They are blocked before anything else is done,
//! so that none is lost, and stay blocked; children get the default actions.
//! Exit codes, when not PID 1: 111. As PID 1 it exits (0) only when the kernel
//! refuses the end, as in a container without the right to it.

mod act;

use model::options::{Order, Spec};
use model::stages::Stages;

use super::{Applet, Call};
use crate::machine::console::Voice;
use crate::machine::{self, lifeline, own_copy, record, turn, upgrade};
use crate::say;
use crate::sys::{clock, signal};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runit",
    synopsis: "",
    about: "boot, run and shut down the machine as process 1, in three stages",
    options: &[],
    order: Order::Posix,
    notes: "The kernel starts runit; `runit-init 0` and `runit-init 6` take the machine down.",
    usage_code: 111,
};

const VOICE: Voice = Voice {
    name: "runit",
    opening: "- runit: ",
};

/// Everything the loop wants to hear of.
const SIGNALS: [signal::Signal; 10] = [
    signal::SIGINT,
    signal::SIGCONT,
    signal::SIGPWR,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGTERM,
    signal::KEXEC,
    signal::SINGLE,
    upgrade::UPGRADE,
    signal::SIGCHLD,
];

/// Between the last TERM and the last KILL.
const GRACE_S: u64 = 5;

fn run(_: &Call) -> u8 {
    say::line("runit", "must be run as process no 1");
    111
}

/// Runs as PID 1; `words` are those of the kernel command line that the kernel
/// did not understand. They become the arguments of the stages.
pub fn boot(words: &[Vec<u8>]) -> u8 {
    let signals = machine::begin(VOICE, &SIGNALS);
    if let Some(end) = own_copy::end_left() {
        return turn::run(Stages::ending(end), &signals, None, |action| {
            act::act(action, words)
        });
    }
    let grace = machine::grace(GRACE_S);
    let predecessor = lifeline::predecessor();
    if predecessor.is_none() {
        record::begin();
    }
    let stages = match predecessor {
        Some(line) => Stages::resume(&line, lifeline::is_child, grace, clock::now()),
        None => Stages::boot(grace),
    };
    turn::run(stages, &signals, None, |action| act::act(action, words))
}
