//! After TERM a keeper has the services that still run. It obeys commands, and lets the
//! next runsvdir take over.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, applet, down, ends, kill, lives, read_status, running, status, until_ready,
    wait_exit, wait_for,
};
use super::{Runsvdir, lock_holder, wait_until_unsupervised};

/// It ends by KILL alone.
const DEAF: &str = "#!/bin/sh\ntrap '' TERM\n: >ready\nwhile :; do sleep 1; done\n";

/// TERM while services run: runsvdir leaves at once, as runit's does, and the
/// services can still be controlled. (Stage 3 stops them with sv.)
#[test]
fn term_leaves_a_keeper() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/finish", "#!/bin/sh\necho finish >>lines\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat\n"),
        ("scan/once/run", "#!/bin/sh\nexec sleep 1000\n"),
    ]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    let once = status(&fixture.path("scan/once"), "run", running);
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    assert!(lives(web.pid));
    // What ends by itself is not started again.
    kill(once.pid, Signal::KILL);
    status(&fixture.path("scan/once"), "once", down);
    fs::write(dir.join("supervise/control"), "d").unwrap();
    status(&dir, "down", down);
    assert_eq!(fs::read_to_string(dir.join("lines")).unwrap(), "finish\n");
    // The keeper ends, and with it the last reader of the fifo.
    wait_until_unsupervised(&dir);
}

/// `sv` may come too late to see the keeper: that ends with what it was told to stop.
#[test]
fn what_a_keeper_did_last_is_done() {
    for (verb, words) in [
        ("stop", "ok: down: web: "),
        ("force-stop", "ok: down: web: "),
        ("shutdown", "ok: web: runsv not running\n"),
    ] {
        let fixture = Fixture::new(&[("scan/web/run", DEAF)]);
        let dir = fixture.path("scan/web");
        let first = Runsvdir::start(&fixture);
        until_ready(&dir);
        let web = status(&dir, "run", running);
        assert_eq!(first.end_alone(Signal::TERM), Some(0));
        let sv = applet("sv")
            .args(["-w", "60", verb, "web"])
            .env("SVDIR", fixture.path("scan"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        status(&dir, "TERM", |s| s.got_term);
        kill(sv.id(), Signal::STOP);
        kill(web.pid, Signal::KILL);
        wait_until_unsupervised(&dir);
        kill(sv.id(), Signal::CONT);
        let output = sv.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with(words), "{verb}: {said}");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// The next runsvdir takes the services over from the keeper.
#[test]
fn a_keeper_lets_go_of_its_services() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/log/run", "#!/bin/sh\nexec cat\n"),
    ]);
    let dir = fixture.path("scan/web");
    let first = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    let logger = status(&dir.join("log"), "run", running);
    first.end_alone(Signal::TERM);
    let second = Runsvdir::start(&fixture);
    // The new supervisor writes the status once it holds the lock.
    let holder = Some(second.child.id());
    wait_for("new holder", &[&dir.join("supervise")], || {
        (lock_holder(&dir) == holder).then_some(())
    });
    kill(web.pid, Signal::KILL);
    status(&dir, "restarted", |s| running(s) && s.pid != web.pid);
    assert!(lives(logger.pid));
    second.hang_up();
    assert!(!lives(logger.pid));
}

/// A command that reaches the keeper together with the wish to let go is obeyed.
#[test]
fn a_keeper_obeys_before_it_lets_go() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let dir = fixture.path("scan/web");
    let first = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    first.end_alone(Signal::TERM);
    fs::write(dir.join("supervise/control"), "d!").unwrap();
    wait_until_unsupervised(&dir);
    let told = read_status(&dir).unwrap();
    assert!(!told.want_up);
    assert!(ends(web.pid));
}

/// A service whose `control/u` runs when the keeper is forked is kept, too.
#[test]
fn a_service_that_is_being_prepared_is_kept() {
    let prepare = "#!/bin/sh\necho $$ >../../prepare\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/control/u", prepare)]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let script: u32 = wait_for("control/u", &[&fixture.path("")], || {
        let text = fs::read_to_string(fixture.path("prepare")).ok()?;
        text.trim().parse().ok()
    });
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    let web = status(&dir, "run", running);
    kill(web.pid, Signal::KILL);
    kill(script, Signal::KILL);
    status(&dir, "down", down);
    wait_until_unsupervised(&dir);
}

/// A restart under a keeper: the logger is still there for the second run.
#[test]
fn a_restart_under_a_keeper_is_logged() {
    let fixture = Fixture::new(&[
        // It has the keeper stay while web is down.
        ("scan/other/run", SLEEP),
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "run", running);
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    fs::write(dir.join("supervise/control"), "d").unwrap();
    status(&dir, "down", down);
    fs::write(dir.join("supervise/control"), "u").unwrap();
    let again = status(&dir, "run", |s| running(s) && s.pid != web.pid);
    wait_for("two lines", &[&dir], || {
        let lines = fs::read_to_string(dir.join("lines")).unwrap_or_default();
        (lines == "up\nup\n").then_some(())
    });
    kill(other.pid, Signal::KILL);
    kill(again.pid, Signal::KILL);
    wait_until_unsupervised(&dir);
}

/// A service that is started after the keeper let its logger end gets it back,
/// with a new pipe; and so does the next supervisor's.
#[test]
fn a_logger_that_ended_with_its_service_comes_back() {
    let fixture = Fixture::new(&[
        ("scan/other/run", SLEEP),
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let dir = fixture.path("scan/web");
    let lines = |n: usize| {
        wait_for("lines", &[&dir], || {
            let lines = fs::read_to_string(dir.join("lines")).ok()?;
            (lines.lines().count() == n).then_some(())
        });
    };
    let first = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "run", running);
    assert_eq!(first.end_alone(Signal::TERM), Some(0));
    kill(web.pid, Signal::KILL);
    status(&dir.join("log"), "no logger", down);
    fs::write(dir.join("supervise/control"), "o").unwrap();
    let again = status(&dir, "run", |s| running(s) && s.pid != web.pid);
    status(&dir.join("log"), "a logger", running);
    lines(2);
    kill(again.pid, Signal::KILL);
    status(&dir.join("log"), "no logger", down);
    kill(other.pid, Signal::KILL);
    wait_until_unsupervised(&dir);
    let second = Runsvdir::start(&fixture);
    status(&dir.join("log"), "a logger", running);
    fs::write(dir.join("supervise/control"), "u").unwrap();
    lines(3);
    second.hang_up();
}
