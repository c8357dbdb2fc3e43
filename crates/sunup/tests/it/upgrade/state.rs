//! What the new program knows: services, commands under way, title and environment are as
//! the old one left them.

use std::fs;
use std::io::Write;

use rustix::process::Signal;

use super::super::common::{
    SLEEP, down, ends, kill, lives, read_status, running, until_ready, wait_exit, wait_for,
    yield_until,
};
use super::{ECHO, LOG, Supervisor, descriptors, started};

#[test]
fn every_service_goes_on_and_no_line_is_lost() {
    let files = [
        ("scan/adopted/run", SLEEP),
        ("scan/child/run", SLEEP),
        ("scan/paused/run", SLEEP),
        ("scan/echo/run", ECHO),
        ("scan/echo/log/run", LOG),
        ("scan/off/run", SLEEP),
        ("scan/off/down", ""),
        ("scan/off/log/run", LOG),
    ];
    let mut supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan"]);
    let ups = ["adopted", "child", "paused", "echo", "echo/log", "off/log"];
    // The predecessor's services: all are adopted but for one that is started anew.
    let firsts = ups.map(|name| supervisor.status(name, "run", running).pid);
    kill(supervisor.pid(), Signal::KILL);
    wait_exit(&mut supervisor.child);
    supervisor.child = Supervisor::spawn(&supervisor.fixture, "runsvdir", &["-P", "scan"]);
    for name in ["paused", "child", "echo"] {
        supervisor.until_supervised(name);
    }
    supervisor.sv(&["restart", "child"]);
    supervisor.sv(&["pause", "paused"]);
    supervisor.sv(&["once", "echo"]);
    supervisor.status("paused", "paused", |s| s.paused);
    supervisor.status("echo", "once", |s| !s.want_up);
    let before = ups.map(|name| supervisor.status(name, "run", running));
    assert_eq!(before[0].pid, firsts[0]);
    assert_ne!(before[1].pid, firsts[1]);
    let starts = before.map(|s| started(s.pid));
    let path = supervisor.fixture.path("tell");
    let mut tell = fs::OpenOptions::new();
    let mut tell = tell.read(true).write(true).open(path).unwrap();
    tell.write_all(b"before\n").unwrap();
    supervisor.until_lines("echo", "before\n");

    let pid = supervisor.pid();
    let new = supervisor.replace();
    supervisor.command("adopted", "1");
    kill(pid, Signal::USR2);
    tell.write_all(b"meanwhile\n").unwrap();
    supervisor.command("off", "u");
    supervisor.until_runs(new);
    tell.write_all(b"afterwards\n").unwrap();

    supervisor.until_lines("echo", "before\nmeanwhile\nafterwards\n");
    supervisor.status("off", "up", running);
    // USR1 ended it.
    supervisor.status("adopted", "restarted", |s| running(s) && s.pid != firsts[0]);
    for (name, (was, start)) in ups.iter().zip(before.into_iter().zip(starts)).skip(1) {
        let is = supervisor.status(name, "run", running);
        assert_eq!(is, was, "{name}");
        assert_eq!(started(is.pid), start, "{name}");
    }
    assert!(lives(pid));
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}

#[test]
fn sv_notices_nothing_of_twenty_upgrades() {
    let files = [
        ("scan/a/run", SLEEP),
        ("scan/a/log/run", LOG),
        ("scan/b/run", SLEEP),
    ];
    let supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan"]);
    let names = ["a", "a/log"];
    let before = names.map(|name| supervisor.status(name, "run", running));
    supervisor.status("b", "run", running);
    let held = descriptors(supervisor.pid());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let mut count = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let said = supervisor.sv(&["status", "a"]);
                assert!(
                    said.starts_with("run: a: (pid ") && said.contains("; run: log: "),
                    "{said}"
                );
                let said = supervisor.sv(&["-w", "60", "restart", "b"]);
                assert!(said.starts_with("ok: run: b: "), "{said}");
                count += 1;
            }
            count
        });
        for _ in 0..20 {
            supervisor.upgrade();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(hammer.join().unwrap() > 0);
    });
    for (name, was) in names.into_iter().zip(before) {
        assert_eq!(supervisor.status(name, "run", running), was, "{name}");
    }
    yield_until(|| (descriptors(supervisor.pid()) <= held).then_some(()));
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}

/// It is told to exit, and does not end: it is not wanted up afterwards.
#[test]
fn runsv_does_not_forget_that_it_is_to_exit() {
    let run = "#!/bin/sh\ntrap '' TERM\n: >ready\nread line <../../tell\n";
    let files = [("scan/a/run", run), ("scan/a/log/run", LOG)];
    let mut supervisor = Supervisor::start(&files, "runsv", &["scan/a"]);
    let pids = ["a", "a/log"].map(|name| supervisor.status(name, "run", running).pid);
    until_ready(&supervisor.dir("a"));
    supervisor.upgrade();
    supervisor.command("a", "x");
    supervisor.status("a", "got term", |s| s.got_term && !s.want_up);
    supervisor.upgrade();
    assert_eq!(
        ["a", "a/log"].map(|n| supervisor.status(n, "run", running).pid),
        pids
    );
    let stat = fs::read_to_string(supervisor.dir("a/supervise/stat")).unwrap();
    assert_eq!(stat, "run, got TERM, want exit\n");
    kill(pids[0], Signal::KILL);
    assert_eq!(wait_exit(&mut supervisor.child).code(), Some(0));
    assert_eq!(supervisor.said(), "");
}

/// A service whose entry went, and one whose script holds the signal up.
#[test]
fn what_is_under_way_goes_on() {
    let files = [
        (
            "scan/going/run",
            "#!/bin/sh\ntrap '' TERM\n: >ready\nread line <../../tell\n",
        ),
        ("scan/stopping/run", SLEEP),
        (
            "scan/stopping/control/t",
            "#!/bin/sh\nread line <../../tell\necho >>asked\nexit 1\n",
        ),
    ];
    let supervisor = Supervisor::start(&files, "runsvdir", &["scan"]);
    let going = supervisor.status("going", "run", running).pid;
    let stopping = supervisor.status("stopping", "run", running).pid;
    until_ready(&supervisor.dir("going"));
    fs::rename(supervisor.dir("going"), supervisor.fixture.path("gone")).unwrap();
    let gone = supervisor.fixture.path("gone");
    wait_for("stop", &[&gone.join("supervise")], || {
        read_status(&gone).filter(|s| s.got_term && !s.want_up)
    });
    supervisor.command("stopping", "d");
    supervisor.status("stopping", "want down", |s| !s.want_up);
    supervisor.upgrade();
    assert!(lives(going) && lives(stopping));
    kill(going, Signal::KILL);
    assert!(ends(going));
    wait_for("end", &[&gone.join("supervise")], || {
        read_status(&gone).filter(down)
    });
    fs::write(supervisor.fixture.path("tell"), "\n").unwrap();
    supervisor.status("stopping", "down", down);
    assert_eq!(
        fs::read_to_string(supervisor.dir("stopping/asked")).unwrap(),
        "\n"
    );
    yield_until(|| {
        let record = fs::metadata(gone.join("supervise/lock")).unwrap();
        (record.len() == 0).then_some(())
    });
    supervisor.hang_up();
}

#[test]
fn title_and_what_services_are_given_stay_the_same() {
    let given = "#!/bin/sh
exec 3>&2 2>&1
(ulimit -Sn; ulimit -Hn; env; ls -l /proc/self/fd | grep -v /proc | wc -l) >>given.new
mv given.new given
exec sleep 1000 2>&3
";
    let says = "#!/bin/sh\nread line <../../tell\necho $line >&2\nexec sleep 1000\n";
    let files = [("scan/given/run", given), ("scan/says/run", says)];
    let log = format!("log: {}", ".".repeat(40));
    let supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan", &log]);
    let title = format!("/proc/{}/cmdline", supervisor.pid());
    let shows = |text: &str| {
        yield_until(|| {
            let title = fs::read_to_string(&title).unwrap_or_default();
            title.contains(text).then_some(())
        });
    };
    let dir = supervisor.dir("given");
    let given = || {
        let given = wait_for("given", &[&dir], || {
            fs::read_to_string(dir.join("given")).ok()
        });
        fs::remove_file(dir.join("given")).unwrap();
        given
    };
    let first = given();
    assert!(!first.contains("SUNUP_UPGRADE"), "{first}");
    let say = |what: &str| fs::write(supervisor.fixture.path("tell"), what).unwrap();
    supervisor.status("says", "run", running);
    say("first\n");
    shows(".....first\n");
    for what in ["second", "third"] {
        let pid = supervisor.pid();
        supervisor.upgrade();
        shows("first\n");
        // The new program begins with the line; this one comes after it.
        supervisor.sv(&["restart", "says", "given"]);
        say(&format!("{what}\n"));
        shows(&format!("{what}\n"));
        assert_eq!(given(), first);
        assert_eq!(supervisor.pid(), pid);
    }
    shows("first\nsecond\nthird\n");
    supervisor.hang_up();
}
