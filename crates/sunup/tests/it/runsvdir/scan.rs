//! Which services a scan directory has. What comes, goes or is replaced is noticed at once.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, down, ends, is_sunup, kill, lives, running, status, wait_for,
};
use super::{Runsvdir, is_quick};

/// Debian's packages send it after they have enabled a service.
#[test]
fn alarm_asks_for_a_look() {
    let fixture = Fixture::new(&[("scan/one/run", SLEEP), ("all/two/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("scan/one"), "one", running);
    kill(runsvdir.child.id(), Signal::ALARM);
    fixture.add("scan/two -> ../all/two", "");
    kill(runsvdir.child.id(), Signal::ALARM);
    status(&fixture.path("all/two"), "two", running);
    runsvdir.hang_up();
}

#[test]
fn follows_the_directory() {
    let fixture = Fixture::new(&[
        ("scan/one/run", SLEEP),
        ("scan/.hidden/run", SLEEP),
        ("scan/file", "not a service"),
        ("scan/two -> ../all/two", ""),
        ("all/two/run", SLEEP),
        ("all/three/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("scan/one"), "one", running);
    let two = status(&fixture.path("all/two"), "two", running);
    assert!(!fixture.path("scan/.hidden/supervise").exists());
    fixture.add("scan/three -> ../all/three", "");
    status(&fixture.path("all/three"), "a new link", running);

    fs::remove_file(fixture.path("scan/two")).unwrap();
    status(&fixture.path("all/two"), "a removed link", down);
    assert!(!lives(two.pid) && lives(one.pid));

    fs::rename(fixture.path("scan/one"), fixture.path("scan/uno")).unwrap();
    fixture.add("scan/two -> ../all/two", "");
    status(&fixture.path("all/two"), "the link is back", running);
    let uno = status(&fixture.path("scan/uno"), "renamed", running);
    assert_eq!(uno.pid, one.pid, "a new name is no new service");
    // It is controlled under its new name, and writes its state there.
    fs::write(fixture.path("scan/uno/supervise/control"), "d").unwrap();
    status(&fixture.path("scan/uno"), "down", down);
    runsvdir.hang_up();
}

#[test]
fn a_replaced_directory_is_another_service() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    let old = status(&fixture.path("scan/web"), "old", running);
    fixture.add("new/run", SLEEP);
    fs::rename(fixture.path("scan/web"), fixture.path("gone")).unwrap();
    fs::rename(fixture.path("new"), fixture.path("scan/web")).unwrap();
    let new = status(&fixture.path("scan/web"), "new", |s| {
        running(s) && s.pid != old.pid
    });
    // Others tell the old one's supervisor, and start the new one beside it.
    let stopped = if is_sunup() {
        !lives(old.pid)
    } else {
        ends(old.pid)
    };
    assert!(stopped, "the old one has stopped before the new one starts");
    assert!(lives(new.pid));
    runsvdir.hang_up();
}

#[test]
fn a_directory_that_is_being_filled_is_not_started_too_early() {
    let fixture = Fixture::new(&[("scan/first/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    // From now on it is told of what comes.
    status(&fixture.path("scan/first"), "first", running);
    for n in 0..100 {
        // In the wrong order on purpose: the directory, its run, and `down` last.
        let dir = fixture.path(&format!("scan/web{n}"));
        let start = Instant::now();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("run"), "").unwrap();
        fs::write(dir.join("down"), "").unwrap();
        let is_quick = start.elapsed() < Duration::from_millis(50);
        let shown = status(&dir, "status", |_| true);
        // Who takes longer than a directory is given to settle shows nothing.
        if is_quick {
            assert!(down(&shown) && !shown.want_up);
            break;
        }
    }
    runsvdir.hang_up();
}

/// D5: runit stops at 1000 services.
#[test]
fn more_than_a_thousand_services() {
    let fixture = Fixture::new(&[("scan/", ""), ("service/run", SLEEP)]);
    for n in 0..1100 {
        // A `down` file keeps the test light: what counts is that each is supervised.
        fixture.add(&format!("scan/{n}/down"), "");
    }
    let runsvdir = Runsvdir::start(&fixture);
    for n in 0..1100 {
        status(&fixture.path(&format!("scan/{n}")), "supervised", down);
    }
    runsvdir.hang_up();
}

/// Ends `unshare`, and with it all that runs in its pid namespace.
struct Namespace(Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// D6: a service is known by file system and inode.
#[test]
fn the_same_inode_on_two_file_systems_is_two_services() {
    let fixture = Fixture::new(&[
        ("scan/a -> ../a/service", ""),
        ("scan/b -> ../b/service", ""),
        ("a/", ""),
        ("b/", ""),
        ("out/", ""),
    ]);
    // A new tmpfs counts its inodes from the start.
    let script = "
        for fs in a b; do
            mount -t tmpfs tmpfs $fs; mkdir $fs/service
            printf '#!/bin/sh\n: >../../out/%s\nexec sleep 1000\n' $fs >$fs/service/run
            chmod +x $fs/service/run
        done
        [ $(stat -c %i a/service) = $(stat -c %i b/service) ]
        exec \"$@\" -P scan";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-ec", script, "sh"])
        .arg(fixture.bin(&["runsv", "runsvdir"]).join("runsvdir"))
        .env(
            "PATH",
            std::env::join_paths([
                &fixture.path("bin"),
                Path::new("/usr/bin"),
                Path::new("/bin"),
            ])
            .unwrap(),
        )
        .current_dir(fixture.path(""))
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare of the package util-linux");
    let _namespace = Namespace(child);
    let out = fixture.path("out");
    wait_for("both", &[&out], || {
        (out.join("a").exists() && out.join("b").exists()).then_some(())
    });
}

/// D4: a new service starts at once, not at the next poll.
#[test]
fn a_new_service_starts_at_once() {
    let fixture = Fixture::new(&[("scan/", "")]);
    for n in (0..8).chain([100]) {
        fixture.add(&format!("all/{n}/run"), SLEEP);
    }
    let runsvdir = Runsvdir::start(&fixture);
    let add = |n: u32| {
        fixture.add(&format!("scan/{n} -> ../all/{n}"), "");
        let start = Instant::now();
        status(&fixture.path(&format!("all/{n}")), "run", running);
        start.elapsed()
    };
    // What follows comes just after a poll, if there are any.
    add(100);
    assert!(is_quick(add));
    runsvdir.hang_up();
}
