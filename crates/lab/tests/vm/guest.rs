//! A machine of ours to check: it boots, somebody logs in on its console, and
//! commands are typed there. What they say comes back on the port for results,
//! never from between the prompts.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use lab::boot::{Options, Parts, start_archive};
use lab::machine::{End, Machine};
use lab::rootfs::{self, Source};
use lab::{image, workspace};
use model::format::cpio::{Device, Node};
use rustix::fs::{FlockOperation, flock};

/// How long anything may take on a busy workstation that emulates a processor.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits in the machine, for what tells nobody when it happens.
const AWAIT: &str = "#!/bin/sh\n\
    # await CONDITION: looks until it holds; a minute at most.\n\
    for i in $(seq 600); do\n\teval \"$1\" && exit\n\tusleep 100000\ndone\n\
    echo \"await: $1: no\"\nexit 1\n";

/// Where a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// PID 1 in namespaces, without QEMU.
    Namespaces,
    /// QEMU, with Debian's kernel.
    Qemu,
}

/// How an image differs from ours.
#[derive(Clone, Copy)]
pub enum Change {
    /// An executable file, by its name without the first slash.
    Script(&'static str, &'static str),
    /// A file that is not executable.
    Plain(&'static str, &'static str),
    /// No file whose last component is this.
    Without(&'static str),
}

/// A running machine.
pub struct Guest {
    /// Where it runs.
    pub host: Host,
    machine: Machine,
    commands: u32,
    reported: bool,
    kernel_log: String,
    // One QEMU at a time on the workstation.
    _lock: Option<File>,
}

/// One machine on each kind of host: the one that checks share, or one of its own.
static SHARED: [Mutex<Option<Guest>>; 2] = [Mutex::new(None), Mutex::new(None)];

fn shared(host: Host) -> MutexGuard<'static, Option<Guest>> {
    let slot = &SHARED[usize::from(host == Host::Qemu)];
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a check that leaves the machine as it found it: up, with somebody logged
/// in. A machine whose check failed is not used again.
pub fn on_the_shared(host: Host, check: fn(&mut Guest)) {
    let mut slot = shared(host);
    let mut guest = slot.take().unwrap_or_else(|| {
        let mut guest = Guest::boot(host, &[]);
        guest.log_in();
        guest
    });
    check(&mut guest);
    *slot = Some(guest);
}

/// Runs a check on a machine of its own, switched on a moment ago.
pub fn on_its_own(host: Host, changes: &[Change], check: fn(Guest)) {
    let mut slot = shared(host);
    *slot = None;
    check(Guest::boot(host, changes));
}

/// Makes two tests, `NAME::in_namespaces` and `NAME::in_qemu`, of each function;
/// with changes, each on a machine of its own.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::guest::{Host, on_the_shared};
            #[test]
            fn in_namespaces() { on_the_shared(Host::Namespaces, super::$name); }
            #[test]
            fn in_qemu() { on_the_shared(Host::Qemu, super::$name); }
        }
    )+};
    ($($name:ident with $changes:expr),+ $(,)?) => {$(
        mod $name {
            #[allow(unused_imports)]
            use crate::guest::Change::*;
            use crate::guest::{Host, on_its_own};
            #[test]
            fn in_namespaces() { on_its_own(Host::Namespaces, $changes, super::$name); }
            #[test]
            fn in_qemu() { on_its_own(Host::Qemu, $changes, super::$name); }
        }
    )+};
}
pub(crate) use on_both;

impl Guest {
    fn boot(host: Host, changes: &[Change]) -> Self {
        let lock = (host == Host::Qemu).then(|| {
            let lock = File::open(workspace::scratch().unwrap()).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            lock
        });
        Self {
            host,
            machine: start(host, archive(changes)),
            commands: 0,
            reported: false,
            kernel_log: String::new(),
            _lock: lock,
        }
    }

    /// Waits for the login, logs in and waits for the prompt.
    pub fn log_in(&mut self) {
        self.expect(" login: ");
        self.type_line("root");
        self.expect("# ");
        // Lab has asked for a report, which is written beside the first login.
        while !self.reported {
            self.reported = self.result("report") == "report: end";
        }
    }

    /// Waits for `text` on the console.
    pub fn expect(&mut self, text: &str) {
        self.machine.expect(text, PATIENCE).unwrap();
    }

    /// Everything that the console showed so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(self.machine.transcript()).into_owned()
    }

    /// Types a line on the console.
    pub fn type_line(&mut self, line: &str) {
        self.machine.send(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Has the shell on the console run `script`, which must succeed; what it said.
    pub fn sh(&mut self, script: &str) -> String {
        let (said, code) = self.try_sh(script);
        assert_eq!(code, 0, "{script}\n{said}\n{}", self.machine.tail());
        said
    }

    /// As [`Guest::sh`], with the exit code.
    pub fn try_sh(&mut self, script: &str) -> (String, i32) {
        self.commands += 1;
        let done = format!("done-{} ", self.commands);
        // One write for all, so that other writers do not come between.
        self.type_line(&format!(
            "{{ {script}; }} >/tmp/said 2>&1; echo \"{done}$?\" >>/tmp/said; cat /tmp/said >/dev/ttyS1"
        ));
        let mut said = String::new();
        loop {
            let line = self.result(script);
            if let Some((before, code)) = line.split_once(&done) {
                said.push_str(before);
                return (said.trim_end().to_owned(), code.parse().unwrap());
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    /// The next line on the port for results that is not of the kernel's log.
    pub fn result(&mut self, what: &str) -> String {
        let log = &mut self.kernel_log;
        let take = |line: &str| {
            // In namespaces the port is the kernel's log, too.
            let logged = line.split_once('>').filter(|(level, _)| {
                level
                    .strip_prefix('<')
                    .is_some_and(|l| l.parse::<u8>().is_ok())
            });
            if let Some((_, text)) = logged {
                log.push_str(text);
                log.push('\n');
            }
            logged.is_none().then(|| line.to_owned())
        };
        self.machine.result(what, PATIENCE, take).unwrap()
    }

    /// The kernel's log.
    pub fn kernel_log(&mut self) -> String {
        match self.host {
            Host::Namespaces => self.kernel_log.clone(),
            Host::Qemu => self.sh("dmesg"),
        }
    }

    /// Waits for the machine's end.
    pub fn end(mut self) -> End {
        self.machine.end(PATIENCE).unwrap()
    }
}

/// Switches a machine on. It is killed with the thread that starts it, and may
/// be needed by more than one test: so that thread stays until the tests end.
fn start(host: Host, archive: Vec<u8>) -> Machine {
    let options = Options {
        enter: host == Host::Namespaces,
        ..Options::default()
    };
    let (hand_over, started) = channel();
    thread::spawn(move || {
        let lab = Path::new(env!("CARGO_BIN_EXE_lab"));
        let booted = start_archive(&options, archive, lab);
        hand_over.send(booted).unwrap();
        loop {
            thread::park();
        }
    });
    started.recv().unwrap().unwrap().machine
}

/// Our image with `changes`.
fn archive(changes: &[Change]) -> Vec<u8> {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    let source = SOURCE.get_or_init(|| Parts::default().source().unwrap());
    let mut tree = rootfs::tree(source).unwrap();
    tree.put_file(b"usr/bin/await", true, AWAIT.into());
    // For results of a machine whose stage 1 fails.
    let (major, minor) = (4, 65);
    tree.put(b"dev/ttyS1", 0o600, Node::Char(Device { major, minor }));
    for change in changes {
        match change {
            Change::Script(name, text) => {
                tree.put_file(name.as_bytes(), true, text.as_bytes().into());
            }
            Change::Plain(name, text) => {
                tree.put_file(name.as_bytes(), false, text.as_bytes().into());
            }
            Change::Without(base) => tree.remove_by_base(base.as_bytes()),
        }
    }
    image::archive(&tree).unwrap()
}

/// The process ids that a script says, a line each.
pub fn pids(said: &str) -> Vec<u32> {
    said.lines().map(|line| line.parse().unwrap()).collect()
}
