//! Another program goes on in a supervisor's place: USR2, with real processes.
//!
//! Where something is to happen in the very midst, the new program is a script
//! that waits at a gate, in the supervisor's process, and then executes the real one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, down, ends, kill, lives, read_status, running, sunup, until_ready, wait_exit,
    wait_for, yield_until,
};
use super::machine::{Boot, Machine};

/// A supervisor that was started from a file of its own.
struct Supervisor {
    fixture: Fixture,
    child: Child,
}

/// Says to its logger what it is told.
const ECHO: &str = "#!/bin/sh\nexec cat ../../tell\n";
const LOG: &str = "#!/bin/sh\nexec cat >>../lines\n";
/// Waits in the supervisor's process.
const GATE: &str = "#!/bin/sh
[ $1 = --version ] && exit 0
here=${0%/bin/*}
echo here >$here/reached
read line <$here/gate
exec $here/real/${0##*/} \"$@\"
";

impl Supervisor {
    /// Files are those of the fixture beside `scan`; `args` are relative to it.
    fn start(files: &[(&str, &str)], applet: &str, args: &[&str]) -> Self {
        let fixture = Fixture::new(files);
        for name in ["tell", "gate"] {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, fixture.path(name), mode).unwrap();
        }
        for dir in ["bin", "real"] {
            for name in ["runsvdir", "runsv", "sv"] {
                fixture.add(&format!("{dir}/{name} -> sunup"), "");
            }
            copy(&sunup(), &fixture.path(dir).join("sunup"));
        }
        let child = Self::spawn(&fixture, applet, args);
        Self { fixture, child }
    }

    fn spawn(fixture: &Fixture, applet: &str, args: &[&str]) -> Child {
        let mut sink = fs::OpenOptions::new();
        let sink = sink.append(true).create(true);
        let stderr = sink.open(fixture.path("stderr")).unwrap();
        Command::new(fixture.path("bin").join(applet))
            .args(args)
            .current_dir(fixture.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn status(&self, name: &str, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        let dir = self.dir(name);
        let supervise = dir.join("supervise");
        wait_for("supervise", &[&dir], || supervise.is_dir().then_some(()));
        wait_for(what, &[&supervise], || read_status(&dir).filter(&check))
    }

    fn command(&self, name: &str, byte: &str) {
        fs::write(self.dir(name).join("supervise/control"), byte).unwrap();
    }

    /// The inode of the program that runs.
    fn program(&self) -> u64 {
        let link = format!("/proc/{}/exe", self.pid());
        yield_until(|| fs::metadata(&link).ok()).ino()
    }

    /// Puts another file in the program's place; its inode.
    fn replace(&self) -> u64 {
        let new = self.fixture.path("bin/new");
        copy(&sunup(), &new);
        self.put(&new)
    }

    fn put(&self, new: &Path) -> u64 {
        let inode = fs::metadata(new).unwrap().ino();
        fs::rename(new, self.fixture.path("bin/sunup")).unwrap();
        inode
    }

    fn upgrade(&self) {
        let new = self.replace();
        assert_ne!(self.program(), new);
        kill(self.pid(), Signal::USR2);
        self.until_runs(new);
    }

    fn until_runs(&self, program: u64) {
        yield_until(|| (self.program() == program).then_some(()));
    }

    /// The new program waits in the supervisor's process when this comes back.
    fn upgrade_to_the_gate(&self) {
        self.fixture.add("bin/new", GATE);
        self.put(&self.fixture.path("bin/new"));
        kill(self.pid(), Signal::USR2);
        let reached = self.fixture.path("reached");
        wait_for("gate", &[&self.fixture.path(".")], || {
            reached.exists().then_some(())
        });
    }

    fn open_gate(&self) {
        fs::write(self.fixture.path("gate"), "\n").unwrap();
    }

    fn open_gate_and_wait(&self) {
        self.open_gate();
        let real = fs::metadata(self.fixture.path("real/sunup")).unwrap().ino();
        self.until_runs(real);
    }

    /// Waits until somebody reads the service's commands.
    fn until_supervised(&self, name: &str) {
        let control = self.dir(name).join("supervise/control");
        yield_until(|| fs::OpenOptions::new().write(true).open(&control).ok());
    }

    fn sv(&self, args: &[&str]) -> String {
        let out = Command::new(self.fixture.path("real/sv"))
            .args(args)
            .env("SVDIR", self.fixture.path("scan"))
            .env("SVWAIT", "60")
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "sv {args:?}: {said}{:?}", self.said());
        said
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("stderr")).unwrap()
    }

    fn until_lines(&self, name: &str, text: &str) {
        let dir = self.dir(name);
        wait_for("lines", &[&dir], || {
            let lines = fs::read_to_string(dir.join("lines")).unwrap_or_default();
            (lines == text).then_some(())
        });
    }

    fn hang_up(mut self) {
        kill(self.pid(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill(self.pid(), Signal::KILL);
            drop(self.child.wait());
        }
        for entry in fs::read_dir(self.fixture.path("scan")).unwrap() {
            let dir = entry.unwrap().path();
            for dir in [dir.join("log"), dir] {
                if let Some(s) = read_status(&dir).filter(|s| s.pid > 1 && lives(s.pid)) {
                    kill(s.pid, Signal::KILL);
                }
            }
        }
    }
}

/// By another process, for a file that a thread here has open for writing cannot be executed.
fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// When a process started, in clock ticks.
fn started(pid: u32) -> u64 {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    model::format::proc_stat::decode(&stat).unwrap().started
}

fn pidfds(pid: u32) -> usize {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains("pidfd"))
        .count()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    !model::format::proc_stat::decode(&stat).unwrap().lives
}

#[test]
fn every_service_goes_on_and_no_line_is_lost() {
    let files = [
        ("scan/adopted/run", SLEEP),
        ("scan/child/run", SLEEP),
        ("scan/paused/run", SLEEP),
        ("scan/echo/run", ECHO),
        ("scan/echo/log/run", LOG),
        ("scan/off/run", SLEEP),
        ("scan/off/down", ""),
        ("scan/off/log/run", LOG),
    ];
    let mut supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan"]);
    let ups = ["adopted", "child", "paused", "echo", "echo/log", "off/log"];
    // The predecessor's services: all are adopted but for one that is started anew.
    let firsts = ups.map(|name| supervisor.status(name, "run", running).pid);
    kill(supervisor.pid(), Signal::KILL);
    wait_exit(&mut supervisor.child);
    supervisor.child = Supervisor::spawn(&supervisor.fixture, "runsvdir", &["-P", "scan"]);
    for name in ["paused", "child", "echo"] {
        supervisor.until_supervised(name);
    }
    supervisor.sv(&["restart", "child"]);
    supervisor.sv(&["pause", "paused"]);
    supervisor.sv(&["once", "echo"]);
    supervisor.status("paused", "paused", |s| s.paused);
    supervisor.status("echo", "once", |s| !s.want_up);
    let before = ups.map(|name| supervisor.status(name, "run", running));
    assert_eq!(before[0].pid, firsts[0]);
    assert_ne!(before[1].pid, firsts[1]);
    let starts = before.map(|s| started(s.pid));
    let path = supervisor.fixture.path("tell");
    let mut tell = fs::OpenOptions::new();
    let mut tell = tell.read(true).write(true).open(path).unwrap();
    tell.write_all(b"before\n").unwrap();
    supervisor.until_lines("echo", "before\n");

    let pid = supervisor.pid();
    let new = supervisor.replace();
    supervisor.command("adopted", "1");
    kill(pid, Signal::USR2);
    tell.write_all(b"meanwhile\n").unwrap();
    supervisor.command("off", "u");
    supervisor.until_runs(new);
    tell.write_all(b"afterwards\n").unwrap();

    supervisor.until_lines("echo", "before\nmeanwhile\nafterwards\n");
    supervisor.status("off", "up", running);
    // USR1 ended it.
    supervisor.status("adopted", "restarted", |s| running(s) && s.pid != firsts[0]);
    for (name, (was, start)) in ups.iter().zip(before.into_iter().zip(starts)).skip(1) {
        let is = supervisor.status(name, "run", running);
        assert_eq!(is, was, "{name}");
        assert_eq!(started(is.pid), start, "{name}");
    }
    assert!(lives(pid));
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}

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

#[test]
fn sv_notices_nothing_of_twenty_upgrades() {
    let files = [
        ("scan/a/run", SLEEP),
        ("scan/a/log/run", LOG),
        ("scan/b/run", SLEEP),
    ];
    let supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan"]);
    let names = ["a", "a/log"];
    let before = names.map(|name| supervisor.status(name, "run", running));
    supervisor.status("b", "run", running);
    let held = descriptors(supervisor.pid());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let mut count = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let said = supervisor.sv(&["status", "a"]);
                assert!(
                    said.starts_with("run: a: (pid ") && said.contains("; run: log: "),
                    "{said}"
                );
                let said = supervisor.sv(&["-w", "60", "restart", "b"]);
                assert!(said.starts_with("ok: run: b: "), "{said}");
                count += 1;
            }
            count
        });
        for _ in 0..20 {
            supervisor.upgrade();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(hammer.join().unwrap() > 0);
    });
    for (name, was) in names.into_iter().zip(before) {
        assert_eq!(supervisor.status(name, "run", running), was, "{name}");
    }
    yield_until(|| (descriptors(supervisor.pid()) <= held).then_some(()));
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}

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
    supervisor.sv(&["restart", "a", "b", "c"]);
    assert_eq!(supervisor.said(), "");
    supervisor.hang_up();
}

/// It is told to exit, and does not end: it is not wanted up afterwards.
#[test]
fn runsv_does_not_forget_that_it_is_to_exit() {
    let run = "#!/bin/sh\ntrap '' TERM\n: >ready\nread line <../../tell\n";
    let files = [("scan/a/run", run), ("scan/a/log/run", LOG)];
    let mut supervisor = Supervisor::start(&files, "runsv", &["scan/a"]);
    let pids = ["a", "a/log"].map(|name| supervisor.status(name, "run", running).pid);
    until_ready(&supervisor.dir("a"));
    supervisor.upgrade();
    supervisor.command("a", "x");
    supervisor.status("a", "got term", |s| s.got_term && !s.want_up);
    supervisor.upgrade();
    assert_eq!(
        ["a", "a/log"].map(|n| supervisor.status(n, "run", running).pid),
        pids
    );
    let stat = fs::read_to_string(supervisor.dir("a/supervise/stat")).unwrap();
    assert_eq!(stat, "run, got TERM, want exit\n");
    kill(pids[0], Signal::KILL);
    assert_eq!(wait_exit(&mut supervisor.child).code(), Some(0));
    assert_eq!(supervisor.said(), "");
}

/// A service whose entry went, and one whose script holds the signal up.
#[test]
fn what_is_under_way_goes_on() {
    let files = [
        (
            "scan/going/run",
            "#!/bin/sh\ntrap '' TERM\n: >ready\nread line <../../tell\n",
        ),
        ("scan/stopping/run", SLEEP),
        (
            "scan/stopping/control/t",
            "#!/bin/sh\nread line <../../tell\necho >>asked\nexit 1\n",
        ),
    ];
    let supervisor = Supervisor::start(&files, "runsvdir", &["scan"]);
    let going = supervisor.status("going", "run", running).pid;
    let stopping = supervisor.status("stopping", "run", running).pid;
    until_ready(&supervisor.dir("going"));
    fs::rename(supervisor.dir("going"), supervisor.fixture.path("gone")).unwrap();
    let gone = supervisor.fixture.path("gone");
    wait_for("stop", &[&gone.join("supervise")], || {
        read_status(&gone).filter(|s| s.got_term && !s.want_up)
    });
    supervisor.command("stopping", "d");
    supervisor.status("stopping", "want down", |s| !s.want_up);
    supervisor.upgrade();
    assert!(lives(going) && lives(stopping));
    kill(going, Signal::KILL);
    assert!(ends(going));
    wait_for("end", &[&gone.join("supervise")], || {
        read_status(&gone).filter(down)
    });
    fs::write(supervisor.fixture.path("tell"), "\n").unwrap();
    supervisor.status("stopping", "down", down);
    assert_eq!(
        fs::read_to_string(supervisor.dir("stopping/asked")).unwrap(),
        "\n"
    );
    yield_until(|| {
        let record = fs::metadata(gone.join("supervise/lock")).unwrap();
        (record.len() == 0).then_some(())
    });
    supervisor.hang_up();
}

#[test]
fn title_and_what_services_are_given_stay_the_same() {
    let given = "#!/bin/sh
exec 3>&2 2>&1
(ulimit -Sn; ulimit -Hn; env; ls -l /proc/self/fd | grep -v /proc | wc -l) >>given.new
mv given.new given
exec sleep 1000 2>&3
";
    let says = "#!/bin/sh\nread line <../../tell\necho $line >&2\nexec sleep 1000\n";
    let files = [("scan/given/run", given), ("scan/says/run", says)];
    let log = format!("log: {}", ".".repeat(40));
    let supervisor = Supervisor::start(&files, "runsvdir", &["-P", "scan", &log]);
    let title = format!("/proc/{}/cmdline", supervisor.pid());
    let shows = |text: &str| {
        yield_until(|| {
            let title = fs::read_to_string(&title).unwrap_or_default();
            title.contains(text).then_some(())
        });
    };
    let dir = supervisor.dir("given");
    let given = || {
        let given = wait_for("given", &[&dir], || {
            fs::read_to_string(dir.join("given")).ok()
        });
        fs::remove_file(dir.join("given")).unwrap();
        given
    };
    let first = given();
    assert!(!first.contains("SUNUP_UPGRADE"), "{first}");
    let say = |what: &str| fs::write(supervisor.fixture.path("tell"), what).unwrap();
    supervisor.status("says", "run", running);
    say("first\n");
    shows(".....first\n");
    for what in ["second", "third"] {
        let pid = supervisor.pid();
        supervisor.upgrade();
        shows("first\n");
        // The new program begins with the line; this one comes after it.
        supervisor.sv(&["restart", "says", "given"]);
        say(&format!("{what}\n"));
        shows(&format!("{what}\n"));
        assert_eq!(given(), first);
        assert_eq!(supervisor.pid(), pid);
    }
    shows("first\nsecond\nthird\n");
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
