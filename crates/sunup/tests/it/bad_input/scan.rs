//! runsvdir's scan directory: itself, its entries and their names; runsv's operand.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::Bad::*;
use super::services::Supervisor;
use super::{Table, assert_says, ours, run, until_ready};
use crate::common::{Fixture, SLEEP};

#[test]
fn no_directory() {
    let table: Table = &[
        (Missing, "No such file or directory"),
        (Empty, "Not a directory"),
        (Fifo, "Not a directory"),
        (Socket, "Not a directory"),
        (Null, "Not a directory"),
        (Dangling, "No such file or directory"),
        (Loop, "Too many levels of symbolic links"),
    ];
    let fixture = Fixture::new(&[]);
    for (bad, part) in table {
        for (applet, code) in [("runsv", 111), ("runsvdir", 100)] {
            let case = format!("{applet} {bad:?}");
            bad.put(&fixture.path("dir"));
            let ran = run(&case, ours(applet).arg(fixture.path("dir")));
            assert_says(&case, &ran.errors, applet, "/dir: ", part);
            assert_eq!(ran.code, code, "{case}");
        }
    }
}

#[test]
fn names_that_no_directory_has() {
    let long = "n".repeat(256);
    let names: [(&[u8], &str); 4] = [
        (b"", "; name a "),
        (b"a\nb\x1b[31m", "No such file or directory"),
        (b"\xff\xfe", "No such file or directory"),
        (long.as_bytes(), "File name too long"),
    ];
    for (name, part) in names {
        for applet in ["runsv", "runsvdir"] {
            let case = format!("{applet} {}", name.escape_ascii());
            let ran = run(&case, ours(applet).arg(OsStr::from_bytes(name)));
            assert_says(&case, &ran.errors, applet, "", part);
        }
    }
}

/// Every name that a file system takes is one of a service, but for a leading dot.
#[test]
fn odd_names_are_names() {
    let fixture = Fixture::new(&[("services/good/run", SLEEP)]);
    let longest = "n".repeat(255);
    let names: [&[u8]; 5] = [
        longest.as_bytes(),
        b"\xff\xfe",
        b"a\nb",
        b"with blank",
        b"-w",
    ];
    for name in names {
        let dir = fixture.path("services").join(OsStr::from_bytes(name));
        fs::create_dir(&dir).unwrap();
        fs::copy(fixture.path("services/good/run"), dir.join("run")).unwrap();
    }
    // This one has nothing to run, and a name that would break a line.
    fs::create_dir(fixture.path("services/x\ny\x1b[31m")).unwrap();
    let supervisor = Supervisor::start(&fixture);
    supervisor.until_said_of(r"x\ny\x1b[31m");
    assert_eq!(supervisor.said().lines().count(), 1);
    for name in names {
        let dir = fixture.path("services").join(OsStr::from_bytes(name));
        until_ready(&dir);
    }
    supervisor.end();
}

/// What leads nowhere is told once; what is no directory is no service.
#[test]
fn entries() {
    let table: Table = &[
        (Empty, ""),
        (Fifo, ""),
        (Socket, ""),
        (Null, ""),
        (Dangling, "its link leads to "),
        (Loop, "look at it: Too many levels of symbolic links"),
    ];
    let fixture = Fixture::new(&[("services/good/run", SLEEP)]);
    for (bad, _) in table {
        bad.put(&fixture.path("services").join(format!("{bad:?}")));
    }
    let supervisor = Supervisor::start(&fixture);
    supervisor.sv("start", [&"good".to_owned()]);
    // A further look at the directory has no more to say.
    fixture.add("services/later/run", SLEEP);
    supervisor.sv("start", [&"later".to_owned()]);
    for (bad, part) in table {
        let name = format!("{bad:?}");
        let said = supervisor.said_of(&name);
        assert_says(&name, &said, "runsvdir", &name, part);
    }
    // What was missing comes to be.
    fs::remove_file(fixture.path("services/Dangling")).unwrap();
    fixture.add("services/Dangling -> ../elsewhere", "");
    fixture.add("elsewhere/run", SLEEP);
    supervisor.sv("start", [&"Dangling".to_owned()]);
    supervisor.end();
}
