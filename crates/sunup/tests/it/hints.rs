//! What is told beside runit's words, on standard error: what to do next.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock, major, minor};
use rustix::process::Signal;

use super::bad_input::{assert_says, enclosed, run};
use super::common::{
    Fixture, SLEEP, kill, read_status, running, sunup, until_ready, wait_exit, wait_for,
    yield_until,
};

fn sv(fixture: &Fixture, args: &[&str]) -> Output {
    let mut command = Command::new(fixture.applet("sv"));
    command.args(args).env("SVDIR", fixture.path("scan"));
    command.env_remove("SVWAIT").output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Once, however many names are wrong; a path needs no such words.
#[test]
fn where_a_service_was_looked_for() {
    let fixture = Fixture::new(&[("scan/", "")]);
    let scan = fixture.path("scan");
    for args in [&["status", "nothere", "norhere"][..], &["start", "nothere"]] {
        let output = sv(&fixture, args);
        assert!(
            output
                .stdout
                .starts_with(b"fail: nothere: unable to change to service dir")
        );
        let expected = format!("sv: nothere is not in {} (from SVDIR)\n", scan.display());
        assert_eq!(stderr(&output), expected, "{args:?}");
    }
    assert_eq!(stderr(&sv(&fixture, &["status", "./nothere"])), "");
    fixture.add("scan/lost -> ../sv/lost", "");
    let expected = format!(
        "sv: {}/lost leads to ../sv/lost, which does not exist\n",
        scan.display()
    );
    assert_eq!(stderr(&sv(&fixture, &["status", "lost"])), expected);
    fs::remove_file(scan.join("lost")).unwrap();
    fs::remove_dir(&scan).unwrap();
    let expected = format!("sv: {} does not exist (from SVDIR)\n", scan.display());
    assert_eq!(stderr(&sv(&fixture, &["status", "nothere"])), expected);
    let status = |command: &mut Command| command.args(["status", "nothere"]).output().unwrap();
    let output = status(Command::new(fixture.applet("sv")).env("SVDIR", ""));
    let expected = "sv: SVDIR is empty; it names the directory of services\n";
    assert_eq!(stderr(&output), expected);
    let said = stderr(&status(
        Command::new(fixture.applet("sv")).env_remove("SVDIR"),
    ));
    assert!(said.ends_with(" (SVDIR is unset)\n"), "{said}");
}

#[test]
fn what_stops_a_service_that_ignores_term() {
    let run = "#!/bin/sh\ntrap '' TERM\n: >ready\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/hang/run", run)]);
    let dir = fixture.path("scan/hang");
    let mut runsv = Command::new(fixture.applet("runsv"))
        .arg(&dir)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until_ready(&dir);
    let pid = yield_until(|| read_status(&dir).filter(running)).pid;
    let output = sv(&fixture, &["-w1", "stop", "hang"]);
    let expected = "sv: hang takes no notice of TERM: `sv force-stop hang` sends KILL\n";
    assert_eq!(stderr(&output), expected);
    kill(runsv.id(), Signal::TERM);
    kill(pid, Signal::KILL);
    wait_exit(&mut runsv);
}

/// What the kernel calls it, `Resource temporarily unavailable`, is no help.
#[test]
fn a_lock_that_another_process_holds() {
    let fixture = Fixture::new(&[("lock", "")]);
    let held = File::open(fixture.path("lock")).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    let output = Command::new(fixture.applet("chpst"))
        .args(["-L", "lock", "true"])
        .current_dir(fixture.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(111));
    let expected = "chpst: lock: lock: another process holds it\n";
    assert_eq!(stderr(&output), expected);
}

/// The first supervisor, by its pid; a lock of which nobody can tell is nobody's.
#[test]
fn who_supervises_it_already() {
    let fixture = Fixture::new(&[("scan/web/run", "#!/bin/sh\n: >ready\nexec sleep 1000\n")]);
    let dir = fixture.path("scan/web");
    let runsv = || {
        let mut command = Command::new(fixture.applet("runsv"));
        command.arg(&dir).stdin(Stdio::null());
        command
    };
    let mut first = runsv().spawn().unwrap();
    until_ready(&dir);
    let second = runsv().output().unwrap();
    assert_eq!(second.status.code(), Some(111));
    // Some file systems go by another device number there.
    let lock = fs::metadata(dir.join("supervise/lock")).unwrap();
    let (major, minor) = (major(lock.dev()), minor(lock.dev()));
    let lock = format!(" {major:02x}:{minor:02x}:{} ", lock.ino());
    let is_told = fs::read_to_string("/proc/locks").unwrap().contains(&lock);
    let who = is_told.then(|| format!(": process {}", first.id()));
    let who = who.unwrap_or_default();
    let expected = format!("another supervisor holds supervise/lock{who}\n");
    let said = stderr(&second);
    assert!(said.ends_with(&expected), "{said}");
    kill(first.id(), Signal::TERM);
    wait_exit(&mut first);
}

/// What ends at once, again and again, says its likely reason; who looks for it in a log that fails,
/// too, is told so.
#[test]
fn why_it_may_be_a_crash_loop() {
    let fixture = Fixture::new(&[
        ("scan/daemon/run", "#!/bin/sh\nexit 0\n"),
        ("scan/web/run", "#!/bin/sh\nexit 111\n"),
        ("scan/web/log/run", "#!/bin/sh\nexit 1\n"),
    ]);
    let mut runsvdir = Command::new(fixture.applet("runsvdir"))
        .arg(fixture.path("scan"))
        .stdin(Stdio::null())
        .stderr(File::create(fixture.path("said")).unwrap())
        .spawn()
        .unwrap();
    let looping = "crash loop: ended 5 times within a second of its start, last by exit code";
    let expected = [
        format!(
            "runsvdir: daemon: {looping} 0; does it go to the background? run must stay in the \
             foreground\n"
        ),
        format!("runsvdir: web: {looping} 111; its logger fails, too: see web/log\n"),
        format!("runsvdir: web/log: {looping} 1\n"),
    ];
    let said = wait_for("three loops", &[&fixture.path("")], || {
        let said = fs::read_to_string(fixture.path("said")).unwrap();
        (said.matches("crash loop").count() == 3 && said.ends_with('\n')).then_some(said)
    });
    for line in expected {
        assert!(said.contains(&line), "{said}");
    }
    kill(runsvdir.id(), Signal::HUP);
    wait_exit(&mut runsvdir);
}

#[test]
fn where_supervise_may_be_on_a_read_only_file_system() {
    let fixture = Fixture::new(&[("web/", "")]);
    let script = "mount -t tmpfs tmpfs web; cp run web; mount -o remount,ro tmpfs web; exec \"$@\"";
    fixture.add("run", SLEEP);
    let ran = run("read-only", enclosed(&fixture, script, "runsv").arg("web"));
    let part = "make supervise: Read-only file system; link supervise to a writable directory";
    assert_says("read-only", &ran.errors, "runsv", "web: ", part);
    assert_eq!(ran.code, 111);
}

/// Once, and not for each link.
#[test]
fn how_to_make_the_directory_of_the_links() {
    let fixture = Fixture::new(&[]);
    let output = Command::new(sunup())
        .args(["--install", "bin"])
        .current_dir(fixture.path("."))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(111));
    let expected = "sunup: bin: no such directory: mkdir -p bin\n";
    assert_eq!(stderr(&output), expected);
}
