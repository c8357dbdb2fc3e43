//! mdev: makes and removes device nodes in /dev by the rules of /etc/mdev.conf.
//!
//! - `mdev -s` looks at all devices in /sys/dev once.
//! - `mdev -d` listens for the kernel's events, looks at all devices, and then goes to the
//!   background. With `-f` it stays in the foreground, for a supervisor. On HUP it reads
//!   the rules again; TERM and INT end it.
//! - Without these options it is the kernel's hotplug helper: the event is in the
//!   environment.
//!
//! Files: /etc/mdev.conf, /etc/passwd, /etc/group, /dev/mdev.seq, /dev/mdev.log,
//! /lib/firmware. Exit code: 0, or 1 for a usage error or if mdev cannot work at all. The
//! exit code is also 0 if a node cannot be made or a command fails, because an incomplete
//! /dev must not stop a boot.
//!
//! [`model::device`] decides what to do; this module does it.

mod coldplug;
mod command;
mod daemon;
mod ere;
mod firmware;
mod helper;
mod nodes;

use std::fmt::Display;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use model::device::{Names, Op, Rules};
use model::format::uevent::{Number, Uevent};
use model::format::{account, mdev_conf};
use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::file;
use command::Command;
use ere::Regex;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "mdev",
    synopsis: "[-vS] [-s | -d [-f] | SUBSYSTEM]",
    about: "makes device nodes in /dev, by /etc/mdev.conf",
    options: &[
        Opt::flag(b's', "look at all devices in /sys once, and end"),
        Opt::flag(
            b'd',
            "listen for the kernel's device events, in the background",
        ),
        Opt::flag(b'f', "with -d: stay in the foreground"),
        Opt::flag(b'v', "say what is done"),
        Opt::flag(b'S', "say it to the system's log, too"),
    ],
    order: Order::Permute,
    notes: "Without -s and -d, mdev is the kernel's hotplug helper:\n  \
            echo /sbin/mdev >/proc/sys/kernel/hotplug\n",
    usage_code: 1,
};

const CONF: &str = "/etc/mdev.conf";
/// A longer file is cut before this size, between two lines, and that is reported.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

fn run(call: &Call) -> u8 {
    let (scan, daemon) = (call.args.has(b's'), call.args.has(b'd'));
    if scan && daemon {
        return usage_error(&SPEC, "-s and -d exclude each other");
    }
    let voice = Voice {
        details: call.args.has(b'v'),
        syslog: call.args.has(b'S'),
    };
    // Commands run in /dev, and paths are relative to it.
    if let Err(e) = std::env::set_current_dir("/dev") {
        voice.say(format_args!("/dev: change to the directory: {e}"));
        return 1;
    }
    if scan {
        Mdev::new(voice).scan()
    } else if daemon {
        daemon::run(Mdev::new(voice), call.args.has(b'f'))
    } else {
        helper::run(voice)
    }
}

/// What all modes have in common.
struct Mdev {
    rules: Rules<Regex>,
    /// The device that holds the root directory.
    root: Option<Number>,
    voice: Voice,
}

impl Mdev {
    fn new(voice: Voice) -> Self {
        let root = rustix::fs::stat("/").ok().map(|st| Number {
            major: rustix::fs::major(st.st_dev),
            minor: rustix::fs::minor(st.st_dev),
        });
        Self {
            rules: load_rules(voice),
            root,
            voice,
        }
    }

    /// Looks at every device once.
    fn scan(&self) -> u8 {
        let devices = match coldplug::devices() {
            Ok(devices) => devices,
            Err(e) => {
                let next = "is /sys mounted?";
                self.voice.say(format_args!("/sys/dev: read: {e}; {next}"));
                return 1;
            }
        };
        let variables = self.rules.use_variables();
        for device in devices {
            if let Some(event) = device.event(variables, self.voice) {
                self.handle(&event, |command| command.run(self.voice));
            }
        }
        0
    }

    /// Does what the rules say about an event. The caller decides how a command is run.
    fn handle(&self, event: &Uevent, mut run: impl FnMut(Command)) {
        let mut node_made = true;
        for op in self.rules.plan(event, self.root) {
            match &op {
                Op::Run { command, node } => run(Command::new(command, node, event)),
                Op::Firmware { name } => firmware::load(event, name, self.voice),
                Op::Link { .. } | Op::Unlink { .. } if !node_made => {}
                Op::Node { .. } => node_made = nodes::apply(&op, self.voice),
                Op::Link { .. } | Op::Unlink { .. } => {
                    nodes::apply(&op, self.voice);
                }
            }
        }
    }
}

/// Reads the rules. Without a file there are none; that is not reported.
fn load_rules(voice: Voice) -> Rules<Regex> {
    let (rules, mut mistakes) = mdev_conf::decode(&read(CONF, voice));
    let users = read("/etc/passwd", voice);
    let groups = read("/etc/group", voice);
    let names = Names {
        user: &|name| account::user(&users, name).ok().flatten(),
        group: &|name| account::group(&groups, name).ok().flatten(),
    };
    let (rules, unresolved) = Rules::resolve(rules, &names);
    mistakes.extend(unresolved);
    mistakes.sort_by_key(|m| m.line);
    for m in mistakes.iter().take(mdev_conf::MISTAKES_MAX) {
        voice.say(format_args!("{CONF}: line {}: {}", m.line, m.reason));
    }
    if let Some(m) = mistakes.get(mdev_conf::MISTAKES_MAX) {
        voice.say(format_args!(
            "{CONF}: line {}: a mistake, as in further lines, which are not listed",
            m.line
        ));
    }
    rules
}

/// Reads a file, as far as that is possible. A missing file is as an empty one.
fn read(path: &str, voice: Voice) -> Vec<u8> {
    match file::read_lines(Path::new(path), FILE_BYTES_MAX) {
        Ok((text, is_cut)) => {
            if is_cut {
                voice.say(format_args!(
                    "{path}: longer than {FILE_BYTES_MAX} bytes; the rest is left out"
                ));
            }
            text
        }
        Err(e) => {
            if e.kind() != io::ErrorKind::NotFound {
                voice.say(format_args!("{path}: read: {e}"));
            }
            Vec::new()
        }
    }
}

/// Where messages go.
#[derive(Clone, Copy)]
struct Voice {
    details: bool,
    syslog: bool,
}

impl Voice {
    /// Reports a failure, or something that is good to know.
    fn say(self, what: impl Display) {
        say::line(SPEC.name, &what);
        if self.syslog {
            // Facility daemon, level notice. Without a system log, the message is lost.
            let record = say::plain(&format!("<29>mdev: {what}"));
            let _unheard = UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                socket.send_to(record.as_bytes(), "/dev/log")
            });
        }
    }

    /// Reports what mdev did, if `-v` was given.
    fn detail(self, what: impl Display) {
        if self.details {
            self.say(what);
        }
    }
}
