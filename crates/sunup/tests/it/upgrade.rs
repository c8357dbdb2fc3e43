//! Another program goes on in a supervisor's place: USR2, with real processes.
//!
//! Where something is to happen in the very midst, the new program is a script
//! that waits at a gate, in the supervisor's process, and then executes the real one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{
    Fixture, kill, lives, make_fifo, read_status, status, sunup, until_supervised, wait_exit,
    wait_for, yield_until,
};

mod copy;
mod midst;
mod program;
mod state;

/// A supervisor that was started from a file of its own.
struct Supervisor {
    fixture: Fixture,
    child: Child,
}

/// Says to its logger what it is told.
const ECHO: &str = "#!/bin/sh\nexec cat ../../tell\n";

const LOG: &str = "#!/bin/sh\nexec cat >>../lines\n";

/// Waits in the supervisor's process.
const GATE: &str = "#!/bin/sh
[ $1 = --version ] && exit 0
here=${0%/bin/*}
echo here >$here/reached
read line <$here/gate
exec $here/real/${0##*/} \"$@\"
";

impl Supervisor {
    /// Files are those of the fixture beside `scan`; `args` are relative to it.
    fn start(files: &[(&str, &str)], applet: &str, args: &[&str]) -> Self {
        let fixture = Fixture::new(files);
        for name in ["tell", "gate"] {
            make_fifo(fixture.path(name));
        }
        for dir in ["bin", "real"] {
            for name in ["runsvdir", "runsv", "sv"] {
                fixture.add(&format!("{dir}/{name} -> sunup"), "");
            }
            copy(&sunup(), &fixture.path(dir).join("sunup"));
        }
        let child = Self::spawn(&fixture, applet, args);
        Self { fixture, child }
    }

    fn spawn(fixture: &Fixture, applet: &str, args: &[&str]) -> Child {
        let mut sink = fs::OpenOptions::new();
        let sink = sink.append(true).create(true);
        let stderr = sink.open(fixture.path("stderr")).unwrap();
        Command::new(fixture.path("bin").join(applet))
            .args(args)
            .current_dir(fixture.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn status(&self, name: &str, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.dir(name), what, check)
    }

    fn command(&self, name: &str, byte: &str) {
        fs::write(self.dir(name).join("supervise/control"), byte).unwrap();
    }

    /// The inode of the program that runs.
    fn program(&self) -> u64 {
        let link = format!("/proc/{}/exe", self.pid());
        yield_until(|| fs::metadata(&link).ok()).ino()
    }

    /// Puts another file in the program's place; its inode.
    fn replace(&self) -> u64 {
        let new = self.fixture.path("bin/new");
        copy(&sunup(), &new);
        self.put(&new)
    }

    fn put(&self, new: &Path) -> u64 {
        let inode = fs::metadata(new).unwrap().ino();
        fs::rename(new, self.fixture.path("bin/sunup")).unwrap();
        inode
    }

    fn upgrade(&self) {
        let new = self.replace();
        assert_ne!(self.program(), new);
        kill(self.pid(), Signal::USR2);
        self.until_runs(new);
    }

    fn until_runs(&self, program: u64) {
        yield_until(|| (self.program() == program).then_some(()));
    }

    /// The new program waits in the supervisor's process when this comes back.
    fn upgrade_to_the_gate(&self) {
        self.fixture.add("bin/new", GATE);
        self.put(&self.fixture.path("bin/new"));
        kill(self.pid(), Signal::USR2);
        let reached = self.fixture.path("reached");
        wait_for("gate", &[&self.fixture.path(".")], || {
            reached.exists().then_some(())
        });
    }

    fn open_gate(&self) {
        fs::write(self.fixture.path("gate"), "\n").unwrap();
    }

    fn open_gate_and_wait(&self) {
        self.open_gate();
        let real = fs::metadata(self.fixture.path("real/sunup")).unwrap().ino();
        self.until_runs(real);
    }

    /// Waits until somebody reads the service's commands.
    fn until_supervised(&self, name: &str) {
        until_supervised(&self.dir(name));
    }

    fn sv(&self, args: &[&str]) -> String {
        let out = Command::new(self.fixture.path("real/sv"))
            .args(args)
            .env("SVDIR", self.fixture.path("scan"))
            .env("SVWAIT", "60")
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "sv {args:?}: {said}{:?}", self.said());
        said
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("stderr")).unwrap()
    }

    fn until_lines(&self, name: &str, text: &str) {
        let dir = self.dir(name);
        wait_for("lines", &[&dir], || {
            let lines = fs::read_to_string(dir.join("lines")).unwrap_or_default();
            (lines == text).then_some(())
        });
    }

    fn hang_up(mut self) {
        kill(self.pid(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill(self.pid(), Signal::KILL);
            drop(self.child.wait());
        }
        for entry in fs::read_dir(self.fixture.path("scan")).unwrap() {
            let dir = entry.unwrap().path();
            for dir in [dir.join("log"), dir] {
                if let Some(s) = read_status(&dir).filter(|s| s.pid > 1 && lives(s.pid)) {
                    kill(s.pid, Signal::KILL);
                }
            }
        }
    }
}

/// By another process, for a file that a thread here has open for writing cannot be executed.
fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// When a process started, in clock ticks.
fn started(pid: u32) -> u64 {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    model::format::proc_stat::decode(&stat).unwrap().started
}

fn pidfds(pid: u32) -> usize {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains("pidfd"))
        .count()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    !model::format::proc_stat::decode(&stat).unwrap().lives
}
