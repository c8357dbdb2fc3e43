//! getty: what is given as its terminal, the issue file, and the records of who
//! is on the line.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Bad::*;
use super::{Table, assert_says, enclosed, ours};
use crate::common::{Fixture, kill, patience, wait_exit, wait_for};

/// A terminal; the test is at the keyboard.
struct Line {
    keyboard: File,
    path: PathBuf,
    _held_open: OwnedFd,
}

impl Line {
    fn new() -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_owned();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        Self {
            keyboard: keyboard.into(),
            _held_open: rustix::fs::open(&path, flags, Mode::empty()).unwrap(),
            path,
        }
    }

    /// Waits for the prompt, and answers it; what was shown.
    fn log_in(&mut self, case: &str) -> Vec<u8> {
        let end = Instant::now() + patience();
        let mut shown = Vec::new();
        while !shown.ends_with(b" login: ") {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now()));
            let mut fds = [PollFd::new(&self.keyboard, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&left.unwrap())).unwrap();
            assert_eq!(ready, 1, "{case}: no prompt");
            let mut buffer = [0; 4096];
            let n = self.keyboard.read(&mut buffer).unwrap();
            shown.extend(&buffer[..n]);
        }
        self.keyboard.write_all(b"joe\r").unwrap();
        shown
    }
}

/// Starts it with its standard error in the fixture's file `said`.
fn start(fixture: &Fixture, command: &mut Command) -> Child {
    let said = File::create(fixture.path("said")).unwrap();
    command.stderr(said).spawn().unwrap()
}

fn said(fixture: &Fixture) -> String {
    fs::read_to_string(fixture.path("said")).unwrap()
}

/// getty goes on without its issue, and says why; only the usual one may be missing.
#[test]
fn an_issue_file() {
    let table: Table = &[
        (Empty, ""),
        (Nul, ""),
        (Null, ""),
        (Long, ""),
        (Endless, ""),
        (Missing, "read: No such file or directory"),
        (Dangling, "read: No such file or directory"),
        (Directory, "read: Is a directory"),
        (Fifo, "read: not a file"),
        (Socket, "read: not a file"),
        (Loop, "read: Too many levels of symbolic links"),
        (Unreadable, "read: Input/output error"),
    ];
    let fixture = Fixture::new(&[]);
    for (bad, part) in table {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("issue"));
        let mut line = Line::new();
        let mut command = ours("getty");
        command.arg("-f").arg(fixture.path("issue"));
        command.args(["-l", "/bin/true", "0"]).arg(&line.path);
        let mut child = start(&fixture, &mut command);
        let shown = line.log_in(&case);
        assert!(shown.len() < 100_000, "{case}");
        assert_eq!(wait_exit(&mut child).code(), Some(0), "{case}");
        assert_says(&case, &said(&fixture), "getty", "/issue: ", part);
    }
}

/// Who cannot be noted may log in all the same.
#[test]
fn records() {
    let script = "mount --bind run /run; mount --bind log /var/log; exec \"$@\"";
    for file in ["run/utmp", "log/wtmp"] {
        for bad in [
            Missing, Binary, Long, Directory, Fifo, Socket, Dangling, Loop, Null, Endless, Full,
            Unreadable,
        ] {
            let fixture = Fixture::new(&[("run/", ""), ("log/", "")]);
            let case = format!("{file} {bad:?}");
            bad.put(&fixture.path(file));
            let mut line = Line::new();
            let mut command = enclosed(&fixture, script, "getty");
            command.args(["-i", "-l", "/bin/true", "0"]).arg(&line.path);
            let mut child = start(&fixture, &mut command);
            line.log_in(&case);
            assert_eq!(wait_exit(&mut child).code(), Some(0), "{case}");
            assert_eq!(said(&fixture), "", "{case}");
        }
    }
}

#[test]
fn no_terminal() {
    let table: Table = &[
        (Missing, "open: No such file or directory"),
        (Empty, "open: not a terminal"),
        (Null, "open: not a terminal"),
        (Fifo, "open: not a terminal"),
        (Directory, "open: Is a directory"),
        (Socket, "open: No such device or address"),
        (Dangling, "open: No such file or directory"),
        (Loop, "open: Too many levels of symbolic links"),
    ];
    let fixture = Fixture::new(&[]);
    for (bad, part) in table {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("tty"));
        let mut child = start(&fixture, ours("getty").arg("0").arg(fixture.path("tty")));
        wait_for("a word", &[&fixture.path(".")], || {
            said(&fixture).ends_with('\n').then_some(())
        });
        // It waits, so that no supervisor spins.
        kill(child.id(), Signal::TERM);
        wait_exit(&mut child);
        assert_says(&case, &said(&fixture), "getty", "/tty: ", part);
    }
}
