//! What somebody removes from under a supervisor that works: `supervise`, its
//! fifos and its lock are made again with the next change of the service.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::Bad::{Binary, Dangling, Fifo};
use super::{assert_says, ours, run, until_ready, until_ready_but};
use crate::common::{Fixture, SLEEP, end_by, kill, lives, read_status, wait_exit, wait_for};

struct Runsv {
    fixture: Fixture,
    child: Child,
}

impl Runsv {
    fn start() -> Self {
        Self::on(Fixture::new(&[("web/run", SLEEP)]))
    }

    fn on(fixture: Fixture) -> Self {
        let child = ours("runsv")
            .arg(fixture.path("web"))
            .stdout(Stdio::null())
            .stderr(File::create(fixture.path("said")).unwrap())
            .spawn()
            .unwrap();
        let runsv = Self { fixture, child };
        until_ready(&runsv.dir());
        runsv
    }

    fn dir(&self) -> PathBuf {
        self.fixture.path("web")
    }

    fn supervise(&self, name: &str) -> PathBuf {
        self.dir().join("supervise").join(name)
    }

    /// Ends the service's process, and waits for the files of the next one.
    fn change(&self, pid: u32) {
        kill(pid, Signal::KILL);
        until_ready_but(&self.dir(), Some(pid));
    }

    fn sv(&self, verb: &str) {
        let ran = run(verb, ours("sv").args(["-w60", verb]).arg(self.dir()));
        assert_eq!(ran.code, 0, "{}{}", ran.out, self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("said")).unwrap()
    }

    fn end(mut self) {
        self.sv("exit");
        assert_eq!(wait_exit(&mut self.child).code(), Some(0));
        assert_eq!(self.said(), "");
    }
}

impl Drop for Runsv {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::TERM);
    }
}

fn pid_of(dir: &Path) -> u32 {
    read_status(dir).unwrap().pid
}

/// These tests wait for the next process, not for the status of the one that they have
/// killed, which stays until the supervisor has seen the end.
#[test]
fn the_status_of_before_is_no_answer() {
    let runsv = Runsv::start();
    let (dir, pid) = (runsv.dir(), pid_of(&runsv.dir()));
    kill(runsv.child.id(), Signal::STOP);
    kill(pid, Signal::KILL);
    let (tell, told) = channel();
    let waits = thread::spawn(move || tell.send(until_ready_but(&dir, Some(pid))));
    // Long enough for whoever takes what is there.
    let early = told.recv_timeout(Duration::from_millis(300));
    kill(runsv.child.id(), Signal::CONT);
    assert_eq!(early, Err(RecvTimeoutError::Timeout), "{pid}");
    assert_ne!(told.recv().unwrap(), pid);
    waits.join().unwrap().unwrap();
    runsv.end();
}

#[test]
fn the_directory() {
    let runsv = Runsv::start();
    let pid = pid_of(&runsv.dir());
    fs::remove_dir_all(runsv.supervise("")).unwrap();
    runsv.change(pid);
    runsv.sv("restart");
    // The lock is held again: there is no second supervisor, and so no second copy.
    let ran = run("second", ours("runsv").arg(runsv.dir()));
    let part = "another supervisor holds supervise/lock";
    assert_says("second", &ran.errors, "runsv", "web", part);
    assert_eq!(ran.code, 111);
    runsv.end();
}

/// What is in the lock comes back, too: a successor takes the service over.
#[test]
fn the_record_of_the_process() {
    let mut runsv = Runsv::start();
    let pid = pid_of(&runsv.dir());
    fs::remove_dir_all(runsv.supervise("")).unwrap();
    runsv.change(pid);
    let pid = pid_of(&runsv.dir());
    kill(runsv.child.id(), Signal::KILL);
    wait_exit(&mut runsv.child);
    let fixture = std::mem::replace(&mut runsv.fixture, Fixture::new(&[]));
    let successor = Runsv::on(fixture);
    assert_eq!(pid_of(&successor.dir()), pid);
    assert!(lives(pid));
    successor.end();
}

#[test]
fn the_lock_alone() {
    let runsv = Runsv::start();
    let pid = pid_of(&runsv.dir());
    fs::remove_file(runsv.supervise("lock")).unwrap();
    kill(pid, Signal::KILL);
    wait_for("lock", &[&runsv.supervise("")], || {
        runsv.supervise("lock").exists().then_some(())
    });
    let ran = run("second", ours("runsv").arg(runsv.dir()));
    assert_eq!(ran.code, 111, "{}", ran.errors);
    until_ready(&runsv.dir());
    runsv.end();
}

#[test]
fn the_fifos() {
    for name in ["control", "ok"] {
        let runsv = Runsv::start();
        let pid = pid_of(&runsv.dir());
        fs::remove_file(runsv.supervise(name)).unwrap();
        runsv.change(pid);
        runsv.sv("restart");
        runsv.end();
    }
}

#[test]
fn fifos_in_whose_place_something_else_stands() {
    for bad in [Binary, Fifo, Dangling] {
        let runsv = Runsv::start();
        bad.put(&runsv.supervise("control"));
        // Tells when the supervisor is through with it.
        fs::remove_file(runsv.supervise("ok")).unwrap();
        runsv.change(pid_of(&runsv.dir()));
        runsv.sv("restart");
        runsv.end();
    }
}
