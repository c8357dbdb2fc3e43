//! mdev: makes and removes device nodes in /dev by the rules of /etc/mdev.conf.
//!
//! - `mdev -s` looks at all devices in /sys/dev once.
//! - `mdev -d` listens for the kernel's events, looks at all devices, and then goes to the
//!   background. With `-f` it stays in the foreground, for a supervisor. On HUP it reads
//!   the rules again; TERM and INT end it. With `-D` it says on a descriptor when it
//!   has looked at all devices.
//! - Without these options it is the kernel's hotplug helper: the event is in the
//!   environment.
//!
//! Files: /etc/mdev.conf, /etc/passwd, /etc/group, /dev/mdev.seq, /dev/mdev.log,
//! /lib/firmware. Exit code: 0, or 1 for a usage error or if mdev cannot work at all. The
//! exit code is also 0 if a node cannot be made or a command fails, because an incomplete
//! /dev must not stop a boot.
//!
//! [`model::device`] decides what to do; [`crate::devices`] does it.

mod daemon;
mod helper;

use std::os::fd::OwnedFd;

use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::devices::{Mdev, Voice};
use crate::say;
use crate::sys::inherited;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "mdev",
    synopsis: "[-vS] [-s | -d [-f] [-D FD] | SUBSYSTEM]",
    about: "make device nodes in /dev",
    options: &[
        Opt::flag(b's', "look at all devices in /sys once, and end"),
        Opt::flag(
            b'd',
            "listen for the kernel's device events, in the background",
        ),
        Opt::flag(b'f', "with -d: stay in the foreground"),
        Opt::valued(
            b'D',
            "FD",
            "with -d: write a newline to FD when all devices were looked at",
        ),
        Opt::flag(b'v', "report what is done"),
        Opt::flag(b'S', "send messages to the system's log, too"),
    ],
    order: Order::Permute,
    notes: "Without -s and -d, mdev is the kernel's hotplug helper:\n  \
            echo /sbin/mdev >/proc/sys/kernel/hotplug\n",
    usage_code: 1,
};

/// A descriptor that was passed on, by its number.
fn descriptor(number: &[u8]) -> Option<OwnedFd> {
    inherited::claim(std::str::from_utf8(number).ok()?.parse().ok()?)
}

fn run(call: &Call) -> u8 {
    let (scan, daemon) = (call.args.has(b's'), call.args.has(b'd'));
    if scan && daemon {
        return usage_error(&SPEC, "-s and -d exclude each other");
    }
    let ready = match call.args.value(b'D').map(descriptor) {
        None => None,
        Some(Some(fd)) => Some(fd),
        Some(None) => return usage_error(&SPEC, "-D: that is no open descriptor above 2"),
    };
    let voice = Voice {
        who: SPEC.name,
        write: |who, what| say::line(who, what),
        details: call.args.has(b'v'),
        syslog: call.args.has(b'S'),
    };
    // Commands run in /dev, and paths are relative to it.
    if let Err(e) = std::env::set_current_dir("/dev") {
        voice.say(format_args!("/dev: change to the directory: {e}"));
        return 1;
    }
    if scan {
        u8::from(!Mdev::new(voice).scan())
    } else if daemon {
        daemon::run(Mdev::new(voice), call.args.has(b'f'), ready)
    } else {
        helper::run(voice)
    }
}
