//! runsvdir with real processes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::common::{
    Fixture, applet, end_by, ends, kill, lives, read_status, until_unlocked, wait_exit,
};

mod ending;
mod keeper;
mod links;
mod scan;
mod services;
mod title;

/// A runsvdir over `scan` of a fixture; its services end with it.
pub struct Runsvdir {
    pub child: Child,
    scan: PathBuf,
    stderr: PathBuf,
}

impl Runsvdir {
    pub fn start(fixture: &Fixture) -> Self {
        let stderr = fixture.path("stderr");
        let sink = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&stderr)
            .unwrap();
        Self::start_with(fixture, sink.into())
    }

    fn start_with(fixture: &Fixture, sink: std::os::fd::OwnedFd) -> Self {
        Self::start_by(applet("runsvdir"), fixture, sink)
    }

    /// With so few descriptors.
    pub fn start_limited(fixture: &Fixture, descriptors: usize) -> Self {
        let sink = fs::File::create(fixture.path("stderr")).unwrap();
        let mut shell = Command::new("sh");
        let limit = format!("ulimit -n {descriptors}; exec \"$@\"");
        shell
            .args(["-c", &limit, "sh"])
            .arg(fixture.applet("runsvdir"));
        Self::start_by(shell, fixture, sink.into())
    }

    fn start_by(mut command: Command, fixture: &Fixture, sink: std::os::fd::OwnedFd) -> Self {
        let (scan, stderr) = (fixture.path("scan"), fixture.path("stderr"));
        let child = command
            .arg("-P")
            .arg(&scan)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(sink)
            .spawn()
            .unwrap();
        Self {
            child,
            scan,
            stderr,
        }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// The program is executed anew in its place.
    pub fn upgrade(&self) {
        kill(self.child.id(), Signal::USR2);
    }

    /// Ends it by a signal, which its services outlive; its exit code.
    pub fn end_alone(mut self, signal: Signal) -> Option<i32> {
        kill(self.child.id(), signal);
        let code = wait_exit(&mut self.child).code();
        std::mem::forget(self);
        code
    }

    /// Stops everything and waits until nothing is left.
    pub fn hang_up(mut self) {
        let pids: Vec<u32> = all_pids(&self.scan);
        kill(self.child.id(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
        assert!(pids.into_iter().all(ends));
    }
}

impl Drop for Runsvdir {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::KILL);
        for pid in all_pids(&self.scan).into_iter().filter(|p| lives(*p)) {
            kill(pid, Signal::KILL);
        }
    }
}

fn all_pids(scan: &Path) -> Vec<u32> {
    let names = fs::read_dir(scan).unwrap().map(|e| e.unwrap().path());
    names
        .flat_map(|dir| [dir.join("log"), dir])
        .filter_map(|dir| read_status(&dir))
        .map(|s| s.pid)
        .filter(|pid| *pid > 1)
        .collect()
}

/// How soon something is noticed. Who polls takes as long each time; who is told
/// is quick at least once, even on a busy machine.
fn is_quick(mut once: impl FnMut(u32) -> Duration) -> bool {
    // runit looks again after a second when the clock's grain may hide something.
    let quick = Duration::from_millis(600);
    (0..8).map(&mut once).any(|took| took < quick)
}

/// Who took the service's lock, as /proc/locks tells (proc(5)).
pub fn lock_holder(dir: &Path) -> Option<u32> {
    let inode = fs::metadata(dir.join("supervise/lock")).ok()?.ino();
    let look = |_| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let line = locks
            .lines()
            .find(|line| line.contains(&format!(":{inode} ")))?;
        line.split_whitespace().nth(4)?.parse().ok()
    };
    // It is read in pieces; a lock may be missed when another is let go of between two.
    (0..8).find_map(look)
}

/// Waits until nobody holds the service's lock.
fn wait_until_unsupervised(dir: &Path) {
    until_unlocked(&dir.join("supervise/lock"));
}

/// Wrong calls exit as runit's.
#[test]
fn wrong_calls_exit_with_one() {
    for (name, args) in [("runsvdir", &[][..]), ("runsvdir", &["-P"]), ("runsv", &[])] {
        let code = |mut command: Command| command.args(args).output().unwrap().status.code();
        let reference = code(Command::new(super::common::debian(name)));
        assert_eq!(
            code(super::common::applet(name)),
            reference,
            "{name} {args:?}"
        );
        assert_eq!(reference, Some(1));
    }
}
