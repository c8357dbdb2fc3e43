//! What runsvdir sees of its directory: what is still being filled, however it is
//! reached, and what it cannot be told of.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::bad_input::{enclosed, ours};
use super::common::{
    Fixture, SLEEP, down, end_by, ends, kill, running, status, until_ready, wait_exit, wait_for,
    yield_until,
};

/// runsvdir on `scan` of a fixture; what it says goes to `said`.
struct Runsvdir<'f> {
    fixture: &'f Fixture,
    child: Child,
}

impl<'f> Runsvdir<'f> {
    fn start(fixture: &'f Fixture, mut command: Command) -> Self {
        let said = File::create(fixture.path("said")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(said).spawn().unwrap();
        Self { fixture, child }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("said")).unwrap()
    }

    fn hang_up(mut self) {
        kill(self.child.id(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
    }
}

impl Drop for Runsvdir<'_> {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::HUP);
    }
}

/// A package that is installed anew: the link in the scan directory stays, the
/// directory that it leads to is made again and filled, file by file.
#[test]
fn what_a_link_leads_to_settles_when_it_is_made_anew() {
    const FILES: usize = 40;
    const TRIES: usize = 30;
    let fixture = Fixture::new(&[("scan/web -> ../all/web", ""), ("all/web/run", SLEEP)]);
    let mut command = ours("runsvdir");
    command.arg(fixture.path("scan"));
    let runsvdir = Runsvdir::start(&fixture, command);
    let web = fixture.path("all/web");
    let mut good = 0;
    for n in 0..TRIES {
        let before = status(&web, "a supervisor", |_| true);
        let old = fixture.path(&format!("old{n}"));
        fs::rename(&web, &old).unwrap();
        let mut last = Instant::now();
        let mut is_quick = true;
        let mut touch = |done: &mut dyn FnMut()| {
            done();
            is_quick &= last.elapsed() < Duration::from_millis(50);
            last = Instant::now();
        };
        touch(&mut || fs::create_dir(&web).unwrap());
        touch(&mut || fs::write(web.join("run"), "#!/bin/sh\n").unwrap());
        if before.pid != 0 {
            // The supervisor has seen by then that something happened.
            touch(&mut || {
                status(&old, "the former one ends", down);
            });
        }
        for file in 0..FILES {
            touch(&mut || fs::write(web.join(format!("file{file}")), "").unwrap());
        }
        let mut is_made = true;
        let place = format!("../../state{n}");
        touch(&mut || is_made = symlink(&place, web.join("supervise")).is_ok());
        touch(&mut || fs::write(web.join("down"), "").unwrap());
        // Where its link leads.
        let place = fixture.path(&format!("state{n}"));
        let dirs = [&web, &fixture.path(".")];
        wait_for("supervise", &dirs.map(|dir| dir as &Path), || {
            web.join("supervise").is_dir().then_some(())
        });
        let shown = status(&web, "status", |_| true);
        // Who takes longer than a directory is given to settle shows nothing.
        if is_quick {
            assert!(place.is_dir(), "{n}: supervise is elsewhere");
            assert!(is_made, "{n}: supervise was made too early");
            assert!(down(&shown) && !shown.want_up, "{n}: {shown:?}");
            good += 1;
        }
        if good == 8 {
            break;
        }
        fs::remove_file(web.join("down")).unwrap();
    }
    runsvdir.hang_up();
}

/// A link that leads nowhere is there before its directory.
#[test]
fn what_a_link_waits_for_settles_when_it_comes() {
    let fixture = Fixture::new(&[("scan/first/run", SLEEP), ("all/", "")]);
    let mut command = ours("runsvdir");
    command.arg(fixture.path("scan"));
    let runsvdir = Runsvdir::start(&fixture, command);
    status(&fixture.path("scan/first"), "first", running);
    let mut good = 0;
    for n in 0..100 {
        fixture.add(&format!("scan/web{n} -> ../all/web{n}"), "");
        wait_for("complaint", &[&fixture.path(".")], || {
            runsvdir.said().contains(&format!("web{n}: ")).then_some(())
        });
        let dir = fixture.path(&format!("all/web{n}"));
        let start = Instant::now();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("run"), "").unwrap();
        while start.elapsed() < Duration::from_millis(20) {
            std::thread::yield_now();
        }
        let is_early = dir.join("supervise").exists();
        fs::write(dir.join("down"), "").unwrap();
        let is_quick = start.elapsed() < Duration::from_millis(80);
        let shown = status(&dir, "status", |_| true);
        if is_quick {
            assert!(!is_early, "supervise was made too early");
            assert!(down(&shown) && !shown.want_up, "{shown:?}");
            good += 1;
        }
        if good == 4 {
            break;
        }
    }
    runsvdir.hang_up();
}

/// The limit of watches is that of the user namespace. What comes is found by looks.
#[test]
fn without_watches_it_looks_and_says_so_once() {
    const NONE: &str = "echo 0 >/proc/sys/user/max_inotify_watches; exec \"$@\"";
    let fixture = Fixture::new(&[("scan/first/run", SLEEP), ("new/run", SLEEP)]);
    let mut command = enclosed(&fixture, NONE, "runsvdir");
    command.arg(fixture.path("scan"));
    let runsvdir = Runsvdir::start(&fixture, command);
    let first: PathBuf = fixture.path("scan/first");
    status(&first, "first", running);
    fs::rename(fixture.path("new"), fixture.path("scan/late")).unwrap();
    fixture.add("logger/run", SLEEP);
    fs::rename(fixture.path("logger"), first.join("log")).unwrap();
    status(&fixture.path("scan/late"), "one that came late", running);
    status(&first.join("log"), "a logger that came late", running);
    fs::rename(fixture.path("scan/late"), fixture.path("gone")).unwrap();
    status(&fixture.path("gone"), "one that went", down);
    let lines = || {
        let said = runsvdir.said();
        let lines = said.lines();
        lines.filter(|line| line.contains("looking every")).count()
    };
    yield_until(|| (lines() > 0).then_some(()));
    assert_eq!(lines(), 1, "{}", runsvdir.said());
    assert!(runsvdir.said().contains("max_inotify_watches"));
    runsvdir.hang_up();
}

/// Its service is stopped, and what there is to show of that has no place.
#[test]
fn a_directory_that_is_removed_is_no_failure() {
    // A shell that has not begun complains of the directory that it cannot find.
    let run = "#!/bin/sh\n: >ready; exec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/web/run", run), ("scan/web/log/run", run)]);
    let mut command = ours("runsvdir");
    command.arg(fixture.path("scan"));
    let runsvdir = Runsvdir::start(&fixture, command);
    let web = fixture.path("scan/web");
    let pids = [&web, &web.join("log")].map(|dir| {
        until_ready(dir);
        status(dir, "run", running).pid
    });
    fs::remove_dir_all(&web).unwrap();
    assert!(pids.into_iter().all(ends));
    runsvdir.hang_up();
    let said = fs::read_to_string(fixture.path("said")).unwrap();
    assert_eq!(said, "");
}
