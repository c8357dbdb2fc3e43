//! How runsvdir ends by HUP and by TERM, and what follows when it is killed.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, ends, kill, lives, running, status, until_ready, wait_exit, wait_for,
    yield_until,
};
use super::{Runsvdir, all_pids, is_quick, lock_holder, wait_until_unsupervised};

/// D8: HUP, and it is gone when its services are.
#[test]
fn hang_up_waits_for_the_services() {
    let slow = "#!/bin/sh\ntrap 'kill -9 $!; sleep 1; exit' TERM\nsleep 1000 &\n: >ready\nwait\n";
    let fixture = Fixture::new(&[("scan/slow/run", slow)]);
    let mut runsvdir = Runsvdir::start(&fixture);
    let service = status(&fixture.path("scan/slow"), "slow", running);
    until_ready(&fixture.path("scan/slow"));
    kill(runsvdir.child.id(), Signal::HUP);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(111));
    assert!(!lives(service.pid));
}

/// D3: who supervises a service is killed. As init would, the test starts a
/// runsvdir again that has ended.
#[test]
fn the_death_of_a_supervisor_is_noticed_at_once() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    status(&dir, "run", running);
    let mut kill_one = |_| {
        let first = lock_holder(&dir).unwrap();
        kill(first, Signal::KILL);
        let start = Instant::now();
        yield_until(|| {
            if runsvdir.child.try_wait().unwrap().is_some() {
                runsvdir = Runsvdir::start(&fixture);
            }
            lock_holder(&dir).filter(|holder| *holder != first)
        });
        start.elapsed()
    };
    // What follows comes just after a poll, if there are any.
    kill_one(0);
    assert!(is_quick(kill_one));
}

/// kill -9 of the supervisor of many services.
#[test]
fn a_killed_supervisor_takes_all_back() {
    let fixture = Fixture::new(&[("scan/", "")]);
    for n in 0..20 {
        fixture.add(
            &format!("scan/s{n}/run"),
            "#!/bin/sh\necho up\nexec sleep 1000\n",
        );
        fixture.add(
            &format!("scan/s{n}/log/run"),
            "#!/bin/sh\nexec cat >>../lines\n",
        );
    }
    let dirs: Vec<PathBuf> = (0..20)
        .map(|n| fixture.path(&format!("scan/s{n}")))
        .collect();
    let first = Runsvdir::start(&fixture);
    let pids: Vec<u32> = dirs.iter().map(|d| status(d, "run", running).pid).collect();
    let loggers: Vec<u32> = dirs
        .iter()
        .map(|d| status(&d.join("log"), "log", running).pid)
        .collect();
    first.end_alone(Signal::KILL);
    assert!(pids.iter().chain(&loggers).all(|pid| lives(*pid)));
    // Two end while nobody watches.
    kill(pids[0], Signal::KILL);
    kill(loggers[1], Signal::KILL);
    assert!(ends(pids[0]) && ends(loggers[1]));

    let second = Runsvdir::start(&fixture);
    status(&dirs[0], "restarted", |s| running(s) && s.pid != pids[0]);
    status(&dirs[1].join("log"), "restarted", |s| {
        running(s) && s.pid != loggers[1]
    });
    for n in 1..20 {
        // The answer to a command shows that the new supervisor is there.
        fs::write(dirs[n].join("supervise/control"), "p").unwrap();
        let same = status(&dirs[n], "adopted", |s| s.paused);
        assert_eq!(same.pid, pids[n]);
        fs::write(dirs[n].join("supervise/control"), "c").unwrap();
    }
    second.hang_up();
    for dir in &dirs[1..] {
        assert_eq!(fs::read_to_string(dir.join("lines")).unwrap(), "up\n");
    }
}

/// TERM, as init sends it to everything: finish scripts run, loggers read to the
/// end, nothing is started again, and a later supervisor starts all anew.
#[test]
fn term_to_all_lets_everything_end() {
    let run = "#!/bin/sh\ntrap 'echo bye; kill $!; exit 0' TERM\necho up\nwhile :; do sleep 1000 & wait $!; kill $!; done\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", run),
        ("scan/web/finish", "#!/bin/sh\necho finish\n"),
        (
            "scan/web/log/run",
            "#!/bin/sh\ntrap '' TERM\nexec cat >>../lines\n",
        ),
    ]);
    let dir = fixture.path("scan/web");
    let lines = |n: usize| {
        wait_for("lines", &[&dir], || {
            let text = fs::read_to_string(dir.join("lines")).unwrap_or_default();
            (text.lines().count() >= n).then_some(text)
        })
    };
    let mut runsvdir = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    lines(1);
    kill(runsvdir.child.id(), Signal::TERM);
    kill(web.pid, Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    assert_eq!(lines(3), "up\nbye\nfinish\n");
    // If it took long, a keeper has written what came last.
    wait_until_unsupervised(&dir);
    assert!(all_pids(&runsvdir.scan).is_empty());
    let next = Runsvdir::start(&fixture);
    status(&dir, "run", running);
    next.hang_up();
}

/// Who stops everything is not kept by a command that comes late.
#[test]
fn nothing_is_called_back_after_hup() {
    let deaf = "#!/bin/sh\ntrap '' TERM\n: >ready\nwhile :; do sleep 1000; done\n";
    let fixture = Fixture::new(&[("scan/deaf/run", deaf)]);
    let dir = fixture.path("scan/deaf");
    let mut runsvdir = Runsvdir::start(&fixture);
    let deaf = status(&dir, "run", running);
    until_ready(&dir);
    kill(runsvdir.child.id(), Signal::HUP);
    status(&dir, "told", |s| s.got_term);
    assert!(runsvdir.child.try_wait().unwrap().is_none(), "it waits");
    fs::write(dir.join("supervise/control"), "uok").unwrap();
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(111));
    assert!(!lives(deaf.pid));
}
