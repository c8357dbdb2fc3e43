//! Services that wait for each other under runsvdir, with real processes.

use std::fs;
use std::path::Path;

use model::format::status::{Phase, Status};
use rustix::process::Signal;

use super::common::{
    Fixture, down, lives, read_status, running, status, until_supervise, until_supervised, wait_for,
};
use super::runsvdir::Runsvdir;

/// Notes the signal that stops it, and its end after that.
const NOTES: &str = "#!/bin/sh\n\
    trap 'echo ${PWD##*/} >>../../log; exit' TERM\n\
    echo $$ >ready\n\
    while :; do sleep 1000 & wait; kill $!; done\n";

/// Ends by KILL alone.
const DEAF: &str = "#!/bin/sh\ntrap '' TERM\necho $$ >ready\nwhile :; do sleep 1; done\n";

/// A tree of services, each with the names that it has in its directories.
fn tree(services: &[(&str, &[&str])]) -> Fixture {
    let fixture = Fixture::new(&[("scan/", ""), ("sv/", "")]);
    for (name, files) in services {
        service(&fixture, &format!("scan/{name}"), files);
    }
    fixture
}

fn service(fixture: &Fixture, dir: &str, files: &[&str]) {
    for file in files {
        fixture.add(&format!("{dir}/{file}"), "");
    }
    fixture.add(&format!("{dir}/run"), NOTES);
}

/// Waits until it runs, and the shell has set its trap: a signal before that would end it.
fn listens(dir: &Path) -> Status {
    until_supervise(dir);
    wait_for("a trap", &[dir, &dir.join("supervise")], || {
        let status = read_status(dir).filter(running)?;
        let pid = fs::read_to_string(dir.join("ready")).ok()?;
        (pid == format!("{}\n", status.pid)).then_some(status)
    })
}

/// Waits until all of them run; they were started in this order.
fn run_in_order(fixture: &Fixture, names: &[&str]) {
    let started = names.iter().map(|name| {
        let status = listens(&dir(fixture, name));
        status.changed
    });
    assert!(started.is_sorted(), "{names:?}");
}

fn dir(fixture: &Fixture, name: &str) -> std::path::PathBuf {
    fixture.path("scan").join(name)
}

fn reason(dir: &Path) -> Option<String> {
    let line = fs::read_to_string(dir.join("supervise/reason")).ok()?;
    (!line.is_empty()).then_some(line)
}

fn until_reason(dir: &Path, text: &str) {
    status(dir, "status", |_| true);
    let line = format!("{text}\n");
    wait_for(text, &[&dir.join("supervise")], || {
        (reason(dir)? == line).then_some(())
    });
}

fn command(dir: &Path, bytes: &str) {
    fs::write(dir.join("supervise/control"), bytes).unwrap();
}

fn stopped(fixture: &Fixture) -> Vec<String> {
    let log = fs::read_to_string(fixture.path("log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn a_diamond_starts_from_its_foot_and_stops_from_its_top() {
    let fixture = tree(&[
        ("a-top", &["needs/left", "wants/right"]),
        ("left", &["needs/z-foot"]),
        ("right", &["after/z-foot"]),
        ("z-foot", &["needs/zz-ground"]),
        ("zz-ground", &[]),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["zz-ground", "z-foot", "left", "a-top"]);
    run_in_order(&fixture, &["z-foot", "right", "a-top"]);
    for name in ["a-top", "left", "right"] {
        assert_eq!(
            reason(&dir(&fixture, name)),
            None,
            "{name} waits for nobody"
        );
    }
    runsvdir.hang_up();
    let stopped = stopped(&fixture);
    assert_eq!(stopped[0], "a-top");
    assert_eq!(stopped[3..], ["z-foot", "zz-ground"]);
    assert_eq!(stopped.len(), 5);
}

/// A directory is opened in the order of inodes; the one that names others comes first.
#[test]
fn who_is_before_others_starts_first() {
    let fixture = tree(&[("b", &[]), ("c", &[]), ("a", &["before/b", "before/c"])]);
    let _runsvdir = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["a", "b"]);
    run_in_order(&fixture, &["a", "c"]);
}

#[test]
fn services_in_a_circle_start_and_stop_together() {
    let fixture = tree(&[
        ("sshd", &["needs/net"]),
        ("net", &["needs/log"]),
        ("log", &["after/sshd"]),
        ("web", &["needs/sshd"]),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["sshd", "web"]);
    for name in ["net", "log"] {
        listens(&dir(&fixture, name));
    }
    let said = runsvdir.said();
    assert_eq!(
        said.matches("a circle; its 3 services").count(),
        1,
        "{said}"
    );
    runsvdir.hang_up();
    let stopped = stopped(&fixture);
    let at = |name: &str| stopped.iter().position(|line| line == name);
    assert!(at("web") < at("sshd") && stopped.len() == 4, "{stopped:?}");
}

#[test]
fn a_need_that_is_down_or_not_there_holds_until_it_comes_or_is_not_needed() {
    let fixture = tree(&[
        ("web", &["needs/db"]),
        ("db", &["down"]),
        ("mail", &["needs/disk"]),
    ]);
    service(&fixture, "sv/disk", &[]);
    let _runsvdir = Runsvdir::start(&fixture);
    let [web, mail, db] = ["web", "mail", "db"].map(|name| dir(&fixture, name));
    until_reason(&web, "needs db: down");
    until_reason(&mail, "needs disk: not enabled");
    fixture.add("scan/disk -> ../sv/disk", "");
    run_in_order(&fixture, &["disk", "mail"]);
    assert_eq!(read_status(&web).map(|s| s.want_up), Some(true));
    // What is needed changes while the service is held.
    fixture.add("scan/web/needs/cache", "");
    fs::remove_file(web.join("needs/db")).unwrap();
    until_reason(&web, "needs cache: not enabled");
    fs::remove_dir_all(web.join("needs")).unwrap();
    status(&web, "run", running);
    assert!(down(&read_status(&db).unwrap()));
    wait_for("no reason", &[&web.join("supervise")], || {
        reason(&web).is_none().then_some(())
    });
}

#[test]
fn f_starts_whatever_holds_the_service() {
    let fixture = tree(&[("web", &["needs/db"])]);
    let _runsvdir = Runsvdir::start(&fixture);
    let web = dir(&fixture, "web");
    until_reason(&web, "needs db: not enabled");
    command(&web, "f");
    status(&web, "run", running);
}

#[test]
fn who_follows_a_service_is_stopped_with_it_and_comes_back() {
    let fixture = tree(&[("web", &["follows/db"]), ("db", &[])]);
    let _runsvdir = Runsvdir::start(&fixture);
    let [web, db] = ["web", "db"].map(|name| dir(&fixture, name));
    let before = [&web, &db].map(|dir| listens(dir).pid);
    command(&db, "d");
    until_reason(&web, "follows db: down");
    assert_eq!(stopped(&fixture), ["web", "db"]);
    command(&db, "u");
    run_in_order(&fixture, &["db", "web"]);
    // An end of its own counts, too.
    let [of_web, of_db] = [&web, &db].map(|dir| status(dir, "run", running).pid);
    assert!(!before.contains(&of_web));
    super::common::kill(of_db, Signal::KILL);
    status(&web, "another run", |s| running(s) && s.pid != of_web);
    run_in_order(&fixture, &["db", "web"]);
    assert_eq!(stopped(&fixture), ["web", "db", "web"]);
}

#[test]
fn a_stop_waits_for_those_that_stop_too() {
    let fixture = tree(&[("web", &["needs/db"]), ("db", &[])]);
    fixture.add("scan/web/run", DEAF);
    let _runsvdir = Runsvdir::start(&fixture);
    let [web, db] = ["web", "db"].map(|name| dir(&fixture, name));
    run_in_order(&fixture, &["db", "web"]);
    command(&web, "d");
    status(&web, "TERM", |s| s.got_term);
    command(&db, "d");
    until_reason(&db, "stop waits for web");
    assert!(!read_status(&db).unwrap().got_term);
    // A second one does not wait.
    command(&db, "d");
    status(&db, "down", down);
    command(&web, "k");
    status(&web, "down", down);
}

/// The graph is read anew, and what runs goes on.
#[test]
fn a_successor_keeps_the_order() {
    let fixture = tree(&[
        ("web", &["needs/db"]),
        ("db", &["needs/net"]),
        ("net", &[]),
        ("held", &["needs/nobody"]),
    ]);
    let first = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["net", "db", "web"]);
    let names = ["web", "db", "net"];
    let pids = names.map(|name| read_status(&dir(&fixture, name)).unwrap().pid);
    assert_eq!(first.end_alone(Signal::KILL), None);
    let second = Runsvdir::start(&fixture);
    // The files of the first are still there; and HUP, before it is caught, is the end.
    for name in ["held", "web", "db", "net"] {
        until_supervised(&dir(&fixture, name));
    }
    until_reason(&dir(&fixture, "held"), "needs nobody: not enabled");
    for (name, pid) in names.into_iter().zip(pids) {
        let there = status(&dir(&fixture, name), "the same run", |s| s.pid == pid);
        assert!(lives(there.pid));
    }
    second.hang_up();
    assert_eq!(stopped(&fixture), names);
}

/// A service that is told to stop while it waits for another one that takes its time.
fn with_a_stop_that_waits() -> Fixture {
    // In the order in which they are opened: nobody has named the first one yet.
    let fixture = tree(&[("db", &[]), ("web", &["needs/db"])]);
    fixture.add("scan/web/run", DEAF);
    fixture
}

fn begin_the_stop(fixture: &Fixture) {
    let [web, db] = ["web", "db"].map(|name| dir(fixture, name));
    command(&web, "d");
    status(&web, "TERM", |s| s.got_term);
    command(&db, "d");
    until_reason(&db, "stop waits for web");
}

/// A successor that has opened all, and still waits.
fn successor_that_waits(fixture: &Fixture, last: &str) -> Runsvdir {
    service(fixture, &format!("scan/{last}"), &[]);
    let runsvdir = Runsvdir::start(fixture);
    let [db, last] = ["db", last].map(|name| dir(fixture, name));
    status(&last, "run", running);
    command(&last, "d");
    status(&last, "down", down);
    until_reason(&db, "stop waits for web");
    assert!(!read_status(&db).unwrap().got_term);
    runsvdir
}

fn end_the_stop(fixture: &Fixture) {
    let [web, db] = ["web", "db"].map(|name| dir(fixture, name));
    command(&web, "k");
    status(&db, "down", down);
    assert_eq!(stopped(fixture).last().map(String::as_str), Some("db"));
    wait_for("no reason", &[&db.join("supervise")], || {
        reason(&db).is_none().then_some(())
    });
}

#[test]
fn a_stop_that_waits_outlives_its_supervisors() {
    let fixture = with_a_stop_that_waits();
    let mut runsvdir = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["db", "web"]);
    begin_the_stop(&fixture);
    for last in ["x", "y"] {
        assert_eq!(runsvdir.end_alone(Signal::KILL), None);
        runsvdir = successor_that_waits(&fixture, last);
    }
    end_the_stop(&fixture);
}

/// It lets go of them one after the other.
#[test]
fn a_stop_that_waits_under_a_keeper_waits_under_the_successor() {
    let fixture = with_a_stop_that_waits();
    let first = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["db", "web"]);
    assert_eq!(first.end_alone(Signal::TERM), Some(0));
    begin_the_stop(&fixture);
    let _runsvdir = successor_that_waits(&fixture, "x");
    end_the_stop(&fixture);
}

/// It will not be ready so soon: who only wants it starts, and the others wait on.
#[test]
fn who_wants_a_service_that_is_not_ready_in_time_starts() {
    let fixture = tree(&[
        ("db", &[]),
        ("web", &["wants/db"]),
        ("mail", &["after/db"]),
        ("api", &["needs/db"]),
    ]);
    for (file, content) in [
        ("run", DEAF),
        ("notification-fd", "3\n"),
        ("timeout-up", "2000\n"),
        ("timeout-kill", "600000\n"),
    ] {
        fixture.add(&format!("scan/db/{file}"), content);
    }
    let _runsvdir = Runsvdir::start(&fixture);
    let [db, web, mail, api] = ["db", "web", "mail", "api"].map(|name| dir(&fixture, name));
    status(&web, "run", running);
    until_reason(&mail, "after db: not ready in time");
    until_reason(&api, "needs db: not ready in time");
    assert!(read_status(&db).unwrap().got_term);
}

/// As runsvchdir does: all entries change at once.
#[test]
fn a_tree_that_is_exchanged_goes_down_in_order() {
    let fixture = tree(&[]);
    for (name, files) in [("web", &["needs/db"][..]), ("db", &[])] {
        service(&fixture, &format!("old/{name}"), files);
        service(&fixture, &format!("new/n{name}"), files);
    }
    fs::rename(
        fixture.path("new/nweb/needs/db"),
        fixture.path("new/nweb/needs/ndb"),
    )
    .unwrap();
    fs::remove_dir(fixture.path("scan")).unwrap();
    fixture.add("scan -> old", "");
    let _runsvdir = Runsvdir::start(&fixture);
    for name in ["db", "web"] {
        listens(&fixture.path("old").join(name));
    }
    fixture.add("next -> new", "");
    fs::rename(fixture.path("next"), fixture.path("scan")).unwrap();
    run_in_order(&fixture, &["ndb", "nweb"]);
    wait_for("both stops", &[&fixture.path("")], || {
        (stopped(&fixture) == ["web", "db"]).then_some(())
    });
}

/// Nothing runs, and the others know no difference.
#[test]
fn a_milestone_is_up_when_nothing_holds_it() {
    let fixture = tree(&[("web", &["needs/base"]), ("db", &["down"])]);
    fixture.add("scan/base/needs/db", "");
    let runsvdir = Runsvdir::start(&fixture);
    let [web, base, db] = ["web", "base", "db"].map(|name| dir(&fixture, name));
    until_reason(&base, "needs db: down");
    until_reason(&web, "needs base: held itself");
    command(&db, "u");
    run_in_order(&fixture, &["db", "web"]);
    let done = status(&base, "done", |s| s.phase == Phase::Run);
    assert_eq!((done.pid, done.want_up), (0, true));
    assert_eq!(runsvdir.said(), "");
    runsvdir.hang_up();
    assert_eq!(stopped(&fixture), ["web", "db"]);
}

/// It is asked while somebody waits, and not before; the answer counts until it is stopped.
#[test]
fn a_probe_is_up_when_its_check_says_so() {
    let fixture = tree(&[
        ("web", &["needs/online"]),
        ("mail", &["down", "needs/online"]),
    ]);
    let check = "#!/bin/sh\necho >>../../asked\ntest -e ../../there\n";
    fixture.add("scan/online/check", check);
    fixture.add("scan/idle/check", "#!/bin/sh\necho >>../../idle\n");
    let runsvdir = Runsvdir::start(&fixture);
    let web = dir(&fixture, "web");
    until_reason(&web, "needs online: starting");
    let asked = || {
        fs::read_to_string(fixture.path("asked"))
            .unwrap_or_default()
            .len()
    };
    wait_for("questions", &[&fixture.path("")], || {
        (asked() > 2).then_some(())
    });
    fixture.add("there", "");
    status(&web, "run", running);
    let before = asked();
    let online = dir(&fixture, "online");
    status(&online, "done", |s| s.phase == Phase::Run && s.pid == 0);
    command(&dir(&fixture, "mail"), "u");
    status(&dir(&fixture, "mail"), "run", running);
    assert_eq!(asked(), before, "nobody asks again");
    assert!(!fixture.path("idle").exists(), "nobody waits for that one");
    // sv waits, too.
    let idle = dir(&fixture, "idle");
    for _ in 0..2 {
        command(&idle, "u");
        status(&idle, "done", |s| s.phase == Phase::Run);
        command(&idle, "d");
        status(&idle, "down", down);
    }
    runsvdir.hang_up();
}

/// Both are killed; there is never a second check beside it.
#[test]
fn a_check_that_hangs_is_killed_with_its_children() {
    let fixture = tree(&[("web", &["needs/online"])]);
    let check = "#!/bin/sh\n\
        test ! -e ../../pids || exit 0\n\
        sleep 1000 & echo $$ $! >../../pids\nwait\n";
    fixture.add("scan/online/check", check);
    let _runsvdir = Runsvdir::start(&fixture);
    status(&dir(&fixture, "web"), "run", running);
    let pids = fs::read_to_string(fixture.path("pids")).unwrap();
    let mut pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
    assert!(pids.all(super::common::ends));
}

/// A service that says nothing of itself is asked.
#[test]
fn a_check_of_a_running_service_holds_those_that_need_it() {
    let fixture = tree(&[("web", &["needs/db"]), ("db", &[])]);
    fixture.add("scan/db/check", "#!/bin/sh\ntest -e ../../there\n");
    let runsvdir = Runsvdir::start(&fixture);
    let [web, db] = ["web", "db"].map(|name| dir(&fixture, name));
    let first = status(&db, "run", running).pid;
    until_reason(&web, "needs db: starting");
    fixture.add("there", "");
    run_in_order(&fixture, &["db", "web"]);
    assert_eq!(read_status(&db).unwrap().pid, first);
    runsvdir.hang_up();
    assert_eq!(stopped(&fixture), ["web", "db"]);
}

/// What is held stays held, whoever is the supervisor, and a milestone stays up.
#[test]
fn what_is_held_or_up_is_so_under_the_next_supervisor() {
    let fixture = tree(&[
        ("web", &["needs/db"]),
        ("db", &["down"]),
        ("mail", &["needs/base"]),
        ("net", &[]),
    ]);
    fixture.add("scan/base/needs/net", "");
    let [web, db, mail, base] = ["web", "db", "mail", "base"].map(|name| dir(&fixture, name));
    let check = |pid: u32| {
        until_reason(&web, "needs db: down");
        assert!(down(&read_status(&web).unwrap()));
        let up = status(&base, "up", |s| s.phase == Phase::Run);
        assert_eq!((up.pid, up.want_up), (0, true));
        assert_eq!(status(&mail, "run", running).pid, pid);
    };
    let first = Runsvdir::start(&fixture);
    run_in_order(&fixture, &["net", "mail"]);
    let pid = read_status(&mail).unwrap().pid;
    check(pid);
    // Another program in its place reads the graph anew; that is written.
    fs::remove_file(web.join("supervise/reason")).unwrap();
    first.upgrade();
    check(pid);
    assert_eq!(first.end_alone(Signal::KILL), None);
    fs::remove_file(web.join("supervise/reason")).unwrap();
    let second = Runsvdir::start(&fixture);
    check(pid);
    // The order holds under it: first the one that is needed.
    command(&db, "u");
    run_in_order(&fixture, &["db", "web"]);
    second.hang_up();
    let stopped = stopped(&fixture);
    let at = |name: &str| stopped.iter().position(|line| line == name);
    assert!(
        at("web") < at("db") && at("mail") < at("net"),
        "{stopped:?}"
    );
    assert_eq!(stopped.len(), 4);
}
