//! chpst: the environment directory and its files, locks, programs, accounts,
//! and the words of the command line.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use super::Bad::*;
use super::{Table, assert_says, enclosed, ours, run, run_without_rights};
use crate::common::Fixture;

const VARIABLE: Table = &[
    (Empty, ""),
    (Nul, ""),
    (Binary, ""),
    (Null, ""),
    (Directory, "set a variable: not a file"),
    (Fifo, "set a variable: not a file"),
    (Socket, "read: No such device or address"),
    (Dangling, "read: No such file or directory"),
    (Loop, "read: Too many levels of symbolic links"),
    (Endless, "its first line is longer than 131072 bytes"),
    (Long, "its first line is longer than 131072 bytes"),
    (Unreadable, "read: Input/output error"),
];

#[test]
fn a_variable() {
    let fixture = Fixture::new(&[("env/OTHER", "set\n")]);
    for (bad, part) in VARIABLE {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("env/VARIABLE"));
        let ran = run(
            &case,
            ours("chpst")
                .arg("-e")
                .arg(fixture.path("env"))
                .args(["sh", "-c", "echo $OTHER"]),
        );
        assert_says(&case, &ran.errors, "chpst", "env/VARIABLE", part);
        // What can be no variable is left out; what cannot be read is no way to start.
        let starts = part.is_empty() || part.contains("not a file");
        let expected = if starts { (0, "set\n") } else { (111, "") };
        assert_eq!((ran.code, ran.out.as_str()), expected, "{case}");
    }
}

/// In place of a directory.
const NO_DIRECTORY: Table = &[
    (Missing, "No such file or directory"),
    (Empty, "Not a directory"),
    (Fifo, "Not a directory"),
    (Socket, "Not a directory"),
    (Endless, "Not a directory"),
    (Dangling, "No such file or directory"),
    (Loop, "Too many levels of symbolic links"),
];

#[test]
fn a_directory() {
    let fixture = Fixture::new(&[]);
    let path = fixture.path("place");
    for (bad, part) in NO_DIRECTORY {
        bad.put(&path);
        for option in ["-e", "-C", "-/"] {
            let case = format!("{option} {bad:?}");
            let ran = run(&case, ours("chpst").arg(option).arg(&path).arg("true"));
            assert_says(&case, &ran.errors, "chpst", "place: ", part);
            assert_eq!(ran.code, 111, "{case}");
        }
    }
}

#[test]
fn a_lock() {
    let fixture = Fixture::new(&[]);
    let path = fixture.path("lock");
    let table: Table = &[
        (Missing, ""),
        (Binary, ""),
        (Directory, "open the lock: Is a directory"),
        (Fifo, "open the lock: No such device or address"),
        (Socket, "open the lock: No such device or address"),
        (Dangling, "open the lock: No such file or directory"),
        (Loop, "open the lock: Too many levels of symbolic links"),
    ];
    for (bad, part) in table {
        for option in ["-l", "-L"] {
            bad.put(&path);
            let case = format!("{option} {bad:?}");
            let ran = run(&case, ours("chpst").arg(option).arg(&path).arg("true"));
            assert_says(&case, &ran.errors, "chpst", "/lock: ", part);
            assert_eq!(ran.code, if part.is_empty() { 0 } else { 111 }, "{case}");
        }
    }
}

#[test]
fn a_program() {
    let fixture = Fixture::new(&[]);
    let path = fixture.path("program");
    let table: Table = &[
        (Missing, "start: No such file or directory"),
        (Empty, "start: Permission denied"),
        (Directory, "start: Permission denied"),
        (Fifo, "start: Permission denied"),
        (Socket, "start: Permission denied"),
        (Null, "start: Permission denied"),
        (Dangling, "start: No such file or directory"),
        (Loop, "start: Too many levels of symbolic links"),
    ];
    for (bad, part) in table {
        bad.put(&path);
        let case = format!("{bad:?}");
        let ran = run(&case, ours("chpst").arg(&path));
        assert_says(&case, &ran.errors, "chpst", "/program: ", part);
        assert_eq!(ran.code, 111, "{case}");
    }
}

/// /etc/passwd and /etc/group, of a root directory that somebody else filled.
#[test]
fn accounts() {
    let table: Table = &[
        (Missing, "read: No such file or directory"),
        (Empty, "not there"),
        (Nul, "not there"),
        (Binary, "not there"),
        (Null, "not there"),
        (Long, "read: longer than 16777216 bytes"),
        (Endless, "read: longer than 16777216 bytes"),
        (Directory, "read: Is a directory"),
        (Fifo, "read: not a file"),
        (Socket, "read: not a file"),
        (Dangling, "read: No such file or directory"),
        (Loop, "read: Too many levels of symbolic links"),
    ];
    let dev = "mount --rbind /dev root/dev; exec \"$@\"";
    for file in ["etc/passwd", "etc/group"] {
        let fixture = Fixture::new(&[
            ("root/dev/", ""),
            ("root/etc/passwd", "bob:x:1:1::/:\n"),
            ("root/etc/group", "staff:x:2:\n"),
        ]);
        for (bad, part) in table {
            bad.put(&fixture.path("root").join(file));
            let case = format!("{file} {bad:?}");
            let mut command = enclosed(&fixture, dev, "chpst");
            let ran = run(
                &case,
                command.args(["-/", "root", "-u", "bob:staff", "true"]),
            );
            assert_says(&case, &ran.errors, "chpst", file, part);
            assert_eq!(ran.code, 111, "{case}");
        }
    }
}

/// Each word is a name or number that cannot be meant, or that would break a line.
#[test]
fn words() {
    let long = "n".repeat(5000);
    let over = "n".repeat(256);
    let table: &[(&str, &[u8], i32, &str)] = &[
        ("-u", b"", 111, "empty name"),
        ("-u", b":", 111, "empty name"),
        ("-u", b":1:x", 111, "numbers from 0 to"),
        ("-u", b"a\nb\x1b[31m", 111, r"a\nb\x1b[31m: look it up"),
        ("-u", b"\xff\xfe", 111, r"\xff\xfe: look it up"),
        ("-u", long.as_bytes(), 111, "look it up"),
        ("-e", b"a\nb", 111, r"a\nb: read the directory"),
        ("-e", over.as_bytes(), 111, "File name too long"),
        ("-C", long.as_bytes(), 111, "File name too long"),
        ("-l", over.as_bytes(), 111, "File name too long"),
        ("-e", b"", 111, "No such file or directory"),
        ("-o", b"-1", 100, "-o -1: not a number"),
        ("-o", b"99999999999999999999", 100, "not a number"),
        ("-m", b"\xff", 100, r"-m \xff: not a number"),
        ("-n", b"99999999999", 100, "not a number"),
        ("-n", b"", 100, "not a number"),
    ];
    for (option, word, code, part) in table {
        let case = format!("{option} {}", word.escape_ascii());
        let word = OsString::from_vec(word.to_vec());
        let ran = run(&case, ours("chpst").arg(option).arg(word).arg("true"));
        assert_eq!(ran.code, *code, "{case}: {}", ran.errors);
        // A mistake on the command line brings the usage, in a second line.
        let usage = ran.errors.find("chpst: usage: ");
        assert_eq!(usage.is_some(), *code == 100, "{case}");
        let first = &ran.errors[..usage.unwrap_or(ran.errors.len())];
        assert_says(&case, first, "chpst", "", part);
    }
}

#[test]
fn what_is_closed_to_us() {
    let fixture = Fixture::new(&[("env/VARIABLE", "x\n"), ("lock", "")]);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(fixture.path("."), open).unwrap();
    // The binary may stand where ordinary users may not look.
    let chpst = fixture.path("chpst");
    crate::common::copy_program(crate::common::sunup(), &chpst);
    for (option, operand, closed) in [
        ("-e", "env", "env/VARIABLE"),
        ("-e", "env", "env"),
        ("-l", "lock", "lock"),
        ("-C", "env", "env"),
    ] {
        let case = format!("{option} {closed}");
        let mut command = std::process::Command::new(&chpst);
        command.arg(option).arg(fixture.path(operand)).arg("true");
        let ran = run_without_rights(&case, &fixture.path(closed), &command);
        assert_says(&case, &ran.errors, "chpst", closed, "Permission denied");
        assert_eq!(ran.code, 111, "{case}");
    }
}
