//! `runsvdir -s SCRIPT`: the reference busybox and ours, side by side.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, down, file_of, kill, lives, make_fifo, read_status, running, status,
    until_ready, until_supervise, wait_exit, wait_for,
};
use super::machine::{Boot, Machine};
use super::reference;

/// Tells how it was called, and fails, which must not matter.
const TELL: &str = "#!/bin/sh\necho \"$# $1\" >> told\nexit 3\n";
/// The same, and waits at a fifo.
const TELL_AND_WAIT: &str = "#!/bin/sh\necho \"$# $1\" >> told\nread x < gate\n";

/// A runsvdir with a script, in a fixture that is its working directory.
struct Runsvdir {
    fixture: Fixture,
    child: Child,
}

impl Runsvdir {
    /// Starts the `runsvdir` of a directory of binaries, and waits for its service.
    fn start(bin: &Path, script: &str, content: &str) -> Self {
        let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("told", ""), (script, content)]);
        Self::start_in(fixture, bin, script)
    }

    fn start_in(fixture: Fixture, bin: &Path, script: &str) -> Self {
        make_fifo(fixture.path("gate"));
        let here = fixture.path(".");
        let mut path = vec![bin.to_owned(), here.clone()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let stderr = fs::File::create(fixture.path("stderr")).unwrap();
        let child = Command::new(bin.join("runsvdir"))
            .args(["-s", script, "scan"])
            .env("PATH", std::env::join_paths(path).unwrap())
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let runsvdir = Self { fixture, child };
        runsvdir.service_other_than(0);
        runsvdir
    }

    fn web(&self) -> PathBuf {
        self.fixture.path("scan/web")
    }

    /// The pid of the service, as soon as it is another one.
    fn service_other_than(&self, old: u32) -> u32 {
        let is_another = |s: &Status| running(s) && s.pid != old;
        status(&self.web(), "a running service", is_another).pid
    }

    fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    fn told(&self) -> String {
        fs::read_to_string(self.fixture.path("told")).unwrap()
    }

    fn until_told(&self, text: &str) {
        let dir = self.fixture.path(".");
        wait_for("script", &[&dir], || (self.told() == text).then_some(()));
    }

    /// Ends the scripts that wait, one of which must.
    fn open_gate(&self) {
        let gate = self.fixture.path("gate");
        drop(OpenOptions::new().write(true).open(gate).unwrap());
    }

    fn end(&mut self) -> Option<i32> {
        wait_exit(&mut self.child).code()
    }
}

impl Drop for Runsvdir {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // TERM leaves the service to whom supervises it then.
        let web = self.web();
        let pid = read_status(&web).map_or(0, |s| s.pid);
        if pid > 1 && lives(pid) {
            drop(fs::write(web.join("supervise/control"), "x"));
            wait_for("end", &[&web.join("supervise")], || {
                read_status(&web).filter(down)
            });
        }
    }
}

/// Directories of binaries that must agree: ours, and the reference's.
fn both(run: impl Fn(&Path)) {
    let ours = Fixture::new(&[]);
    run(&ours.bin(&["runsv", "runsvdir"]));
    run(&reference::busybox());
}

#[test]
fn the_script_gets_the_number_of_the_signal_and_its_code_does_not_count() {
    both(|bin| {
        for (signal, told, code) in [(Signal::TERM, "1 15\n", 0), (Signal::HUP, "1 1\n", 111)] {
            let mut runsvdir = Runsvdir::start(bin, "script", TELL);
            runsvdir.signal(signal);
            assert_eq!(runsvdir.end(), Some(code), "{}", bin.display());
            assert_eq!(runsvdir.told(), told, "{}", bin.display());
        }
    });
}

#[test]
fn the_signal_counts_when_the_script_has_ended() {
    both(|bin| {
        let mut runsvdir = Runsvdir::start(bin, "./script", TELL_AND_WAIT);
        runsvdir.signal(Signal::TERM);
        runsvdir.until_told("1 15\n");
        assert!(lives(runsvdir.child.id()), "{}", bin.display());
        runsvdir.open_gate();
        assert_eq!(runsvdir.end(), Some(0), "{}", bin.display());
    });
}

#[test]
fn a_service_that_ends_while_the_script_runs_is_started_again() {
    let ours = Fixture::new(&[]);
    let mut runsvdir = Runsvdir::start(&ours.bin(&["runsv", "runsvdir"]), "script", TELL_AND_WAIT);
    runsvdir.signal(Signal::HUP);
    runsvdir.until_told("1 1\n");
    let first = read_status(&runsvdir.web()).unwrap().pid;
    kill(first, Signal::KILL);
    let second = runsvdir.service_other_than(first);
    // Neither is a new service held up.
    runsvdir.fixture.add("late/run", SLEEP);
    let late = runsvdir.fixture.path("scan/late");
    fs::rename(runsvdir.fixture.path("late"), &late).unwrap();
    until_supervise(&late);
    runsvdir.open_gate();
    assert_eq!(runsvdir.end(), Some(111));
    assert!(!lives(second));
}

#[test]
fn the_same_signal_again_does_not_wait_for_a_hung_script() {
    let ours = Fixture::new(&[]);
    let mut runsvdir = Runsvdir::start(&ours.bin(&["runsv", "runsvdir"]), "script", TELL_AND_WAIT);
    runsvdir.signal(Signal::TERM);
    runsvdir.until_told("1 15\n");
    runsvdir.signal(Signal::TERM);
    assert_eq!(runsvdir.end(), Some(0));
    runsvdir.open_gate();
    assert_eq!(runsvdir.told(), "1 15\n");
}

#[test]
fn another_signal_meanwhile_has_its_turn() {
    let ours = Fixture::new(&[]);
    let slow = "#!/bin/sh\ntrap 'kill -9 $!; sleep 1; exit' TERM\nsleep 1000 &\n: >ready\nwait\n";
    let files = [
        ("scan/web/run", slow),
        ("told", ""),
        ("script", TELL_AND_WAIT),
    ];
    let fixture = Fixture::new(&files);
    let mut runsvdir = Runsvdir::start_in(fixture, &ours.bin(&["runsv", "runsvdir"]), "script");
    until_ready(&runsvdir.web());
    let service = read_status(&runsvdir.web()).unwrap().pid;
    runsvdir.signal(Signal::TERM);
    runsvdir.until_told("1 15\n");
    runsvdir.signal(Signal::HUP);
    runsvdir.open_gate();
    assert_eq!(runsvdir.end(), Some(111), "HUP after TERM stops all");
    assert!(!lives(service));
}

#[test]
fn a_script_that_cannot_be_started_is_named() {
    let ours = Fixture::new(&[]);
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let mut runsvdir = Runsvdir::start_in(fixture, &ours.bin(&["runsv", "runsvdir"]), "./none");
    runsvdir.signal(Signal::HUP);
    assert_eq!(runsvdir.end(), Some(111));
    assert_eq!(
        fs::read_to_string(runsvdir.fixture.path("stderr")).unwrap(),
        "runsvdir: start ./none for signal 1: No such file or directory\n"
    );
}

/// As process 1: the signals of halt, poweroff, reboot and Ctrl-Alt-Del are the
/// script's, and nothing ends the supervisor.
#[test]
fn process_1_leaves_the_end_to_the_script() {
    let reference = reference::busybox().join("busybox");
    for binary in [file_of("runsvdir"), reference] {
        let machine = Machine::boot(&Boot {
            file: Some(&binary),
            name: "runsvdir",
            args: "-s script /scan",
            files: &[
                ("sbin/runsvdir -> init", ""),
                ("sbin/runsv -> init", ""),
                ("sbin/script", "#!/bin/sh\necho $1 >> /events\n"),
                (
                    "scan/web/run",
                    "#!/bin/sh\necho web >> /events\nexec sleep 1000\n",
                ),
            ],
            env: &[("PATH", "/sbin:/usr/bin:/bin")],
            ..Boot::default()
        });
        machine.until_event("web");
        let mut expected = vec!["web"];
        let signals = [
            (Signal::USR1, "10"),
            (Signal::USR2, "12"),
            (Signal::INT, "2"),
            (Signal::TERM, "15"),
            (Signal::HUP, "1"),
        ];
        for (signal, number) in signals {
            machine.signal(signal);
            expected.push(number);
            machine.until("script", |events, _| events == expected);
        }
        // HUP ends the services, which are started again.
        expected.push("web");
        machine.until("second start", |events, _| events == expected);
    }
}
