//! svc against fifos that the test reads itself; busybox's must do the same.

use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

use super::common::{Fixture, sunup};

/// Ours and busybox's.
fn both() -> [PathBuf; 2] {
    let oracle = PathBuf::from("/bin/busybox");
    assert!(oracle.exists(), "install the package busybox-static");
    [sunup(), oracle]
}

/// A service directory whose supervisor is the test.
fn service(status: &[u8]) -> Fixture {
    let fixture = Fixture::new(&[("web/supervise/", "")]);
    std::fs::write(fixture.path("web/supervise/status"), status).unwrap();
    for name in ["ok", "control"] {
        let path = fixture.path("web/supervise").join(name);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, path, FileType::Fifo, mode, 0).unwrap();
    }
    fixture
}

fn svc(program: &PathBuf, fixture: &Fixture, args: &[&str]) -> Output {
    Command::new(program)
        .arg("svc")
        .args(args)
        .env("SVDIR", fixture.path("."))
        .output()
        .unwrap()
}

#[test]
fn letters_arrive() {
    // Neither up nor down is wanted: busybox sends nothing that is so already.
    let mut status = [0; 20];
    status[0] = 0x40;
    for program in both() {
        for letter in "udopchaitkx".chars() {
            let fixture = service(&status);
            let open_fifo = |name| {
                let path = fixture.path("web/supervise").join(name);
                open(path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap()
            };
            let (_ok, control) = (open_fifo("ok"), open_fifo("control"));
            let output = svc(&program, &fixture, &[&format!("-{letter}"), "web"]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let mut buffer = [0; 16];
            let n = rustix::io::read(&control, &mut buffer).unwrap();
            assert_eq!(buffer[..n], [letter as u8], "{program:?}");
        }
    }
}

#[test]
fn several_letters_go_in_the_order_given() {
    let fixture = service(&[0; 20]);
    let open_fifo = |name| {
        let path = fixture.path("web/supervise").join(name);
        open(path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap()
    };
    let (_ok, control) = (open_fifo("ok"), open_fifo("control"));
    let output = svc(&sunup(), &fixture, &["-dx", "web", "nosuch"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut buffer = [0; 16];
    let n = rustix::io::read(&control, &mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"dx");
}

#[test]
fn a_dead_supervisor_is_told_and_not_waited_for() {
    let fixture = service(&[0; 20]);
    let output = svc(&sunup(), &fixture, &["-u", "web"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"fail: web: runsv not running\n");
}

#[test]
fn mistakes_of_the_caller_exit_1() {
    let fixture = service(&[0; 20]);
    for program in both() {
        for args in [&["web"][..], &["-u"], &[], &["-z", "web"]] {
            let output = svc(&program, &fixture, args);
            assert_eq!(output.status.code(), Some(1), "{args:?}");
        }
    }
}
