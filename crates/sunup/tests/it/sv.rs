//! sv and svok against real supervisors, with Debian's sv as the oracle.
//!
//! Every test of a supervised service runs with each of [`supervisors`]. Where
//! outputs are compared, the oracle and the one under test each get a service of their own,
//! brought into the same state; pids and seconds are masked.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use model::format::status::{Phase, Status};
use rustix::process::{Pid, Signal, kill_process};

use super::common::{
    Fixture, debian, make_fifo, read_status, status, until_ready, wait_exit, yield_until,
};

mod calls;
mod check;
mod effect;
mod status;
mod verbs;

/// What may supervise: Debian's runsv, and the one under test.
fn supervisors(fixture: &Fixture) -> [PathBuf; 2] {
    [debian("runsv"), fixture.applet("runsv")]
}

/// A program that only obeys TERM and KILL, and says when it is ready.
const OBEYS_TERM: &str =
    "#!/bin/sh\ntrap '' HUP INT QUIT ALRM USR1 USR2\n: > ready\nexec sleep 100000\n";

/// One that only obeys KILL.
const IGNORES_TERM: &str =
    "#!/bin/sh\ntrap '' TERM HUP INT QUIT ALRM USR1 USR2\n: > ready\nexec sleep 100000\n";

const ENDS: &str = "#!/bin/sh\nexit 0\n";

const LOGS: &str = "#!/bin/sh\nexec cat > /dev/null\n";

/// A service with its running supervisor, which ends with it.
struct Supervised {
    dir: PathBuf,
    supervisor: Child,
}

impl Supervised {
    fn new(supervisor: &Path, dir: PathBuf) -> Self {
        let supervisor = Command::new(supervisor)
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { dir, supervisor };
        service.wait("status of a new supervisor", |_| true);
        // One writes its status before it makes the fifos, another after, and nothing
        // tells when it opens them.
        yield_until(|| service.connect("ok").ok());
        service
    }

    fn supervise(&self, name: &str) -> PathBuf {
        self.dir.join("supervise").join(name)
    }

    /// Waits until the status is as asked.
    fn wait(&self, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.dir, what, check)
    }

    fn status(&self) -> Option<Status> {
        read_status(&self.dir)
    }

    fn wait_ready(&self) {
        until_ready(&self.dir);
        self.wait("running service", |s| s.phase == Phase::Run);
    }

    /// Opens a fifo that somebody reads.
    fn connect(&self, fifo: &str) -> std::io::Result<fs::File> {
        fs::OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(self.supervise(fifo))
    }

    fn send(&self, bytes: &[u8]) {
        // A dead supervisor needs no command.
        if let Ok(control) = self.connect("control") {
            let _ = rustix::io::write(&control, bytes);
        }
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.supervisor), signal);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.send(b"dxk");
        // A hanging ./finish obeys no command of runit's runsv.
        if let Some(pid) = self
            .status()
            .and_then(|s| Pid::from_raw(s.pid.cast_signed()))
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.supervisor.wait();
    }
}

fn command(program: &Path, svdir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("SVDIR", svdir)
        .env_remove("SVWAIT")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Exit code and standard output, with pids and seconds masked.
fn masked(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let words = text.split(' ').map(|word| {
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        match (digits, &word[digits..]) {
            (1.., rest) if rest.starts_with(['s', ')']) => format!("N{rest}"),
            _ => word.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    (output.status.code(), text)
}

fn run(program: &Path, svdir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut child = command(program, svdir, args).spawn().unwrap();
    wait_exit(&mut child);
    masked(&child.wait_with_output().unwrap())
}

fn tested(fixture: &Fixture) -> PathBuf {
    fixture.applet("sv")
}

fn said(code: i32, text: &str) -> (Option<i32>, String) {
    (Some(code), text.to_owned())
}

fn add_fifo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    make_fifo(path);
}

/// A service whose supervisor has died: its fifos are left.
fn add_dead(fixture: &Fixture, name: &str) {
    for fifo in ["ok", "control"] {
        add_fifo(&fixture.path(&format!("{name}/supervise/{fifo}")));
    }
}

const VERBS: &[&str] = &[
    "status",
    "up",
    "down",
    "once",
    "pause",
    "cont",
    "hup",
    "alarm",
    "interrupt",
    "quit",
    "1",
    "2",
    "term",
    "kill",
    "exit",
    "start",
    "stop",
    "reload",
    "restart",
    "shutdown",
    "force-stop",
    "force-reload",
    "force-restart",
    "force-shutdown",
    "try-restart",
    "check",
    "X",
    "E",
    "D",
    "T",
];

/// Waits until the second of each status is over. To the reference a status of the same
/// second is a new one: its `sv restart` says ok before anything has happened.
fn until_another_second(services: &[Supervised]) {
    let changed = services.iter().filter_map(Supervised::status);
    let last = changed.map(|s| s.changed.unix_seconds()).max().unwrap();
    let now = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap().as_secs() as i64
    };
    yield_until(|| (now() > last).then_some(()));
}
