//! Templates and instances: which entries are supervised, and what an instance's programs
//! find in their environment. Each program appends what it finds to one file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::common::{Fixture, applet, running, status, wait_exit, wait_for};
use super::runsvdir::Runsvdir;

/// A program that notes its name and its instance in a file of the fixture.
fn notes(fixture: &Fixture, name: &str, then: &str) -> String {
    let notes = fixture.path("notes/all");
    let notes = notes.display();
    format!("#!/bin/sh\nprintf '%s<%s>\\n' {name} \"${{INSTANCE-unset}}\" >>{notes}\n{then}\n")
}

fn fixture() -> Fixture {
    Fixture::new(&[("notes/", ""), ("scan/", "")])
}

/// The content of the notes, once it has all of these lines.
fn until_noted(fixture: &Fixture, expected: &[&[u8]]) -> Vec<u8> {
    let notes = fixture.path("notes");
    wait_for("notes", &[&notes], || {
        let found = fs::read(notes.join("all")).ok()?;
        let has = |line: &&[u8]| found.windows(line.len()).any(|part| part == *line);
        expected.iter().all(has).then_some(found)
    })
}

const STAY: &str = "exec sleep 1000";

#[test]
fn every_program_of_an_instance_knows_it_and_no_other_does() {
    let fixture = fixture();
    for service in ["scan/getty@tty1@x", "scan/plain", "scan/getty@"] {
        for (file, name, then) in [
            ("run", "run", STAY),
            ("finish", "finish", ""),
            ("setup", "setup", ""),
            ("check", "check", ""),
            ("control/h", "h", "exit 0"),
            ("log/run", "log", "exec cat"),
        ] {
            let name = format!("{}-{name}", service.len());
            fixture.add(&format!("{service}/{file}"), &notes(&fixture, &name, then));
        }
    }
    fixture.add("scan/waits/needs/getty@tty1@x", "");
    fixture.add("scan/waits/run", &notes(&fixture, "waits", STAY));
    let supervisor = Runsvdir::start(&fixture);
    until_noted(&fixture, &[b"waits<unset>\n"]);
    for name in ["getty@tty1@x", "plain"] {
        let dir = fixture.path("scan").join(name);
        status(&dir, "run", running);
        fs::write(dir.join("supervise/control"), "h").unwrap();
    }
    until_noted(&fixture, &[b"17-h<tty1@x>\n", b"10-h<unset>\n"]);
    supervisor.hang_up();
    let found = String::from_utf8(fs::read(fixture.path("notes/all")).unwrap()).unwrap();
    for program in ["setup", "run", "log", "h", "finish"] {
        for line in [
            format!("17-{program}<tty1@x>"),
            format!("10-{program}<unset>"),
        ] {
            assert!(found.lines().any(|there| there == line), "{line}: {found}");
        }
    }
    // Only somebody who waits asks.
    assert!(found.contains("17-check<tty1@x>\n"), "{found}");
    // The template was left alone.
    assert!(!found.contains("11-"), "{found}");
    assert!(!fixture.path("scan/getty@/supervise").exists());
}

/// A template becomes a service by another name, and a service a template.
#[test]
fn a_name_decides_at_once() {
    let fixture = fixture();
    fixture.add("scan/one@/run", &notes(&fixture, "one", STAY));
    fixture.add("scan/two/run", &notes(&fixture, "two", STAY));
    let supervisor = Runsvdir::start(&fixture);
    let scan = fixture.path("scan");
    until_noted(&fixture, &[b"two<unset>\n"]);
    fs::rename(scan.join("one@"), scan.join("one@b")).unwrap();
    until_noted(&fixture, &[b"one<b>\n"]);
    let was = status(&scan.join("two"), "run", running);
    fs::rename(scan.join("two"), scan.join("two@")).unwrap();
    assert!(super::common::ends(was.pid));
    supervisor.hang_up();
}

/// Names as hostile as the file system takes them come through byte for byte, also to a
/// successor, and what the supervisor has by that name itself does not.
#[test]
fn any_name_stays_what_it_is_with_every_supervisor() {
    let fixture = fixture();
    let long = format!("l@{}", "x".repeat(253));
    let names: [&[u8]; 4] = [
        b"a@new\nline",
        b"b@\xff\xfe=$(x)",
        b"c@ @ ",
        long.as_bytes(),
    ];
    let run = notes(&fixture, "run", STAY);
    for name in names {
        let dir = fixture.path("made");
        fixture.add("made/run", &run);
        fs::rename(dir, fixture.path("scan").join(OsStr::from_bytes(name))).unwrap();
    }
    let lines = names.map(|name| {
        let at = name.iter().position(|byte| *byte == b'@').unwrap();
        [b"run<", &name[at + 1..], b">\n"].concat()
    });
    let lines = lines.each_ref().map(Vec::as_slice);
    let restart = |dir: &Path| {
        let before = status(dir, "run", running);
        fs::write(dir.join("supervise/control"), "t").unwrap();
        status(dir, "the next run", |s| running(s) && s.pid != before.pid);
    };
    let each = |of: &dyn Fn(&Path)| {
        for name in names {
            of(&fixture.path("scan").join(OsStr::from_bytes(name)));
        }
    };
    let supervisor = Runsvdir::start(&fixture);
    until_noted(&fixture, &lines);
    // Killed: taken over by another.
    supervisor.end_alone(Signal::KILL);
    let supervisor = Runsvdir::start(&fixture);
    fs::remove_file(fixture.path("notes/all")).unwrap();
    each(&restart);
    until_noted(&fixture, &lines);
    // And by another program in its place.
    supervisor.upgrade();
    fs::remove_file(fixture.path("notes/all")).unwrap();
    each(&restart);
    until_noted(&fixture, &lines);
    supervisor.hang_up();
}

/// `runsv` goes by the last part of what it was given.
#[test]
fn runsv_goes_by_the_name_that_it_was_given() {
    let fixture = fixture();
    fixture.add("scan/job@one/run", &notes(&fixture, "run", STAY));
    symlink("job@one", fixture.path("scan/job@two")).unwrap();
    for (path, cwd, noted) in [
        ("job@one", "scan", "run<one>\n"),
        ("./job@one//", "scan", "run<one>\n"),
        ("job@two", "scan", "run<two>\n"),
        // Not by what it is, and what is inherited stays.
        (".", "scan/job@one", "run<of another>\n"),
    ] {
        let notes: PathBuf = fixture.path("notes/all");
        drop(fs::remove_file(&notes));
        let mut runsv: Command = applet("runsv");
        let mut child = runsv
            .arg(path)
            .current_dir(fixture.path(cwd))
            .env("INSTANCE", "of another")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let found = until_noted(&fixture, &[noted.as_bytes()]);
        assert_eq!(String::from_utf8(found).unwrap(), noted, "{path}");
        super::common::kill(child.id(), Signal::TERM);
        assert_eq!(wait_exit(&mut child).code(), Some(0));
    }
}
