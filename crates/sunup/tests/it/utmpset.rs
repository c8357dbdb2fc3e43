//! utmpset in a mount namespace where /run and /var/log are the test's own.

use std::path::Path;
use std::process::{Command, Output};

use model::format::utmp::{Kind, Record, SIZE, encode};

use super::common::Fixture;

fn record(line: &'static [u8], user: &'static [u8]) -> [u8; SIZE] {
    encode(&Record {
        kind: Kind::User,
        pid: 42,
        line,
        user,
        host: b"far",
        time_s: 1000,
        time_us: 7,
    })
}

fn machine() -> Fixture {
    let fixture = Fixture::new(&[("run/", ""), ("log/wtmp", "")]);
    let utmp = [record(b"tty1", b"joe"), record(b"tty2", b"ann")].concat();
    std::fs::write(fixture.path("run/utmp"), utmp).unwrap();
    fixture
}

fn run(args: &[&str], fixture: &Fixture) -> Output {
    let script = "mount --bind run /run && mount --bind log /var/log && exec \"$@\"";
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args(["sh", "-c", script, "sh"])
        .arg(fixture.applet("utmpset"))
        .args(args)
        .current_dir(fixture.path("."))
        .output()
        .expect("unshare of the package util-linux")
}

/// A record without its time, and whether that is of today.
fn timeless(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = bytes.to_vec();
    let seconds = u32::from_ne_bytes(bytes[340..344].try_into().unwrap());
    bytes[340..348].fill(0);
    (bytes, seconds > 1_600_000_000)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_line_is_logged_out_and_the_others_stay() {
    let fixture = machine();
    let output = run(&["tty2"], &fixture);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let utmp = read(&fixture.path("run/utmp"));
    assert_eq!(utmp[..SIZE], record(b"tty1", b"joe"));
    let dead = encode(&Record {
        kind: Kind::Dead,
        pid: 42,
        line: b"tty2",
        user: b"",
        host: b"",
        time_s: 0,
        time_us: 0,
    });
    assert_eq!(timeless(&utmp[SIZE..]), (dead.to_vec(), true));
    assert_eq!(read(&fixture.path("log/wtmp")), b"");
    // Now nobody is on it.
    let output = run(&["tty2"], &fixture);
    assert_eq!(output.status.code(), Some(111));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tty2"));
}

#[test]
fn the_history_gets_an_empty_record_of_the_line() {
    let fixture = machine();
    // Nobody was on it: nothing to note.
    let output = run(&["-w", "tty9"], &fixture);
    assert_eq!(output.status.code(), Some(111), "{output:?}");
    let output = run(&["-w", "tty1"], &fixture);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (wtmp, today) = timeless(&read(&fixture.path("log/wtmp")));
    assert!(today);
    assert_eq!(wtmp.len(), SIZE);
    assert_eq!(wtmp[..2], (Kind::Dead as i16).to_ne_bytes());
    assert_eq!(&wtmp[8..13], b"tty1\0");
    assert_eq!(wtmp[44..], [0; SIZE - 44]);
}

#[test]
fn trouble_is_told() {
    let fixture = Fixture::new(&[("run/", ""), ("log/", "")]);
    let output = run(&["tty1"], &fixture);
    assert_eq!(output.status.code(), Some(111));
    let output = run(&[], &fixture);
    assert_eq!(output.status.code(), Some(1));
    let fixture = Fixture::new(&[("run/", ""), ("log/", "")]);
    let output = run(&["tty1"], &fixture);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        text,
        "utmpset: log out tty1: /var/run/utmp: No such file or directory\n"
    );
}

#[test]
fn a_machine_without_history_wants_none() {
    let fixture = machine();
    std::fs::remove_file(fixture.path("log/wtmp")).unwrap();
    let output = run(&["-w", "/dev/tty1"], &fixture);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!fixture.path("log/wtmp").exists());
}
