//! `sv top`: once into a pipe, and again and again on a terminal, which is left as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::OFlags;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::super::common::{Fixture, SLEEP, end_by, kill, running, status, wait_exit};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv};

const SPINS: &str = "#!/bin/sh\nwhile :; do :; done\n";

#[test]
fn who_needs_most_comes_first() {
    let fixture = Fixture::new(&[
        ("scan/idle/run", SLEEP),
        ("scan/spins/run", SPINS),
        ("scan/down/run", SLEEP),
        ("scan/down/down", ""),
    ]);
    let scan = fixture.path("scan");
    let _supervisor = Runsvdir::start(&fixture);
    for name in ["idle", "spins"] {
        status(&scan.join(name), "run", running);
    }
    let table = printed(&scan, &["top", "-d", "1"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][4], "CPU%");
    let names: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
    assert_eq!(names, ["spins", "down", "idle"]);
    assert!(rows[1][4].parse::<f32>().unwrap() > 0.0, "{table}");
    let table = printed(&scan, &["top", "-d", "1", "-s", "memory", "[is]*"]);
    assert_eq!(table.lines().count(), 3);
    for (args, told) in [
        (["top", "-s", "x"], "-s: say cpu or memory"),
        (["top", "-d", "0"], "-d: say a whole number"),
    ] {
        let output = sv(&scan, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(100));
        assert!(String::from_utf8_lossy(&output.stderr).contains(told));
    }
}

/// `sv top` on a terminal of its own.
struct Shown {
    child: Child,
    ours: File,
    theirs: File,
    said: Vec<u8>,
}

impl Shown {
    fn start(scan: &Path) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: 3,
            ws_col: 60,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        // Not as the terminal of this process: its end would be ours.
        let mut options = File::options();
        options.custom_flags(OFlags::NOCTTY.bits() as i32);
        let theirs = options.read(true).write(true).open(name.to_str().unwrap());
        let theirs = theirs.unwrap();
        let mut top = sv(scan, &["top", "-d", "600"]);
        top.env("TERM", "linux").env("NO_COLOR", "1");
        top.stdin(theirs.try_clone().unwrap());
        let child = top
            .stdout(Stdio::from(theirs.try_clone().unwrap()))
            .spawn()
            .unwrap();
        drop(top);
        let ours = File::from(ours);
        let said = Vec::new();
        Self {
            child,
            ours,
            theirs,
            said,
        }
    }

    /// Reads until it has said this.
    fn until(&mut self, words: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let said = String::from_utf8_lossy(&self.said).into_owned();
            if let Some((before, _)) = said.split_once(words) {
                self.said.drain(..before.len() + words.len());
                return before.to_owned();
            }
            let n = self.ours.read(&mut buffer).unwrap();
            self.said.extend(&buffer[..n]);
        }
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.theirs).unwrap().local_modes
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::KILL);
    }
}

#[test]
fn a_terminal_is_left_as_it_was() {
    let fixture = Fixture::new(&[
        ("scan/a/run", SLEEP),
        ("scan/b/run", SLEEP),
        ("scan/c/run", SLEEP),
    ]);
    let scan = fixture.path("scan");
    for ends in ["q", "INT"] {
        let mut shown = Shown::start(&scan);
        shown.until("\x1b[?1049h");
        shown.until("\x1b[H");
        let frame = shown.until("\x1b[J");
        assert!(frame.contains("3 services, 0 up; q ends"), "{frame:?}");
        // Of three rows, one has the title and one the heads of the columns.
        let lines: Vec<&str> = frame.split("\r\n").collect();
        assert_eq!(lines.len(), 3, "{frame:?}");
        assert!(
            lines[1].starts_with("SERVICE") && lines[2].starts_with("a "),
            "{frame:?}"
        );
        let raw = LocalModes::ICANON | LocalModes::ECHO;
        assert!(!shown.modes().intersects(raw));
        shown.ours.write_all(b"m").unwrap();
        shown.until("\x1b[J");
        match ends {
            "q" => shown.ours.write_all(b"q").unwrap(),
            _ => kill(shown.child.id(), Signal::INT),
        }
        assert_eq!(wait_exit(&mut shown.child).code(), Some(0));
        shown.until("\x1b[?1049l");
        assert!(shown.modes().contains(raw));
    }
}
