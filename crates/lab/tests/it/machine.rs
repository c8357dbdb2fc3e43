//! Machines of one shell script: the console, the port for results, and the ways
//! to end, in namespaces and in QEMU.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use lab::boot::{Booted, Options, Parts, start};
use lab::machine::{End, Machine};
use lab::{debian, workspace};
use rustix::fs::{FlockOperation, flock};
use tempfile::{TempDir, tempdir};

use super::common::{lab, write};

/// For machines on a busy workstation.
const PATIENCE: Duration = Duration::from_mins(3);

/// A root file system whose init is `script`, run by busybox.
pub fn rootfs(script: &str) -> TempDir {
    let dir = tempdir().unwrap();
    let busybox = debian::busybox(&workspace::scratch().unwrap()).unwrap();
    write(
        &dir.path().join("bin/busybox"),
        0o755,
        &std::fs::read(busybox).unwrap(),
    );
    let init =
        format!("#!/bin/busybox sh\nexport PATH=/bin\n/bin/busybox --install -s /bin\n{script}");
    write(&dir.path().join("sbin/init"), 0o755, init.as_bytes());
    dir
}

fn options(rootfs: &Path, enter: bool) -> Options {
    Options {
        parts: Parts {
            rootfs: Some(rootfs.to_path_buf()),
            ..Parts::default()
        },
        enter,
        append: "word NAME=value".into(),
        ..Options::default()
    }
}

fn entered(script: &str) -> Machine {
    let dir = rootfs(script);
    start(&options(dir.path(), true), &lab()).unwrap().machine
}

fn line(machine: &mut Machine, prefix: &str) -> String {
    let take = |line: &str| line.strip_prefix(prefix).map(str::to_owned);
    machine.result(prefix, PATIENCE, take).unwrap()
}

#[test]
fn entered_it_talks_on_console_and_port() {
    let mut machine = entered(
        "echo \"pid $$ $* $NAME $SUNUP_REPORT\" >/dev/ttyS1\n\
         echo \"id $(id -u) $(cat /proc/1/comm) $(ls /sys/dev/char | wc -l)\" >/dev/ttyS1\n\
         echo \"root $(ls -a / | tr '\\n' ' ')\" >/dev/ttyS1\n\
         read answer; echo \"heard $answer\"\n\
         poweroff -f\n",
    );
    assert_eq!(line(&mut machine, "pid "), "1 word value /dev/ttyS1");
    assert_eq!(line(&mut machine, "id "), "0 init 6");
    assert_eq!(line(&mut machine, "root "), ". .. bin dev proc sbin sys ");
    machine.send(b"yes\n").unwrap();
    machine.expect("heard yes", PATIENCE).unwrap();
    assert_eq!(machine.end(PATIENCE).unwrap(), End::PowerOff);
}

#[test]
fn entered_it_tells_a_reboot_from_a_power_off() {
    assert_eq!(entered("reboot -f\n").end(PATIENCE).unwrap(), End::Reset);
}

#[test]
fn entered_it_tells_how_init_ended() {
    let end = entered("exit 42\n").end(PATIENCE).unwrap();
    assert_eq!(end, End::Init("exit status: 42".into()));
}

#[test]
fn entered_last_words_are_not_lost() {
    let mut machine = entered("echo last words >/dev/ttyS0\necho result >/dev/ttyS1\nexit 0\n");
    machine.end(PATIENCE).unwrap();
    assert!(machine.transcript().ends_with(b"last words\r\n"));
}

#[test]
fn without_an_init_the_reason_is_said() {
    let dir = tempdir().unwrap();
    write(&dir.path().join("bin/nothing"), 0o755, b"");
    let mut machine = start(&options(dir.path(), true), &lab()).unwrap().machine;
    let end = machine.end(PATIENCE).unwrap();
    assert_eq!(end, End::Init("exit status: 1".into()));
}

#[test]
fn a_real_kernel_boots_and_ends_in_qemu() {
    // One QEMU at a time on the workstation; the lock goes with the file.
    let lock = File::open(workspace::scratch().unwrap()).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mount = "mkdir -p /dev; mount -t devtmpfs devtmpfs /dev\n";
    let talk =
        "echo \"pid $$ $* $NAME $SUNUP_REPORT\" >/dev/ttyS1\nread answer\necho heard $answer\n";
    for (ends, want) in [
        ("poweroff -f\n", End::PowerOff),
        ("reboot -f\n", End::Reset),
    ] {
        let dir = rootfs(&format!("{mount}{talk}{ends}"));
        let Booted { mut machine, .. } = start(&options(dir.path(), false), &lab()).unwrap();
        assert_eq!(line(&mut machine, "pid "), "1 word value /dev/ttyS1");
        machine.send(b"yes\n").unwrap();
        machine.expect("heard yes", PATIENCE).unwrap();
        assert_eq!(machine.end(PATIENCE).unwrap(), want);
    }
}
