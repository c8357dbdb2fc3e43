//! A supervisor that was told to end, beside a service that takes no notice of TERM:
//! runsvdir, and runsv as process 1, say who they wait for, and told again they wait no
//! longer. runit's runsvdir never waits, and its runsv for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, down, ends, kill, lives, read_status, running, status, until_ready,
    until_supervise, until_unlocked, wait_exit, wait_for, yield_until,
};

const IGNORES_TERM: &str = "#!/bin/sh\ntrap '' TERM\n: >ready\nexec sleep 1000\n";

/// A runsvdir of a scan directory with a service that ignores TERM, and one that does
/// not; or a runsv of the first.
struct Runsvdir {
    fixture: Fixture,
    child: Child,
    /// Its pid, as seen from here: process 1 of a namespace is a child of `child`.
    pid: u32,
}

impl Runsvdir {
    fn start(command: &mut Command, is_pid_1: bool) -> Self {
        let runsvdir = Self::start_on("runsvdir", "scan", command, is_pid_1);
        yield_until(|| read_status(&runsvdir.dir("good")).filter(running));
        runsvdir
    }

    fn start_on(applet: &str, dir: &str, command: &mut Command, is_pid_1: bool) -> Self {
        let fixture = Fixture::new(&[("scan/bad/run", IGNORES_TERM), ("scan/good/run", SLEEP)]);
        command.arg(fixture.applet(applet));
        let stderr = fs::File::create(fixture.path("stderr")).unwrap();
        command.arg(fixture.path(dir)).stdin(Stdio::null());
        let child = command.stderr(stderr).spawn().unwrap();
        let pid = if is_pid_1 {
            let own = child.id();
            let children = format!("/proc/{own}/task/{own}/children");
            yield_until(|| fs::read_to_string(&children).ok()?.trim().parse().ok())
        } else {
            child.id()
        };
        let runsvdir = Self {
            fixture,
            child,
            pid,
        };
        let bad = runsvdir.dir("bad");
        until_supervise(&bad);
        until_ready(&bad);
        runsvdir.status("bad", running);
        runsvdir
    }

    fn plain() -> Self {
        // It becomes what it is given.
        Self::start(&mut Command::new("/usr/bin/env"), false)
    }

    fn pid_1() -> Self {
        Self::start(&mut enclosed(), true)
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn status(&self, name: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.dir(name), "status", check)
    }

    fn until_said(&self, words: &str) {
        wait_for(words, &[&self.fixture.path("")], || {
            let said = fs::read_to_string(self.fixture.path("stderr")).unwrap();
            said.contains(words).then_some(())
        });
    }

    fn code(&mut self) -> Option<i32> {
        wait_exit(&mut self.child).code()
    }
}

/// What makes a program process 1 of a namespace.
fn enclosed() -> Command {
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--user", "--map-root-user", "--mount-proc", "--pid"])
        .args(["--fork", "--kill-child"]);
    unshare
}

impl Drop for Runsvdir {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // Of process 1 nothing is left; its pids are not ours.
        if self.pid == self.child.id() {
            for status in ["bad", "good"]
                .iter()
                .filter_map(|n| read_status(&self.dir(n)))
            {
                if status.pid > 1 && lives(status.pid) {
                    kill(status.pid, Signal::KILL);
                }
            }
        }
    }
}

/// Who it waits for is said, until it is told again; a keeper is left then.
#[test]
fn a_second_hang_up_is_not_waited_for() {
    let mut runsvdir = Runsvdir::plain();
    let bad = runsvdir.status("bad", running);
    kill(runsvdir.pid, Signal::HUP);
    let words = format!(
        "runsvdir: waiting for the end of bad (pid {}); another HUP leaves",
        bad.pid
    );
    runsvdir.until_said(&words);
    runsvdir.status("good", down);
    assert!(runsvdir.child.try_wait().unwrap().is_none());
    kill(runsvdir.pid, Signal::HUP);
    assert_eq!(runsvdir.code(), Some(111));
    assert!(lives(bad.pid));
    // The keeper obeys, and ends with what it keeps.
    let control = runsvdir.dir("bad").join("supervise/control");
    fs::write(&control, "k").unwrap();
    assert!(ends(bad.pid));
    until_unsupervised(&runsvdir.dir("bad"));
}

/// Waits until nobody holds the service's lock.
fn until_unsupervised(dir: &Path) {
    until_unlocked(&dir.join("supervise/lock"));
}

/// As process 1 it is told once to stop all, and then not to wait; what ran is killed.
#[test]
fn process_1_ends_beside_whoever_ignores_term() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 111),
        // Ctrl-C in a container counts as TERM.
        (Signal::INT, Signal::INT, 111),
        (Signal::INT, Signal::TERM, 111),
        (Signal::HUP, Signal::HUP, 111),
    ] {
        let mut runsvdir = Runsvdir::pid_1();
        kill(runsvdir.pid, first);
        runsvdir.status("bad", |s| s.got_term);
        runsvdir.status("good", down);
        assert!(runsvdir.child.try_wait().unwrap().is_none());
        kill(runsvdir.pid, second);
        assert_eq!(runsvdir.code(), Some(code), "{first:?} {second:?}");
    }
}

#[test]
fn process_1_says_who_it_waits_for() {
    let runsvdir = Runsvdir::pid_1();
    kill(runsvdir.pid, Signal::INT);
    runsvdir.until_said("runsvdir: waiting for the end of bad (pid ");
    runsvdir.until_said("; another TERM kills them");
}

/// runsv as process 1: `docker run IMAGE runsv DIR`.
#[test]
fn runsv_as_process_1_ends_beside_whoever_ignores_term() {
    let mut runsv = Runsvdir::start_on("runsv", "scan/bad", &mut enclosed(), true);
    kill(runsv.pid, Signal::TERM);
    runsv.until_said("runsv: waiting for the end of ");
    runsv.until_said("/scan/bad (pid ");
    runsv.until_said("; another TERM kills them");
    assert!(runsv.child.try_wait().unwrap().is_none());
    kill(runsv.pid, Signal::INT);
    assert_eq!(runsv.code(), Some(111));
}

/// Elsewhere INT is nobody's wish to stop services: it ends the supervisor, as runit's.
#[test]
fn elsewhere_int_is_not_caught() {
    let mut runsvdir = Runsvdir::plain();
    let bad = runsvdir.status("bad", running);
    kill(runsvdir.pid, Signal::INT);
    assert_eq!(runsvdir.code(), None);
    assert!(lives(bad.pid));
}
