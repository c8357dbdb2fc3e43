//! What happens while one program replaces the other: it is dealt with afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use rustix::process::Signal;

use super::super::common::{
    SLEEP, down, ends, kill, lives, running, sunup, wait_exit, wait_for, yield_until,
};
use super::{LOG, Supervisor, descriptors, is_zombie, pidfds};

/// The new program has not begun yet: all is as if nothing were.
#[test]
fn what_happens_in_the_midst_is_dealt_with_afterwards() {
    let finish = "#!/bin/sh\necho $@ >told\n";
    let files = [
        (
            "scan/ends/run",
            "#!/bin/sh\nread code <../../tell\nexit $code\n",
        ),
        ("scan/ends/finish", finish),
        ("scan/echo/run", SLEEP),
        ("scan/echo/log/run", LOG),
        ("scan/adopted/run", SLEEP),
        ("scan/adopted/finish", finish),
    ];
    let mut supervisor = Supervisor::start(&files, "runsvdir", &["scan"]);
    let adopted = supervisor.status("adopted", "run", running).pid;
    kill(supervisor.pid(), Signal::KILL);
    wait_exit(&mut supervisor.child);
    supervisor.child = Supervisor::spawn(&supervisor.fixture, "runsvdir", &["scan"]);
    let names = ["ends", "echo", "echo/log", "adopted"];
    let pids = names.map(|name| supervisor.status(name, "run", running).pid);
    for name in ["ends", "echo"] {
        supervisor.until_supervised(name);
    }
    assert_eq!(pids[3], adopted);
    supervisor.sv(&["restart", "ends"]);
    let ends_pid = supervisor.status("ends", "run", running).pid;
    supervisor.upgrade_to_the_gate();

    fs::write(supervisor.fixture.path("tell"), "7\n").unwrap();
    yield_until(|| is_zombie(ends_pid).then_some(()));
    kill(adopted, Signal::KILL);
    assert!(ends(adopted));
    supervisor.command("echo", "d");
    assert!(
        supervisor
            .sv(&["status", "echo"])
            .starts_with("run: echo: ")
    );
    let other = Command::new(sunup())
        .args(["runsv".as_ref(), supervisor.dir("echo").as_os_str()])
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(111), "the lock is held");
    supervisor.open_gate_and_wait();

    let told = |name: &str, text: &str| {
        let dir = supervisor.dir(name);
        wait_for("finish", &[&dir], || {
            let told = fs::read_to_string(dir.join("told")).unwrap_or_default();
            (told == text).then_some(())
        });
    };
    told("ends", "7 0\n");
    let restarted =
        |name: &str, pid| supervisor.status(name, "restart", |s| running(s) && s.pid != pid);
    restarted("ends", ends_pid);
    restarted("adopted", adopted);
    supervisor.status("echo", "down", |s| down(s) && !s.want_up);
    let log = supervisor.status("echo/log", "run", running).pid;
    assert!(lives(log), "a logger whose service is down reads on");
    supervisor.hang_up();
}

#[test]
fn a_signal_in_the_midst_is_not_lost() {
    let mut supervisor = Supervisor::start(&[("scan/a/run", SLEEP)], "runsvdir", &["scan"]);
    let service = supervisor.status("a", "run", running).pid;
    supervisor.upgrade_to_the_gate();
    kill(supervisor.pid(), Signal::HUP);
    supervisor.open_gate();
    assert_eq!(wait_exit(&mut supervisor.child).code(), Some(111));
    assert!(!lives(service));
}

/// What was handed over is checked: in the midst somebody closes the locks and
/// puts another file in the place of a fifo. The services are adopted then.
#[test]
fn a_descriptor_that_is_not_what_it_was_is_opened_anew() {
    let meddle = "#!/usr/bin/perl
use POSIX;
exec '/bin/true' if $ARGV[0] eq '--version';
for my $fd (3 .. 99) {
    my $file = readlink(\"/proc/$$/fd/$fd\") // next;
    POSIX::close($fd) if $file =~ m{/a/supervise/lock};
    POSIX::dup2(0, $fd) if $file =~ m{/b/supervise/control};
}
(my $here = $0) =~ s{/bin/[^/]*$}{};
exec \"$here/real/runsvdir\", @ARGV;
";
    let files = [
        ("scan/a/run", SLEEP),
        ("scan/a/log/run", LOG),
        ("scan/b/run", SLEEP),
        ("scan/c/run", SLEEP),
    ];
    let supervisor = Supervisor::start(&files, "runsvdir", &["scan"]);
    let names = ["a", "a/log", "b", "c"];
    let before = names.map(|name| supervisor.status(name, "run", running));
    let held = descriptors(supervisor.pid());
    supervisor.fixture.add("bin/new", meddle);
    supervisor.put(&supervisor.fixture.path("bin/new"));
    kill(supervisor.pid(), Signal::USR2);
    let real = fs::metadata(supervisor.fixture.path("real/sunup")).unwrap();
    supervisor.until_runs(real.ino());
    // Those that were adopted are watched by descriptor; for a moment one is open twice.
    yield_until(|| {
        let pid = supervisor.pid();
        (pidfds(pid) == 3 && descriptors(pid) <= held + 3).then_some(())
    });
    for (name, was) in names.into_iter().zip(before) {
        let is = supervisor.status(name, "run", running);
        assert_eq!((is.pid, is.changed), (was.pid, was.changed), "{name}");
    }
    // Without its lock it was adopted, and its fifos are opened after its processes.
    supervisor.until_supervised("a");
    supervisor.sv(&["restart", "a", "b", "c"]);
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}
