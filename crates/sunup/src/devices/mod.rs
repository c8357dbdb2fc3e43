//! Device nodes by the rules of /etc/mdev.conf: what mdev and stage 1 have in common.
//!
//! [`model::device`] decides what to do; this module does it.

pub mod coldplug;
pub mod command;
mod ere;
mod firmware;
mod nodes;

use model::sorted::sort_by_key;
use std::fmt::Display;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use model::device::{Names, Op, Rules};
use model::format::uevent::{Number, Uevent};
use model::format::{account, mdev_conf};

use crate::say;
use crate::sys::file;
use command::Command;
use ere::Regex;

const CONF: &str = "/etc/mdev.conf";
/// A longer file is cut before this size, between two lines, and that is reported.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The rules, and what they need to know of the machine. The working directory is /dev.
pub struct Mdev {
    /// What /etc/mdev.conf says.
    pub rules: Rules<Regex>,
    /// The device that holds the root directory.
    root: Option<Number>,
    /// Where messages go.
    pub voice: Voice,
}

impl Mdev {
    /// Reads the rules.
    pub fn new(voice: Voice) -> Self {
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

    /// Reads the rules anew.
    pub fn read_rules_again(&mut self) {
        self.rules = load_rules(self.voice);
    }

    /// Looks at every device once. False, with a message: /sys cannot be read.
    pub fn scan(&self) -> bool {
        let devices = match coldplug::devices() {
            Ok(devices) => devices,
            Err(e) => {
                let next = "is /sys mounted?";
                self.voice.say(format_args!("/sys/dev: read: {e}; {next}"));
                return false;
            }
        };
        let variables = self.rules.use_variables();
        for device in devices {
            if let Some(event) = device.event(variables, self.voice) {
                self.handle(&event, |command| command.run(self.voice));
            }
        }
        true
    }

    /// Does what the rules say about an event. The caller decides how a command is run.
    pub fn handle(&self, event: &Uevent, mut run: impl FnMut(Command)) {
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
    sort_by_key(&mut mistakes, |m| m.line);
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
pub struct Voice {
    /// The name that messages begin with.
    pub who: &'static str,
    /// How a line is written.
    pub write: fn(&str, &dyn Display),
    /// Whether what was done is told, too.
    pub details: bool,
    /// Whether the system's log is told, too.
    pub syslog: bool,
}

impl Voice {
    /// Reports a failure, or something that is good to know.
    pub fn say(self, what: impl Display) {
        (self.write)(self.who, &what);
        if self.syslog {
            // Facility daemon, level notice. Without a system log, the message is lost.
            let record = say::plain(&format!("<29>{}: {what}", self.who));
            let _unheard = UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                socket.send_to(record.as_bytes(), "/dev/log")
            });
        }
    }

    /// Reports what was done, if `-v` was given.
    pub fn detail(self, what: impl Display) {
        if self.details {
            self.say(what);
        }
    }
}
