//! A seat at a machine's console: what is typed there, and what comes back on the
//! port for results, never from between the prompts.

use std::fs::File;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use lab::machine::{End, Machine};
use lab::workspace;
use rustix::fs::{FlockOperation, flock};

/// How long anything may take on a busy workstation that emulates a processor.
const PATIENCE: Duration = Duration::from_mins(10);

/// A program of the machine: waits for what tells nobody when it happens. What it
/// says is what the last look said: those before it failed, and may have said so.
pub const AWAIT: &str = r#"#!/bin/sh
# await CONDITION: looks until it holds; a minute at most.
code=1
for i in $(seq 600); do
    said=$(eval "$1" 2>&1) && code=0 && break
    sleep 0.1
done
[ -z "$said" ] || printf '%s\n' "$said"
[ "$code" = 0 ] || echo "await: $1: no"
exit "$code"
"#;

/// Where a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// PID 1 in namespaces, without QEMU.
    Namespaces,
    /// QEMU, with a real kernel.
    Qemu,
}

/// See the module.
pub struct Seat {
    machine: Machine,
    commands: u32,
    /// The terminal in the machine that is the port for results.
    pub results: &'static str,
    /// What came of the kernel's log with the results.
    pub kernel_log: String,
    // One QEMU at a time on the workstation.
    _lock: Option<File>,
}

impl Seat {
    /// Switches a machine on. It is killed with the thread that starts it, and may
    /// be needed by more than one test: so that thread stays until the tests end.
    pub fn new(
        host: Host,
        start: impl FnOnce() -> anyhow::Result<Machine> + Send + 'static,
    ) -> Self {
        let lock = (host == Host::Qemu).then(|| {
            let lock = File::open(workspace::scratch().unwrap()).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            lock
        });
        let (hand_over, started) = channel();
        thread::spawn(move || {
            hand_over.send(start()).unwrap();
            loop {
                thread::park();
            }
        });
        Self {
            machine: started.recv().unwrap().unwrap(),
            commands: 0,
            results: "ttyS1",
            kernel_log: String::new(),
            _lock: lock,
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

    /// As [`Seat::sh`], with the exit code.
    pub fn try_sh(&mut self, script: &str) -> (String, i32) {
        self.commands += 1;
        let done = format!("done-{} ", self.commands);
        // One write for all, so that other writers do not come between.
        self.type_line(&format!(
            "{{ {script}; }} >/tmp/said 2>&1; echo \"{done}$?\" >>/tmp/said; cat /tmp/said >/dev/{}",
            self.results
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

    /// The next line on the port for results that is not of the kernel's log: in
    /// namespaces the port is that, too.
    pub fn result(&mut self, what: &str) -> String {
        let log = &mut self.kernel_log;
        let take = |line: &str| {
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

    /// Waits for the machine's end.
    pub fn end(mut self) -> End {
        self.machine.end(PATIENCE).unwrap()
    }
}
