//! What is mounted when the machine ends. In a build for tests, PID 1 of namespaces unmounts
//! as the kernel's first PID 1 does, if it is told so.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;

use super::super::machine::{Boot, INT, Machine};

/// Mounts on mounts, two at one place, and one that somebody outside of the machine uses.
const SET_UP: &str = "mkdir -p mnt far busy run
    mount -t tmpfs one mnt; mkdir mnt/in; mount -t tmpfs two mnt/in; mkdir mnt/in/a\\ b
    mount -t tmpfs three mnt/in/a\\ b; mount -t tmpfs over mnt; mkdir mnt/top
    mount -t tmpfs four mnt/top
    mount -t tmpfs run run; mkdir run/disk; mount --bind far run/disk
    mount --bind far busy; touch busy/file
    mount --bind far far";

/// The mount namespace of a machine, which lasts as long as this.
struct Namespace(File, File);

impl Namespace {
    fn of(machine: &Machine) -> Self {
        let open = |name| File::open(format!("/proc/{}/ns/{name}", machine.unshare.id())).unwrap();
        Self(open("user"), open("mnt"))
    }

    /// Where something is mounted in the machine's root.
    fn points(&self, machine: &Machine) -> Vec<String> {
        let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let output = Command::new("nsenter")
            // Who is root there by name only may not change groups.
            .arg("--preserve-credentials")
            .arg(format!("--user={}", path(&self.0)))
            .arg(format!("--mount={}", path(&self.1)))
            .args(["cat", "/proc/self/mountinfo"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let root = machine.root.path(".").canonicalize().unwrap();
        let root = format!("{}/", root.display());
        let text = String::from_utf8(output.stdout).unwrap();
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let mut points: Vec<String> = points
            .filter_map(|point| Some(point.strip_prefix(&root)?.to_owned()))
            .filter(|point| !point.starts_with("usr/"))
            .collect();
        points.sort();
        points
    }
}

#[test]
fn everything_is_unmounted_but_what_is_in_use_or_needed() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::wait:echo up >> /events",
        set_up: SET_UP,
        env: &[("SUNUP_TEST_UNMOUNT", "1")],
        ..Boot::default()
    });
    machine.until_event("up");
    let namespace = Namespace::of(&machine);
    let before = namespace.points(&machine);
    assert_eq!(before.len(), 13, "{before:?}");
    let busy = format!("/proc/{}/root/busy/file", machine.pid());
    let user = File::open(busy).unwrap();
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    // What is in memory stays where it is needed, and so does what PID 1 itself uses.
    let after = namespace.points(&machine);
    assert_eq!(after, ["busy", "dev/null", "proc", "run", "sbin/init"]);
    machine.until_said("\rmake /busy read-only: Operation not permitted\n");
    drop(user);
}

/// As `umount -a -r` of busybox does, in many an inittab.
#[test]
fn a_shutdown_entry_may_unmount_proc() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::wait:echo up >> /events\n::shutdown:sh -c 'umount /proc && echo none >> /events'",
        set_up: "mkdir mnt; mount -t tmpfs one mnt",
        env: &[("SUNUP_TEST_UNMOUNT", "1")],
        ..Boot::default()
    });
    machine.until_event("up");
    let namespace = Namespace::of(&machine);
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["up", "none"]);
    let after = namespace.points(&machine);
    assert_eq!(after, ["dev/null", "proc", "sbin/init"]);
}

#[test]
fn a_containers_mounts_are_left_alone() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::wait:echo up >> /events",
        set_up: SET_UP,
        ..Boot::default()
    });
    machine.until_event("up");
    let namespace = Namespace::of(&machine);
    let before = namespace.points(&machine);
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(namespace.points(&machine), before);
}
