//! The service of tests says what it is told to say, and tells what it hears.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

fn service(log: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-service"));
    command.arg("log").arg(log).args(words);
    command
}

fn told(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

fn until_told(log: &Path, child: &mut Child, line: &str) {
    while !told(log).lines().any(|told| told == line) {
        assert!(child.try_wait().unwrap().is_none(), "{}", told(log));
        std::thread::yield_now();
    }
}

/// glibc's SIGRTMIN+3, which rustix has no name for.
const CONTAINER_STOP: i32 = 37;

fn signal(child: &Child, number: i32) {
    let mut kill = Command::new("env");
    kill.args(["kill", "-s", &number.to_string(), &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

#[test]
fn it_tells_signals_and_ends_by_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let words = [
        "ignore", "HUP", "note", "up", "until", "TERM", "note", "saved", "die", "QUIT",
    ];
    let mut child = service(&log, &words).spawn().unwrap();
    until_told(&log, &mut child, "up");
    signal(&child, 1);
    until_told(&log, &mut child, "HUP");
    signal(&child, 15);
    assert_eq!(child.wait().unwrap().signal(), Some(3));
    assert_eq!(told(&log), "up\nHUP\nTERM\nsaved\n");

    let log = dir.path().join("other");
    let mut child = service(&log, &["note", "up", "stay"]).spawn().unwrap();
    until_told(&log, &mut child, "up");
    signal(&child, CONTAINER_STOP);
    assert_eq!(child.wait().unwrap().signal(), Some(CONTAINER_STOP));
    assert_eq!(told(&log), "up\nRTMIN+3\n");
}

#[test]
fn it_speaks_to_a_notify_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (log, path) = (dir.path().join("log"), dir.path().join("socket"));
    let socket = UnixDatagram::bind(&path).unwrap();
    let words = [
        "notify",
        "READY=1\nSTATUS=serves",
        "barrier",
        "note",
        "past",
        "exit",
        "7",
    ];
    let mut child = service(&log, &words)
        .env("NOTIFY_SOCKET", &path)
        .spawn()
        .unwrap();
    let mut buffer = [0; 100];
    let mut heard = || {
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(heard(), "READY=1\nSTATUS=serves");
    // A descriptor for which there is no room is closed.
    assert_eq!(heard(), "BARRIER=1");
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(told(&log), "past\n");
}

#[test]
fn it_says_that_it_is_ready_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let program = env!("CARGO_BIN_EXE_test-service");
    let script = format!("exec 3>&1 >/dev/null; exec {program} log $0 newline 3 after 1 stay");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(&log)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The end of the pipe comes while the service lives.
    let mut said = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(said, "\n");
    assert!(child.try_wait().unwrap().is_none());
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn it_refuses_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &["dance"][..],
        &["until"],
        &["newline", "77"],
        &["notify", "READY=1"],
    ] {
        let mut command = service(&dir.path().join("log"), words);
        let output = command.env_remove("NOTIFY_SOCKET").output().unwrap();
        assert_eq!(output.status.code(), Some(100), "{words:?}");
        assert!(output.stderr.starts_with(b"test-service: "));
    }
}
