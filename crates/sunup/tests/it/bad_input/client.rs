//! sv and svok: the files of a supervisor that is none, names and variables.
//! sv says what that of runit says, in the same words.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Bad::*;
use super::{Bad, assert_says, ours, run};
use crate::common::Fixture;

const FILES: [&str; 3] = ["supervise/ok", "supervise/control", "supervise/status"];
const ANY: [Bad; 12] = [
    Missing, Empty, Nul, Binary, Directory, Fifo, Socket, Dangling, Loop, Null, Endless, Unreadable,
];

/// Debian's sv.
fn reference() -> Command {
    let path = Path::new("/usr/bin/sv");
    assert!(path.exists(), "install the package runit");
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// A service with whole files, and the fifos' readers, which are to be held.
fn service() -> (Fixture, [File; 2]) {
    let fixture = Fixture::new(&[("web/supervise/", "")]);
    for name in ["ok", "control"] {
        Fifo.put(&fixture.path("web/supervise").join(name));
    }
    let status = [&[0x40_u8; 8][..], &[0; 9], b"u\0\0"].concat();
    fs::write(fixture.path("web/supervise/status"), status).unwrap();
    let readers = ["ok", "control"].map(|name| {
        let path = fixture.path("web/supervise").join(name);
        let fifo = fs::OpenOptions::new().read(true).write(true).open(path);
        fifo.unwrap()
    });
    (fixture, readers)
}

/// Lines without what only ours says: where a service was looked for, and where a link leads.
fn without_hints(errors: &str) -> String {
    let lines = errors.split_inclusive('\n');
    let hints = [
        " (from SVDIR)\n",
        " names the directory of services\n",
        ", which does not exist\n",
    ];
    let is_hint = |line: &&str| hints.iter().any(|hint| line.ends_with(hint));
    lines.filter(|line| !is_hint(line)).collect()
}

/// The words for the same trouble; the age of a status depends on the clock.
fn outcome(case: &str, command: &mut Command, fixture: &Fixture, args: &[&str]) -> (i32, String) {
    let ran = run(case, command.args(args).env("SVDIR", fixture.path(".")));
    let text = ran.out + &without_hints(&ran.errors);
    let is_age = |word: &str| {
        let digits = word.trim_end_matches(['\n', ',', ';']).strip_suffix('s');
        digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let words: Vec<&str> = text.split(' ').filter(|word| !is_age(word)).collect();
    let words = words.join(" ");
    assert!(text.lines().count() <= 1, "{case}: {text}");
    (ran.code, words)
}

/// What ours says where it does not do as runit, which follows a link in
/// `supervise` wherever it leads, and takes any file for a fifo.
fn differs(file: &str, bad: Bad, verb: &str) -> Option<(i32, String)> {
    let is_status = file == "supervise/status";
    // A mere look does not open it.
    if file == "supervise/control" && verb == "status" {
        return None;
    }
    let said = match bad {
        Dangling | Loop | Null | Endless | Unreadable => {
            format!("warning: web: unable to open {file}: symbolic link loop\n")
        }
        Empty | Nul | Binary if !is_status => "fail: web: runsv not running\n".to_owned(),
        _ => return None,
    };
    Some((1, said))
}

#[test]
fn files_of_a_supervisor() {
    for file in FILES {
        for bad in ANY {
            let (fixture, _readers) = service();
            bad.put(&fixture.path("web").join(file));
            for verb in ["status", "down"] {
                let case = format!("{file} {bad:?} {verb}");
                let args = [verb, "web"];
                if let Some(expected) = differs(file, bad, verb) {
                    let ours = outcome(&case, &mut ours("sv"), &fixture, &args);
                    assert_eq!(ours, expected, "{case}");
                    continue;
                }
                let results = [reference(), ours("sv")]
                    .map(|mut sv| outcome(&case, &mut sv, &fixture, &args));
                assert_eq!(results[0], results[1], "{case}");
            }
        }
    }
}

#[test]
fn svok_and_the_fifo() {
    for (bad, code, part) in [
        (Missing, 100, ""),
        (Fifo, 100, ""),
        (Empty, 100, ""),
        (Dangling, 111, "open supervise/ok: Too many levels"),
        (Socket, 100, ""),
        (Directory, 111, "open supervise/ok: Is a directory"),
        (Loop, 111, "open supervise/ok: Too many levels"),
    ] {
        let case = format!("{bad:?}");
        let fixture = Fixture::new(&[("web/supervise/", "")]);
        bad.put(&fixture.path("web/supervise/ok"));
        let ran = run(&case, ours("svok").arg(fixture.path("web")));
        assert_says(&case, &ran.errors, "svok", "/web: ", part);
        assert_eq!(ran.code, code, "{case}");
    }
}

#[test]
fn directories() {
    for bad in [Missing, Empty, Fifo, Socket, Dangling, Loop, Null] {
        let fixture = Fixture::new(&[]);
        bad.put(&fixture.path("web"));
        let case = format!("{bad:?}");
        let args = ["status", "web"];
        let results =
            [reference(), ours("sv")].map(|mut sv| outcome(&case, &mut sv, &fixture, &args));
        assert_eq!(results[0], results[1], "{case}");
        let ran = run(&case, ours("svok").arg(fixture.path("web")));
        assert_says(
            &case,
            &ran.errors,
            "svok",
            "/web: ",
            "change to the directory: ",
        );
        assert_eq!(ran.code, 111, "{case}");
    }
}

#[test]
fn names_and_variables() {
    let over = "n".repeat(256);
    let long = "n".repeat(5000);
    for name in [&b""[..], b"\xff\xfe", over.as_bytes()] {
        for dir in ["/", "", "/no/such", "/dev/null", &long] {
            let case = format!("{dir} {}", name.escape_ascii());
            let name = OsStr::from_bytes(name);
            let results = [reference(), ours("sv")].map(|mut sv| {
                // What is not UTF-8 comes back as it was given, as from runit.
                let output = sv.arg("status").arg(name).env("SVDIR", dir).output();
                let output = output.unwrap();
                let errors = String::from_utf8(output.stderr).unwrap();
                let said = [output.stdout, without_hints(&errors).into()].concat();
                (output.status.code(), said.escape_ascii().to_string())
            });
            assert_eq!(results[0], results[1], "{case}");
        }
    }
    for wait in ["", "x", "-1", "99999999999999999999"] {
        let ran = run(wait, ours("sv").args(["status", "web"]).env("SVWAIT", wait));
        let part = "not a whole number of seconds";
        let first = ran.errors.split_inclusive('\n').next().unwrap();
        assert_says(wait, first, "sv", "SVWAIT: ", part);
        assert_eq!(ran.code, 100, "{wait}");
    }
}
