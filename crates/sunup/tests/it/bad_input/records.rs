//! utmp, wtmp and the links of runsvchdir, in namespaces where /run, /var/log
//! and /etc are the test's own.

use std::fs;

use model::format::utmp::{Kind, Record, SIZE, encode};

use super::Bad::*;
use super::{Table, assert_says, enclosed, run};
use crate::common::Fixture;

const PLACES: &str = "mount --bind run /run; mount --bind log /var/log; mount --bind etc /etc;
    exec \"$@\"";

fn fixture() -> Fixture {
    let fixture = Fixture::new(&[("log/wtmp", ""), ("run/", ""), ("etc/", "")]);
    let record = encode(&Record {
        kind: Kind::User,
        pid: 42,
        line: b"tty1",
        user: b"joe",
        host: b"",
        time_s: 1000,
        time_us: 7,
    });
    fs::write(fixture.path("run/utmp"), record).unwrap();
    fixture
}

#[test]
fn utmp() {
    let table: Table = &[
        (Empty, "nobody is on it"),
        (Nul, "nobody is on it"),
        (Binary, "nobody is on it"),
        (Null, "nobody is on it"),
        (Long, "/run/utmp: longer than 1048576 bytes"),
        (Endless, "/run/utmp: longer than 1048576 bytes"),
        (Unreadable, "/run/utmp: Input/output error"),
        (Directory, "/run/utmp: Is a directory"),
        (Fifo, "/run/utmp: not a file"),
        (Socket, "/run/utmp: not a file"),
        (Missing, "/run/utmp: No such file or directory"),
        (Dangling, "/run/utmp: No such file or directory"),
        (Loop, "/run/utmp: Too many levels of symbolic links"),
    ];
    for (bad, part) in table {
        let fixture = fixture();
        let case = format!("{bad:?}");
        bad.put(&fixture.path("run/utmp"));
        let mut command = enclosed(&fixture, PLACES, "utmpset");
        let ran = run(&case, command.args(["-w", "tty1"]));
        assert_says(&case, &ran.errors, "utmpset", "log out tty1", part);
        assert_eq!(ran.code, 111, "{case}");
        // Nobody left, so history has nothing of it.
        assert_eq!(fs::read(fixture.path("log/wtmp")).unwrap(), b"", "{case}");
    }
}

/// A machine without the file wants no history; any other trouble is told.
#[test]
fn wtmp() {
    let table: Table = &[
        (Missing, ""),
        (Dangling, ""),
        (Null, ""),
        (Binary, ""),
        (Full, "/var/log/wtmp: No space left on device"),
        (Unreadable, "/var/log/wtmp: Input/output error"),
        (Directory, "/var/log/wtmp: Is a directory"),
        (Fifo, "/var/log/wtmp: not a file"),
        (Socket, "/var/log/wtmp: not a file"),
        (Loop, "/var/log/wtmp: Too many levels of symbolic links"),
    ];
    for (bad, part) in table {
        for (applet, args) in [("utmpset", &["-w", "tty1"][..]), ("poweroff", &["-w"])] {
            let fixture = fixture();
            let case = format!("{applet} {bad:?}");
            bad.put(&fixture.path("log/wtmp"));
            let mut command = enclosed(&fixture, PLACES, applet);
            let ran = run(&case, command.args(args));
            assert_says(&case, &ran.errors, applet, "", part);
            // poweroff tells it and has done its duty, as that of busybox.
            let fails = applet == "utmpset" && !part.is_empty();
            assert_eq!(ran.code, if fails { 111 } else { 0 }, "{case}");
            // Whatever became of history, utmp says that joe has left.
            let utmp = fs::read(fixture.path("run/utmp")).unwrap();
            let left = utmp.len() == SIZE && !utmp.windows(3).any(|w| w == b"joe");
            assert_eq!(left, applet == "utmpset", "{case}");
        }
    }
}

#[test]
fn links_of_runsvchdir() {
    let current: Table = &[
        (Missing, ""),
        (Dangling, ""),
        (Loop, ""),
        (Null, ""),
        (Empty, "read current, which should be a link"),
        (Directory, "read current, which should be a link"),
        (Fifo, "read current, which should be a link"),
        (Socket, "read current, which should be a link"),
    ];
    let previous: Table = &[
        (Missing, ""),
        (Dangling, ""),
        (Loop, ""),
        (Empty, ""),
        (Fifo, ""),
        (Socket, ""),
        (Directory, "move previous.new to previous: Is a directory"),
    ];
    let left_over: Table = &[
        (Loop, ""),
        (Fifo, ""),
        (Binary, ""),
        (Directory, "make the link current.new: Is a directory"),
    ];
    let files = [
        ("current", current),
        ("previous", previous),
        ("current.new", left_over),
    ];
    for (name, table) in files {
        for (bad, part) in table {
            let fixture = fixture();
            for entry in ["a/", "b/", "current -> b", "previous -> b"] {
                fixture.add(&format!("etc/runit/runsvdir/{entry}"), "");
            }
            let case = format!("{name} {bad:?}");
            let base = fixture.path("etc/runit/runsvdir");
            bad.put(&base.join(name));
            let ran = run(&case, enclosed(&fixture, PLACES, "runsvchdir").arg("a"));
            assert_says(&case, &ran.errors, "runsvchdir", "a: ", part);
            assert_eq!(ran.code, if part.is_empty() { 0 } else { 111 }, "{case}");
            let leads = fs::read_link(base.join("current")).ok();
            let expected = match (part.is_empty(), name) {
                (true, _) => Some("a".into()),
                (false, "current") => None,
                (false, _) => Some("b".into()),
            };
            assert_eq!(leads, expected, "{case}");
        }
    }
}

/// What runsvchdir is to change to.
#[test]
fn a_directory_of_runsvchdir() {
    let table: Table = &[
        (Missing, "look at it: No such file or directory"),
        (Empty, "look at it: Not a directory"),
        (Fifo, "look at it: Not a directory"),
        (Dangling, "look at it: No such file or directory"),
        (Loop, "look at it: Too many levels of symbolic links"),
    ];
    let fixture = fixture();
    fixture.add("etc/runit/runsvdir/current -> b", "");
    for (bad, part) in table {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("etc/runit/runsvdir/a"));
        let ran = run(&case, enclosed(&fixture, PLACES, "runsvchdir").arg("a"));
        assert_says(&case, &ran.errors, "runsvchdir", "a: ", part);
        assert_eq!(ran.code, 111, "{case}");
    }
    for name in ["a\nb\u{1b}[31m", &"n".repeat(256)] {
        let ran = run(name, enclosed(&fixture, PLACES, "runsvchdir").arg(name));
        assert_says(name, &ran.errors, "runsvchdir", "", "look at it: ");
    }
}
