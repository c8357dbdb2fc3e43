//! runit-init: the first program of the kernel, and `init 0`, `init 6` afterwards.
//!
//! As PID 1 it is runit. Otherwise it leaves messages in /etc/runit/stopit and
//! /etc/runit/reboot (see `machine::requests`) and sends CONT to PID 1.
//!
//! Exit codes: 0; 111 on an error. Without an argument that it knows, it shows
//! its usage and exits 0, as that of runit does.

use model::options::{self, Order, Spec};

use super::{Applet, Call};
use crate::machine::{ask, requests, upgrade};
use crate::say;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runit-init",
    synopsis: "0|6|u",
    about: "start runit, or ask it to shut the machine down",
    options: &[],
    order: Order::Posix,
    notes: "0 powers the machine off, 6 restarts it, and u makes PID 1 execute its program\n\
            again; no process ends.",
    usage_code: 111,
};

const FAILED: u8 = 111;

fn run(call: &Call) -> u8 {
    let reboot = match call.args.operands.first() {
        Some(&b"0") => false,
        Some(&b"6") => true,
        Some(&b"u") => {
            return upgrade::ask().map_or_else(
                |trouble| {
                    say::line(SPEC.name, trouble);
                    FAILED
                },
                |()| 0,
            );
        }
        _ => {
            say::line(SPEC.name, options::usage(&SPEC));
            return 0;
        }
    };
    match requests::ask(reboot) {
        Ok(()) => 0,
        Err(trouble) => {
            say::line(SPEC.name, format_args!("{trouble}{}", ask::advice()));
            FAILED
        }
    }
}
