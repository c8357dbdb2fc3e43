//! Which program is executed, and when: only one that works, after the script of `-s`, and
//! in a process 1, too.

use std::fs;

use rustix::process::Signal;

use super::super::common::{SLEEP, kill, running, wait_for, yield_until};
use super::super::machine::{Boot, Machine};
use super::Supervisor;

#[test]
fn a_program_that_does_not_work_is_not_executed() {
    let supervisor = Supervisor::start(&[("scan/a/run", SLEEP)], "runsvdir", &["scan"]);
    let service = supervisor.status("a", "run", running).pid;
    let old = supervisor.program();
    let mut expected = String::new();
    let path = supervisor.fixture.path("./bin/runsvdir");
    let path = path.display().to_string().replace("/./", "/");
    for (content, why) in [
        ("not executable", "start PATH: Permission denied"),
        ("#!/bin/sh\nexit 3\n", "PATH --version: exit code 3"),
        (
            "#!/bin/sh\nkill -SEGV $$\n",
            "PATH --version: ended by signal 11",
        ),
        ("#!/none\n", "start PATH: No such file or directory"),
        // It lets itself be tried, and is gone then.
        (
            "#!/bin/sh\nexec chmod -x $0\n",
            "start PATH: Permission denied",
        ),
    ] {
        supervisor.fixture.add("bin/new", content);
        supervisor.put(&supervisor.fixture.path("bin/new"));
        kill(supervisor.pid(), Signal::USR2);
        let why = why.replace("PATH", &path);
        let line = format!("runsvdir: upgrade: {why}; the present program goes on\n");
        expected.push_str(&line);
        wait_for("complaint", &[&supervisor.fixture.path(".")], || {
            (supervisor.said().len() >= expected.len()).then_some(())
        });
        assert_eq!(supervisor.said(), expected);
        let pid = supervisor.pid();
        let children = format!("/proc/{pid}/task/{pid}/children");
        // The end of the trial was taken, too.
        yield_until(|| {
            let children = fs::read_to_string(&children).unwrap();
            (children.trim() == service.to_string()).then_some(())
        });
    }
    supervisor.sv(&["restart", "a"]);
    assert_eq!(supervisor.program(), old);
    let restarted = supervisor.status("a", "run", running).pid;
    assert_ne!(restarted, service);
    supervisor.upgrade();
    assert_eq!(supervisor.status("a", "run", running).pid, restarted);
    assert_eq!(supervisor.said(), expected);
    supervisor.hang_up();
}

/// With a script that is told of signals, the upgrade comes after it.
#[test]
fn the_script_is_told_first() {
    let script = "#!/bin/sh\necho $1 >>signals\n";
    let files = [("scan/a/run", SLEEP), ("script", script)];
    let supervisor = Supervisor::start(&files, "runsvdir", &["-s", "./script", "scan"]);
    let service = supervisor.status("a", "run", running).pid;
    supervisor.upgrade();
    supervisor.upgrade();
    assert_eq!(supervisor.status("a", "run", running).pid, service);
    let told = supervisor.fixture.path("signals");
    assert_eq!(fs::read_to_string(told).unwrap(), "12\n12\n");
    supervisor.hang_up();
}

/// A process 1 has nobody above it: were it to end, all would.
#[test]
fn process_1_upgrades_in_place() {
    let run = "#!/bin/sh\necho started >> /events\nexec sleep 1000\n";
    let next = "#!/bin/sh
[ $1 = --version ] && exit 0
echo upgraded >>/events
exec /sbin/real/runsvdir \"$@\"
";
    let machine = Machine::boot(&Boot {
        name: "runsvdir",
        args: "/scan",
        files: &[
            ("sbin/runsvdir -> init", ""),
            ("sbin/real/runsvdir -> ../init", ""),
            ("sbin/next", next),
            ("scan/web/run", run),
            ("scan/web/finish", "#!/bin/sh\necho finish $@ >> /events\n"),
        ],
        env: &[("PATH", "/sbin:/usr/bin:/bin")],
        ..Boot::default()
    });
    machine.until_event("started");
    let place = |name: &str| machine.root.path("sbin").join(name);
    fs::rename(place("next"), place("runsvdir")).unwrap();
    machine.signal(Signal::USR2);
    machine.until_event("upgraded");
    // As process 1 it hears no signal whose action is the default one: this one waits.
    machine.signal(Signal::HUP);
    machine.until_event("finish -1 15");
    assert_eq!(machine.events(), ["started", "upgraded", "finish -1 15"]);
}
