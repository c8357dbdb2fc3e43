//! svc against fifos that the test reads itself.

use std::process::Output;

use rustix::fs::{Mode, OFlags, open};

use super::common::{Fixture, applet, make_fifo};

/// A service directory whose supervisor is the test.
fn service(status: &[u8]) -> Fixture {
    let fixture = Fixture::new(&[("web/supervise/", "")]);
    std::fs::write(fixture.path("web/supervise/status"), status).unwrap();
    for name in ["ok", "control"] {
        make_fifo(fixture.path("web/supervise").join(name));
    }
    fixture
}

fn svc(fixture: &Fixture, args: &[&str]) -> Output {
    applet("svc")
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
    for letter in "udopchaitkx".chars() {
        let fixture = service(&status);
        let open_fifo = |name| {
            let path = fixture.path("web/supervise").join(name);
            open(path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap()
        };
        let (_ok, control) = (open_fifo("ok"), open_fifo("control"));
        let output = svc(&fixture, &[&format!("-{letter}"), "web"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let mut buffer = [0; 16];
        let n = rustix::io::read(&control, &mut buffer).unwrap();
        assert_eq!(buffer[..n], [letter as u8]);
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
    let output = svc(&fixture, &["-dx", "web", "nosuch"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut buffer = [0; 16];
    let n = rustix::io::read(&control, &mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"dx");
}

#[test]
fn a_dead_supervisor_is_told_and_not_waited_for() {
    let fixture = service(&[0; 20]);
    let output = svc(&fixture, &["-u", "web"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"fail: web: runsv not running\n");
}

#[test]
fn mistakes_of_the_caller_exit_1() {
    let fixture = service(&[0; 20]);
    for args in [&["web"][..], &["-u"], &[], &["-z", "web"]] {
        let output = svc(&fixture, args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}
