//! `setup`: before each run, and in its place as a oneshot, which is done once in a boot
//! whatever becomes of the supervisor. Every program notes what it does in one file.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::format::status::Phase;
use rustix::process::Signal;

use super::common::{Fixture, done, down, kill, lives, read_status, running, status, wait_for};
use super::runsvdir::Runsvdir;

const SETUP: &str = "#!/bin/sh\necho setup >>../../notes/all\n";
const RUN: &str = "#!/bin/sh\necho run >>../../notes/all\nexec sleep 1000\n";
const FINISH: &str = "#!/bin/sh\n\
    echo \"finish $1 $2 $SUNUP_RESULT $SUNUP_TRIES\" >>../../notes/all\n";

fn fixture(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new(&[("notes/", ""), ("scan/job/", "")]);
    for (name, content) in files {
        fixture.add(&format!("scan/job/{name}"), content);
    }
    fixture
}

fn job(fixture: &Fixture) -> PathBuf {
    fixture.path("scan/job")
}

fn notes(fixture: &Fixture) -> Vec<String> {
    let all = fs::read_to_string(fixture.path("notes/all")).unwrap_or_default();
    all.lines().map(String::from).collect()
}

/// Waits until exactly this was noted.
fn until_noted(fixture: &Fixture, expected: &[&str]) {
    wait_for(&format!("{expected:?}"), &[&fixture.path("notes")], || {
        let noted = notes(fixture);
        assert!(noted.len() <= expected.len(), "{noted:?}, not {expected:?}");
        (noted == expected).then_some(())
    });
}

fn until_done(fixture: &Fixture) {
    status(&job(fixture), "done", done);
}

fn command(fixture: &Fixture, letter: &str) {
    fs::write(job(fixture).join("supervise/control"), letter).unwrap();
}

#[test]
fn a_oneshot_is_done_until_it_is_told_otherwise() {
    let hup = "#!/bin/sh\necho \"h $1\" >>../../notes/all\n";
    let fixture = fixture(&[("setup", SETUP), ("finish", FINISH), ("control/h", hup)]);
    let supervisor = Runsvdir::start(&fixture);
    until_done(&fixture);
    let stat = fs::read_to_string(job(&fixture).join("supervise/stat")).unwrap();
    assert_eq!(stat, "run\n");
    command(&fixture, "h");
    until_noted(&fixture, &["setup", "h 0"]);
    // It has no process, and to be started once is all there is.
    command(&fixture, "pckuo");
    command(&fixture, "t");
    let again = ["setup", "h 0", "finish 0 0 exit 0", "setup"];
    until_noted(&fixture, &again);
    until_done(&fixture);
    command(&fixture, "d");
    status(&job(&fixture), "down", down);
    until_noted(&fixture, &[&again[..], &["finish 0 0 exit 0"]].concat());
    command(&fixture, "o");
    until_done(&fixture);
    supervisor.hang_up();
    let all = [
        &again[..],
        &["finish 0 0 exit 0", "setup", "finish 0 0 exit 0"],
    ]
    .concat();
    until_noted(&fixture, &all);
}

/// As often as there is time for, but not more than a thousand times.
#[test]
fn what_is_done_is_not_done_again_however_often_the_supervisor_is_killed() {
    let fixture = fixture(&[("setup", SETUP), ("finish", FINISH)]);
    let mut supervisor = Runsvdir::start(&fixture);
    until_done(&fixture);
    let begun = Instant::now();
    for n in 0..1000 {
        if n >= 20 && begun.elapsed() > Duration::from_secs(20) {
            break;
        }
        supervisor.end_alone(Signal::KILL);
        let before = read_status(&job(&fixture)).unwrap();
        supervisor = Runsvdir::start(&fixture);
        if n % 20 == 0 {
            // It obeys, and knows since when it is done.
            command(&fixture, "u");
            let now = status(&job(&fixture), "done", done);
            assert_eq!(now.changed, before.changed);
        }
    }
    until_noted(&fixture, &["setup"]);
    // TERM leaves it done, too.
    supervisor.end_alone(Signal::TERM);
    let supervisor = Runsvdir::start(&fixture);
    command(&fixture, "d");
    status(&job(&fixture), "down", down);
    until_noted(&fixture, &["setup", "finish 0 0 exit 0"]);
    supervisor.hang_up();
}

/// Nothing has undone it: without `finish` it stays done when its link goes.
#[test]
fn a_link_that_comes_back_finds_done_what_was_not_undone() {
    for (finish, after) in [
        (None, &["setup"][..]),
        (Some(FINISH), &["setup", "finish 0 0 exit 0", "setup"]),
    ] {
        let fixture = Fixture::new(&[("notes/", ""), ("scan/", ""), ("sv/job/setup", SETUP)]);
        if let Some(finish) = finish {
            fixture.add("sv/job/finish", finish);
        }
        let link = || fixture.add("scan/job -> ../sv/job", "");
        link();
        let supervisor = Runsvdir::start(&fixture);
        until_done(&fixture);
        let lock = fixture.path("sv/job/supervise/lock");
        fs::remove_file(fixture.path("scan/job")).unwrap();
        super::common::until_unlocked(&lock);
        link();
        until_noted(&fixture, after);
        until_done(&fixture);
        command(&fixture, "d");
        status(&job(&fixture), "down", down);
        command(&fixture, "u");
        until_done(&fixture);
        assert_eq!(notes(&fixture).last().map(String::as_str), Some("setup"));
        supervisor.hang_up();
    }
}

#[test]
fn before_a_run_comes_control_u_and_then_setup() {
    let u = "#!/bin/sh\necho u >>../../notes/all\n";
    let fixture = fixture(&[
        ("setup", SETUP),
        ("run", RUN),
        ("control/u", u),
        ("finish", FINISH),
    ]);
    let supervisor = Runsvdir::start(&fixture);
    status(&job(&fixture), "run", running);
    until_noted(&fixture, &["u", "setup", "run"]);
    command(&fixture, "t");
    let again = [
        "u",
        "setup",
        "run",
        "finish -1 15 signal 0",
        "u",
        "setup",
        "run",
    ];
    until_noted(&fixture, &again);
    supervisor.hang_up();
}

#[test]
fn a_setup_that_fails_is_a_start_that_failed() {
    // 111: there is no sense in another try.
    let setup = "#!/bin/sh\necho setup >>../../notes/all\nexec ../../notes/end\n";
    let end = "#!/bin/sh\ncd ${0%/*}\n[ -e was ] && exit 111\n: >was\nexit 3\n";
    let fixture = fixture(&[("setup", setup), ("run", RUN), ("finish", FINISH)]);
    fixture.add("notes/end", end);
    let supervisor = Runsvdir::start(&fixture);
    let two = [
        "setup",
        "finish 111 0 setup 1",
        "setup",
        "finish 111 0 setup 2",
    ];
    until_noted(&fixture, &two);
    status(&job(&fixture), "down", |s| down(s) && !s.want_up);
    assert_eq!(
        supervisor.said(),
        "runsvdir: job: stays down: its setup exited 111\n"
    );
    let last = fs::read_to_string(job(&fixture).join("supervise/last")).unwrap();
    assert!(
        last.starts_with("111 0 setup ") && last.trim_end().ends_with(" given-up"),
        "{last}"
    );
    fixture.add("notes/end", "#!/bin/sh\n");
    command(&fixture, "u");
    until_noted(&fixture, &[&two[..], &["setup", "run"]].concat());
    supervisor.hang_up();
}

#[test]
fn a_stop_while_setup_runs_is_as_that_of_a_run() {
    let setup = "#!/bin/sh\necho setup >>../../notes/all\nexec sleep 1000\n";
    for (letters, finish) in [
        ("d", "finish -1 15 signal 0"),
        ("k", "finish -1 9 signal 0"),
    ] {
        let fixture = fixture(&[("setup", setup), ("run", RUN), ("finish", FINISH)]);
        let supervisor = Runsvdir::start(&fixture);
        until_noted(&fixture, &["setup"]);
        let begun = status(&job(&fixture), "setup", |s| s.pid != 0);
        // It is not up yet for anybody who asks.
        assert!(begun.phase == Phase::Down && begun.want_up && lives(begun.pid));
        // KILL alone would have it start again.
        command(&fixture, &letters.replace('k', "ok"));
        until_noted(&fixture, &["setup", finish]);
        status(&job(&fixture), "down", |s| down(s) && !s.want_up);
        supervisor.hang_up();
    }
}

/// What `setup` does, it does alone: a successor waits for the end of the one that runs.
#[test]
fn a_setup_that_outlives_its_supervisor_is_adopted() {
    let setup = "#!/bin/sh\nmkdir ../../notes/alone || exit 111\necho setup >>../../notes/all\n\
        [ -e ../../notes/open ] || read -r word <../../notes/gate\nrmdir ../../notes/alone\n";
    let fixture = fixture(&[("setup", setup)]);
    super::common::make_fifo(fixture.path("notes/gate"));
    let supervisor = Runsvdir::start(&fixture);
    until_noted(&fixture, &["setup"]);
    let begun = status(&job(&fixture), "setup", |s| s.pid != 0);
    supervisor.end_alone(Signal::KILL);
    let supervisor = Runsvdir::start(&fixture);
    command(&fixture, "u");
    let adopted = status(&job(&fixture), "the same", |s| s.pid == begun.pid);
    assert!(adopted.want_up);
    // If nobody can say how it ended, it is run again, and waits for nobody.
    fixture.add("notes/open", "");
    fs::write(fixture.path("notes/gate"), "go\n").unwrap();
    until_done(&fixture);
    assert!(notes(&fixture).len() <= 2, "{:?}", notes(&fixture));
    supervisor.hang_up();
}

#[test]
fn another_boot_does_it_again() {
    let fixture = fixture(&[("setup", SETUP)]);
    let supervisor = Runsvdir::start(&fixture);
    until_done(&fixture);
    supervisor.end_alone(Signal::KILL);
    let lock = job(&fixture).join("supervise/lock");
    let record = fs::read_to_string(&lock).unwrap();
    let mut words: Vec<&str> = record.split(' ').collect();
    assert_eq!((words[0], words[1]), ("1", "setup"));
    assert!(record.ends_with(" done\n"), "{record}");
    let boot = words[2].replace(|c: char| c.is_ascii_hexdigit(), "0");
    words[2] = &boot;
    fs::write(&lock, words.join(" ")).unwrap();
    let supervisor = Runsvdir::start(&fixture);
    until_noted(&fixture, &["setup", "setup"]);
    until_done(&fixture);
    supervisor.hang_up();
}

/// A directory without `run` and `setup` is what it was before there was a `setup`.
#[test]
fn without_run_and_setup_the_complaint_is_the_old_one() {
    let fixture = Fixture::new(&[("scan/job/", "")]);
    let supervisor = Runsvdir::start(&fixture);
    let told = format!(
        "runsvdir: job: start {}: No such file or directory\n",
        fixture.path("scan/job/run").display()
    );
    wait_for("a complaint", &[&fixture.path("")], || {
        (supervisor.said() == told).then_some(())
    });
    supervisor.hang_up();
}

/// 111 would mean something else.
#[test]
fn a_setup_that_cannot_be_executed_is_tried_again() {
    let fixture = fixture(&[("setup", "#!/no/such/shell\n"), ("finish", FINISH)]);
    let supervisor = Runsvdir::start(&fixture);
    wait_for("a finish", &[&fixture.path("notes")], || {
        let noted = notes(&fixture);
        (noted.first()? == "finish 111 0 setup 1").then_some(())
    });
    fixture.add("scan/job/setup", SETUP);
    until_done(&fixture);
    assert_eq!(notes(&fixture).last().map(String::as_str), Some("setup"));
    assert!(
        supervisor
            .said()
            .contains("names /no/such/shell, which does not exist"),
        "{}",
        supervisor.said()
    );
    supervisor.hang_up();
}

/// Its output goes where that of `run` goes.
#[test]
fn setup_writes_to_the_log() {
    let setup = "#!/bin/sh\necho from setup in $(basename $PWD)\n";
    let log = "#!/bin/sh\nexec cat >>../../../notes/all\n";
    let fixture = fixture(&[("setup", setup), ("log/run", log)]);
    let supervisor = Runsvdir::start(&fixture);
    until_noted(&fixture, &["from setup in job"]);
    until_done(&fixture);
    supervisor.hang_up();
}

#[test]
fn a_stop_that_a_killed_supervisor_began_is_continued() {
    let finish = "#!/bin/sh\necho finish >>../../notes/all\nexec sleep 1000\n";
    let fixture = fixture(&[("setup", SETUP), ("finish", finish)]);
    let supervisor = Runsvdir::start(&fixture);
    until_done(&fixture);
    command(&fixture, "d");
    until_noted(&fixture, &["setup", "finish"]);
    let ends = status(&job(&fixture), "finish", |s| {
        s.phase == Phase::Finish && s.pid != 0
    });
    supervisor.end_alone(Signal::KILL);
    let supervisor = Runsvdir::start(&fixture);
    command(&fixture, "d");
    status(&job(&fixture), "the same", |s| s.pid == ends.pid);
    kill(ends.pid, Signal::KILL);
    status(&job(&fixture), "down", down);
    until_noted(&fixture, &["setup", "finish"]);
    supervisor.hang_up();
}
