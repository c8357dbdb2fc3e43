//! A supervisor is never deaf: not while it starts many, and not while a program
//! hangs in its exec.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::format::status::Phase;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, down, kill, lives, read_status, running, status, wait_exit, wait_for,
};
use super::lease::Lease;
use super::runsvdir::{Runsvdir, lock_holder};

/// Services `a`, which hangs when it is started, and others.
struct Tree {
    fixture: Fixture,
    lease: Option<Lease>,
}

impl Tree {
    /// `a` has this `run`, and is down.
    fn new(others: &[&str]) -> Self {
        let fixture = Fixture::new(&[("scan/a/run", SLEEP), ("scan/a/down", "")]);
        for name in others {
            fixture.add(&format!("scan/{name}/run"), SLEEP);
        }
        let lease = Some(Lease::take(&fixture.path("scan/a/run")));
        Self { fixture, lease }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn sv(&self, words: &[&str]) -> String {
        let output = sv(words).env("SVDIR", self.fixture.path("scan")).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }

    /// Starts `a`; its process, which hangs.
    fn hang(&self) -> u32 {
        status(&self.dir("a"), "down", down);
        let fifo = self.dir("a").join("supervise/ok");
        wait_for("fifo", &[&self.dir("a/supervise")], || {
            fs::metadata(&fifo).ok()
        });
        fs::write(self.dir("a/supervise/control"), "u").unwrap();
        let hangs = status(&self.dir("a"), "a process", |s| s.pid != 0);
        assert!(hangs.phase == Phase::Down && hangs.want_up, "{hangs:?}");
        hangs.pid
    }

    /// Whether its process, which has this pid, still hangs.
    fn hangs(&self, pid: u32) -> bool {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        read_status(&self.dir("a")).is_some_and(|s| s.pid == pid) && !program.ends_with("sleep")
    }
}

fn sv(words: &[&str]) -> Command {
    let mut sv = applet("sv");
    sv.args(["-w", "50"]).args(words);
    sv
}

#[test]
fn a_program_that_hangs_holds_up_no_other_service() {
    let mut tree = Tree::new(&["b", "c"]);
    let runsvdir = Runsvdir::start(&tree.fixture);
    let before = status(&tree.dir("b"), "run", running).pid;
    let hangs = tree.hang();
    tree.sv(&["restart", "b"]);
    let after = status(&tree.dir("b"), "run", running).pid;
    assert_ne!(before, after);
    tree.fixture.add("d/run", SLEEP);
    fs::rename(tree.fixture.path("d"), tree.dir("d")).unwrap();
    status(&tree.dir("d"), "run", running);
    let pid = status(&tree.dir("c"), "run", running).pid;
    kill(pid, Signal::KILL);
    status(&tree.dir("c"), "run", |s| running(s) && s.pid != pid);
    assert!(tree.hangs(hangs));
    let shown = tree.sv(&["status", "a"]);
    let end = format!("s, want up, starting (pid {hangs})\n");
    let fits = shown.starts_with("down: a: ") && shown.ends_with(&end);
    assert!(fits, "{shown}");
    tree.lease = None;
    status(&tree.dir("a"), "run", |s| running(s) && s.pid == hangs);
    runsvdir.hang_up();
}

#[test]
fn a_stop_ends_a_program_that_hangs() {
    let tree = Tree::new(&["b"]);
    let runsvdir = Runsvdir::start(&tree.fixture);
    let hangs = tree.hang();
    tree.sv(&["down", "a"]);
    assert!(!lives(hangs));
    let hangs = tree.hang();
    runsvdir.hang_up();
    assert!(!lives(hangs));
}

/// More of them than the supervisor has places for starts that go well.
#[test]
fn many_programs_that_hang_hold_up_no_other_service() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let mut tree = Tree::new(&["b"]);
    let lease = |name: &String| {
        tree.fixture.add(&format!("scan/{name}/run"), SLEEP);
        Lease::take(&tree.dir(name).join("run"))
    };
    let leases: Vec<Lease> = names.iter().map(lease).collect();
    let runsvdir = Runsvdir::start(&tree.fixture);
    let hang: Vec<u32> = names
        .iter()
        .map(|name| status(&tree.dir(name), "a process", |s| s.pid != 0).pid)
        .collect();
    tree.sv(&["restart", "b"]);
    drop(leases);
    tree.lease = None;
    for (name, pid) in names.iter().zip(hang) {
        status(&tree.dir(name), "run", |s| running(s) && s.pid == pid);
    }
    runsvdir.hang_up();
}

#[test]
fn a_program_that_hangs_is_taken_over_whoever_comes() {
    for way in [Signal::KILL, Signal::TERM, Signal::USR2] {
        let mut tree = Tree::new(&["b"]);
        let mut runsvdir = Runsvdir::start(&tree.fixture);
        let hangs = tree.hang();
        kill(runsvdir.child.id(), way);
        if way != Signal::USR2 {
            wait_exit(&mut runsvdir.child);
            std::mem::forget(runsvdir);
            runsvdir = Runsvdir::start(&tree.fixture);
            let successor = Some(runsvdir.child.id());
            wait_for("successor", &[&tree.dir("a/supervise")], || {
                (lock_holder(&tree.dir("a")) == successor).then_some(())
            });
        }
        // It counts as started: there is a process.
        status(&tree.dir("a"), "run", |s| running(s) && s.pid == hangs);
        assert!(tree.hangs(hangs), "{way:?}");
        tree.sv(&["check", "b"]);
        tree.lease = None;
        has_program(hangs);
        runsvdir.hang_up();
    }
}

/// Waits until a process has its program.
fn has_program(pid: u32) {
    let exe = format!("/proc/{pid}/exe");
    super::common::yield_until(|| fs::read_link(&exe).ok().filter(|exe| is_program(exe)));
}

fn is_program(exe: &Path) -> bool {
    exe.ends_with("sleep") || exe.ends_with("busybox")
}

/// The first of many shows that it runs before the last is supervised.
#[test]
fn state_files_do_not_wait_for_the_last_of_many() {
    const MANY: usize = 400;
    const TRIES: usize = 5;
    let is_shown_in_time = || {
        let fixture = Fixture::new(&[]);
        for n in 0..MANY {
            fixture.add(&format!("scan/{n:03}/run"), SLEEP);
        }
        let runsvdir = Runsvdir::start(&fixture);
        status(&fixture.path("scan/000"), "run", running);
        let last = fixture.path(&format!("scan/{:03}/supervise", MANY - 1));
        let in_time = !last.exists();
        status(last.parent().unwrap(), "run", running);
        runsvdir.hang_up();
        in_time
    };
    // The test may be slow where the supervisor is not; the other way round it is never in time.
    assert!((0..TRIES).any(|_| is_shown_in_time()));
}

/// Whoever ends at once, and how many they are, others are heard.
#[test]
fn two_thousand_that_end_at_once_make_nobody_deaf() {
    let fixture = Fixture::new(&[("scan/good/run", SLEEP)]);
    // As little as can be, for two thousand of them are started in a second.
    for n in 0..2000 {
        fixture.add(&format!("scan/{n}/run -> /bin/false"), "");
    }
    let runsvdir = Runsvdir::start(&fixture);
    let good = fixture.path("scan/good");
    wait_for("crash loop", &[&fixture.path("")], || {
        runsvdir.said().contains("crash loop").then_some(())
    });
    let before = status(&good, "run", running).pid;
    let restarted = sv(&["restart"]).arg(&good).status().unwrap();
    assert!(restarted.success());
    assert_ne!(status(&good, "run", running).pid, before);
    runsvdir.hang_up();
}
