//! runsv with real processes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{Fixture, applet, kill, lives, read_status, wait_exit, wait_for};

mod control;
mod life;
mod logger;
mod obstacles;
mod takeover;

/// A runsv process over a fixture; whatever it supervises ends with it.
struct Runsv {
    child: Child,
    dir: PathBuf,
    stderr: PathBuf,
}

impl Runsv {
    fn start(dir: &Path) -> Self {
        Self::start_as(applet("runsv"), dir)
    }

    fn start_as(mut program: Command, dir: &Path) -> Self {
        let stderr = dir.with_extension("stderr");
        let sink = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&stderr)
            .unwrap();
        let child = program
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(sink)
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            stderr,
        }
    }

    /// With a limit of open files.
    fn start_with_files(runsv: &Path, dir: &Path, files: u32) -> Self {
        let stderr = dir.with_extension("stderr");
        let child = Command::new("prlimit")
            .arg(format!("--nofile={files}"))
            .arg(runsv)
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            stderr,
        }
    }

    /// Waits for a text on its standard error.
    fn says(&self, text: &str) {
        wait_for(text, &[self.stderr.parent().unwrap()], || {
            let said = fs::read_to_string(&self.stderr).unwrap();
            said.contains(text).then_some(())
        });
    }

    fn control(&self, bytes: &str) {
        // Waits for the fifo's reader, so a supervisor that is starting is no problem.
        wait_for("control fifo", &[&self.dir, &supervise(&self.dir)], || {
            fs::metadata(supervise(&self.dir).join("control")).ok()
        });
        fs::write(supervise(&self.dir).join("control"), bytes).unwrap();
    }

    fn status(&self, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.dir, what, check)
    }

    /// Kills the supervisor; what it supervises goes on.
    fn slay(mut self) {
        kill(self.child.id(), Signal::KILL);
        wait_exit(&mut self.child);
        std::mem::forget(self);
    }

    fn exit(mut self) {
        self.control("x");
        assert_eq!(wait_exit(&mut self.child).code(), Some(0));
    }
}

impl Drop for Runsv {
    /// After a failed test nothing may stay behind: the supervisor stops its
    /// service on TERM; what a test stopped or killed is killed here.
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill(
                self.child.id(),
                if std::thread::panicking() {
                    Signal::KILL
                } else {
                    Signal::TERM
                },
            );
            drop(self.child.wait());
        }
        for dir in [self.dir.clone(), self.dir.join("log")] {
            if let Some(pid) = read_status(&dir)
                .map(|s| s.pid)
                .filter(|p| *p > 1 && lives(*p))
            {
                kill(pid, Signal::KILL);
            }
        }
    }
}

fn supervise(dir: &Path) -> PathBuf {
    let path = dir.join("supervise");
    drop(fs::DirBuilder::new().mode(0o700).create(&path));
    path
}

fn status(dir: &Path, what: &str, check: impl Fn(&Status) -> bool) -> Status {
    wait_for(what, &[&supervise(dir)], || {
        read_status(dir).filter(|s| check(s))
    })
}

/// A process that ends with its value.
struct Killed(u32);

impl Drop for Killed {
    fn drop(&mut self) {
        if lives(self.0) {
            kill(self.0, Signal::KILL);
        }
    }
}

/// Lines of the file `events` once there are `n`.
fn events(fixture: &Fixture, n: usize) -> Vec<String> {
    let dir = fixture.path("out");
    wait_for(&format!("{n} events"), &[&dir], || {
        let text = fs::read_to_string(dir.join("events")).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= n && text.ends_with('\n')).then_some(lines)
    })
}

/// A service tree with a directory `out` for what the scripts tell.
fn fixture(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new(&[("out/", "")]);
    for (name, content) in files {
        let content = content.replace("OUT", fixture.path("out/events").to_str().unwrap());
        fixture.add(name, &content);
    }
    fixture
}
