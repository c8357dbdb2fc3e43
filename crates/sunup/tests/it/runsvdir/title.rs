//! The log argument: what services say on standard error is shown by ps.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, debian, ends, kill, running, status, wait_exit, wait_for, yield_until,
};
use super::{Runsvdir, all_pids};

/// The log argument, beside Debian's runsvdir: what services say is in the title.
#[test]
fn the_log_argument_is_shown_by_ps() {
    titles_agree("");
}

/// As in a container; also one of a user's.
#[test]
fn the_log_is_shown_where_proc_is_read_only() {
    titles_agree("mount -o remount,bind,ro,nosuid,nodev,noexec /proc");
}

/// As before anything is mounted.
#[test]
fn the_log_is_shown_without_proc() {
    titles_agree("mount -t tmpfs none /proc");
}

/// Both with these mounts.
fn titles_agree(mounts: &str) {
    let usual = std::env::var("PATH").unwrap();
    let titles = [false, true].map(|tested| {
        let fixture = Fixture::new(&[("scan/web/run", SAYS_HELLO), ("said/", "")]);
        let mut path = usual.clone();
        if tested {
            let bin = fixture.bin(&["runsvdir", "runsv"]);
            path = format!("{}:{path}", bin.display());
        }
        let program = if tested {
            fixture.applet("runsvdir")
        } else {
            debian("runsvdir")
        };
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("set -e; {mounts}\nexec \"$@\""))
            .arg("sh")
            .arg(program)
            .env("PATH", path);
        title(&fixture, command)
    });
    assert_eq!(titles[1], format!("log: {}hellothere\n", ".".repeat(49)));
    assert_eq!(titles[0], titles[1]);
}

const SAYS_HELLO: &str =
    "#!/bin/sh\nprintf 'hello\\0there\\n' >&2\necho said >../../said/it\nexec sleep 1000\n";

/// What is shown where a service says hello.
fn title(fixture: &Fixture, mut command: Command) -> String {
    let log = format!("log: {}", ".".repeat(60));
    command.arg("-P").arg(fixture.path("scan")).arg(log);
    let mut runsvdir = Runsvdir {
        child: command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
        scan: fixture.path("scan"),
        stderr: fixture.path("stderr"),
    };
    wait_for("the service", &[&fixture.path("said")], || {
        fixture.path("said/it").exists().then_some(())
    });
    // The supervisor reads the pipe in its own time.
    let title = yield_until(|| {
        let title = fs::read(format!("/proc/{}/cmdline", runsvdir.child.id())).unwrap();
        let mut args = title.rsplit(|b| *b == 0);
        let last = args.find(|arg| !arg.is_empty()).unwrap().to_vec();
        last.ends_with(b"there\n").then_some(last)
    });
    status(&fixture.path("scan/web"), "run", running);
    // runit's runsvdir does not wait for its services (D8).
    kill(runsvdir.child.id(), Signal::HUP);
    wait_exit(&mut runsvdir.child);
    assert!(all_pids(&runsvdir.scan).into_iter().all(ends));
    String::from_utf8(title).unwrap()
}

/// `runsvdir -P DIR log: .....`, where somebody forgot to quote.
#[test]
fn words_behind_the_log_do_not_matter() {
    let fixture = Fixture::new(&[("service/a/run", SLEEP)]);
    let bin = fixture.bin(&["runsvdir", "runsv"]);
    let path = std::env::var("PATH").unwrap();
    let mut child = Command::new(fixture.applet("runsvdir"))
        .args(["-P", "service", "log:", "....", "...."])
        .current_dir(fixture.path("."))
        .env("PATH", format!("{}:{path}", bin.display()))
        .spawn()
        .unwrap();
    let service = fixture.path("service/a");
    status(&service, "start", running);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert_eq!(wait_exit(&mut child).code(), Some(111));
}
