//! A runsvdir over one service `web`, for tests of what that asks for.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Fixture, applet, end_by, read_status, until_supervise, wait_for};

/// See the module; what it supervises ends with it.
pub struct World {
    pub fixture: Fixture,
    pub supervisor: Child,
}

impl World {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(&[]);
        for (name, content) in files {
            fixture.add(&format!("scan/web/{name}"), content);
        }
        let supervisor = Self::supervise(&fixture);
        Self {
            fixture,
            supervisor,
        }
    }

    fn supervise(fixture: &Fixture) -> Child {
        let child = applet("runsvdir")
            .arg(fixture.path("scan"))
            .env("XDG_RUNTIME_DIR", fixture.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until_supervise(&fixture.path("scan/web"));
        child
    }

    pub fn kill(&mut self) {
        end_by(&mut self.supervisor, Signal::KILL);
    }

    /// Another supervisor takes over from one that was killed.
    pub fn replace(&mut self) {
        self.supervisor = Self::supervise(&self.fixture);
    }

    pub fn web(&self) -> PathBuf {
        self.fixture.path("scan/web")
    }

    pub fn sv(&self, args: &[&str]) -> Command {
        let mut sv = applet("sv");
        sv.args(args).arg(self.web());
        sv
    }

    /// The line about the last run holds this.
    pub fn until_last(&self, how: &str) {
        let last = self.web().join("supervise/last");
        let tells = || {
            let line = fs::read_to_string(&last).ok()?;
            line.contains(how).then_some(())
        };
        wait_for("supervise/last", &[&self.web().join("supervise")], tells);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What the status tells of may have ended by now.
        let status = read_status(&self.web());
        if let Some(pid) = status.and_then(|s| Pid::from_raw(s.pid as i32)) {
            let _ = kill_process(pid, Signal::CONT);
        }
        let _ = self.sv(&["-w", "60", "force-shutdown"]).output();
        end_by(&mut self.supervisor, Signal::TERM);
    }
}
