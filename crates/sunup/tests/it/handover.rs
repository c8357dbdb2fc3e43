//! A service tree changes hands between runit and sunup, in both directions.

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use model::format::tai64n::Tai64n;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, debian, down, ends, kill, lives, make_fifo, read_status, running, status,
    wait_exit, wait_for,
};

/// A `runsvdir` that somebody made, over `scan` of a fixture.
struct Supervisor {
    child: Child,
    scan: PathBuf,
}

impl Supervisor {
    fn start(fixture: &Fixture, runsvdir: &Path, scan: &Path) -> Self {
        let path = std::env::join_paths([runsvdir.parent().unwrap(), Path::new("/usr/bin:/bin")]);
        let child = Command::new(runsvdir)
            .arg(scan)
            // runit's looks for its runsv there.
            .env("PATH", path.unwrap_or_else(|_| "/usr/bin:/bin".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(fixture.path("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            scan: scan.to_owned(),
        }
    }

    fn status(&self, name: &str, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.scan.join(name), what, check)
    }

    /// The processes that supervise for runit's runsvdir.
    fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace()
            .map(|p| p.parse().unwrap())
            .collect()
    }

    /// Ends it and its runsv processes as a power cut would; services go on.
    fn vanish(mut self) {
        let all = [vec![self.child.id()], self.children()].concat();
        for pid in &all {
            kill(*pid, Signal::STOP);
        }
        for pid in all {
            kill(pid, Signal::KILL);
            assert!(ends(pid));
        }
        wait_exit(&mut self.child);
        std::mem::forget(self);
    }

    fn stop(mut self) {
        kill(self.child.id(), Signal::HUP);
        wait_exit(&mut self.child);
        std::mem::forget(self);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for pid in [self.children(), vec![self.child.id()]].concat() {
            if lives(pid) {
                kill(pid, Signal::KILL);
            }
        }
        drop(self.child.wait());
        for entry in fs::read_dir(&self.scan).unwrap() {
            let dir = entry.unwrap().path();
            for dir in [dir.join("log"), dir] {
                if let Some(s) = read_status(&dir).filter(|s| s.pid > 1 && lives(s.pid)) {
                    kill(s.pid, Signal::KILL);
                }
            }
        }
    }
}

fn runit() -> PathBuf {
    debian("runsvdir")
}

fn tested(fixture: &Fixture) -> PathBuf {
    fixture.bin(&["runsv", "runsvdir"]).join("runsvdir")
}

/// What it is told by a fifo it says to its logger.
const ECHOES: &str = "#!/bin/sh\nexec 2>&1\necho up\nexec cat ../../tell\n";
const LOGS: &str = "#!/bin/sh\nexec cat >>../lines\n";
/// It works elsewhere, as most daemons do.
const ELSEWHERE: &str = "#!/bin/sh\ncd /\nexec sleep 1000\n";

fn tree() -> Fixture {
    let fixture = Fixture::new(&[
        ("scan/plain/run", SLEEP),
        ("scan/elsewhere/run", ELSEWHERE),
        ("scan/echo/run", ECHOES),
        ("scan/echo/log/run", LOGS),
        ("scan/off/run", SLEEP),
    ]);
    make_fifo(fixture.path("tell"));
    fixture
}

/// runit's processes are killed; ours takes over what they left, loggers and
/// their pipes included, and starts nothing twice.
#[test]
fn from_runit_without_a_stop() {
    let fixture = tree();
    let scan = fixture.path("scan");
    let old = Supervisor::start(&fixture, &runit(), &scan);
    // Holds the fifo open: the service must not read an end.
    let mut tell = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(fixture.path("tell"))
        .unwrap();
    let names = ["plain", "elsewhere", "echo", "echo/log"];
    let before = names.map(|name| old.status(name, "run", running).pid);
    let off = old.status("off", "run", running).pid;
    fs::write(scan.join("off/supervise/control"), "o").unwrap();
    old.status("off", "once", |s| running(s) && !s.want_up);
    let lines = |text: &str| {
        wait_for("lines", &[&scan.join("echo")], || {
            let lines = fs::read_to_string(scan.join("echo/lines")).ok()?;
            (lines == text).then_some(())
        });
    };
    lines("up\n");
    old.vanish();
    tell.write_all(b"nobody supervises\n").unwrap();

    let new = Supervisor::start(&fixture, &tested(&fixture), &scan);
    for (name, pid) in names.into_iter().zip(before) {
        if !name.ends_with("log") {
            wait_for("control", &[&scan.join(name).join("supervise")], || {
                fs::write(scan.join(name).join("supervise/control"), "p").ok()
            });
            assert_eq!(new.status(name, "paused", |s| s.paused).pid, pid, "{name}");
            fs::write(scan.join(name).join("supervise/control"), "c").unwrap();
        }
        assert_eq!(
            new.status(name, "run", |s| running(s) && !s.paused).pid,
            pid
        );
    }
    let still = new.status("off", "run", running);
    assert_eq!((still.pid, still.want_up), (off, false));
    tell.write_all(b"and now\n").unwrap();
    lines("up\nnobody supervises\nand now\n");
    // The pipe is ours as well: a logger that ends is followed by one that reads on.
    let logger = before[3];
    kill(logger, Signal::KILL);
    // While it dies, it might still read.
    assert!(ends(logger));
    tell.write_all(b"another logger\n").unwrap();
    new.status("echo/log", "restarted", |s| running(s) && s.pid != logger);
    lines("up\nnobody supervises\nand now\nanother logger\n");
    kill(off, Signal::KILL);
    new.status("off", "down", down);
    new.stop();
    assert!(before.iter().all(|pid| !lives(*pid)));
}

/// A status of runit's that names another process by now changes nothing:
/// one that was started at another time, or that has a parent of its own.
#[test]
fn from_runit_with_a_pid_that_is_another_one_by_now() {
    let fixture = Fixture::new(&[("scan/late/run", SLEEP), ("scan/child/run", SLEEP)]);
    let scan = fixture.path("scan");
    let old = Supervisor::start(&fixture, &runit(), &scan);
    let was = ["late", "child"].map(|name| old.status(name, "run", running));
    old.vanish();
    for status in was {
        kill(status.pid, Signal::KILL);
    }
    let mut late = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut parent = Command::new("sh")
        .args(["-c", "sleep 1000 & echo $!; wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    for (name, pid, age) in [("late", late.id(), 60), ("child", child, 0)] {
        let stale = Status {
            pid,
            changed: Tai64n::from_unix(now.as_secs() as i64 - age, 0),
            ..was[0]
        };
        fs::write(scan.join(name).join("supervise/status"), stale.encode()).unwrap();
    }
    let new = Supervisor::start(&fixture, &tested(&fixture), &scan);
    for name in ["late", "child"] {
        new.status(name, "a run of its own", |s| {
            running(s) && ![late.id(), child].contains(&s.pid)
        });
    }
    new.stop();
    for pid in [late.id(), child] {
        assert!(lives(pid));
        kill(pid, Signal::KILL);
    }
    wait_exit(&mut late);
    wait_exit(&mut parent);
}

/// Back to runit: ours is told to end, and theirs goes on with the same files.
#[test]
fn to_runit_after_a_stop() {
    let fixture = tree();
    let scan = fixture.path("scan");
    let tell = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(fixture.path("tell"))
        .unwrap();
    let old = Supervisor::start(&fixture, &tested(&fixture), &scan);
    for name in ["plain", "elsewhere", "echo", "echo/log", "off"] {
        old.status(name, "run", running);
    }
    old.stop();
    let new = Supervisor::start(&fixture, &runit(), &scan);
    for name in ["plain", "elsewhere", "echo", "echo/log", "off"] {
        let pid = new.status(name, "run", |s| running(s) && lives(s.pid)).pid;
        if !name.ends_with("log") {
            fs::write(scan.join(name).join("supervise/control"), "t").unwrap();
            new.status(name, "restarted", |s| running(s) && s.pid != pid);
        }
    }
    // And forth once more, with what theirs left in the directories.
    new.vanish();
    let last = Supervisor::start(&fixture, &tested(&fixture), &scan);
    last.status("plain", "run", running);
    last.stop();
    drop(tell);
}
