//! When sv says that a service has started: never of a run that has ended, and else
//! when the process has lived for a moment, or `./check` says so. runit looks every
//! 420 ms, and takes what it sees then.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use rustix::process::{Pid, Signal, kill_process};

use super::common::{
    Fixture, SLEEP, debian, ends, make_fifo, read_status, running, wait_exit, wait_for, yield_until,
};

/// A supervisor that ends with its service.
struct Supervised {
    dir: PathBuf,
    child: Child,
}

impl Supervised {
    fn new(runsv: &Path, dir: PathBuf) -> Self {
        let mut command = Command::new(runsv);
        command.arg(&dir).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let service = Self { dir, child };
        yield_until(|| service.control().ok());
        service
    }

    fn control(&self) -> std::io::Result<fs::File> {
        fs::OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(self.dir.join("supervise/control"))
    }

    fn wait_running(&self) -> Status {
        let supervise = self.dir.join("supervise");
        wait_for("running service", &[&supervise], || {
            read_status(&self.dir).filter(running)
        })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::CONT);
        if let Ok(control) = self.control() {
            let _ = rustix::io::write(control, b"dxk");
        }
        let _ = self.child.wait();
    }
}

fn sv(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = Command::new(fixture.applet("sv"));
    command
        .args(args)
        .env("SVDIR", fixture.path(""))
        .env_remove("SVWAIT")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    let words = [&output.stdout[..], &output.stderr[..]].concat();
    let words = String::from_utf8(words).unwrap();
    format!("{:?} {words}", output.status.code())
}

/// A hundred tries: five commands, four services, by both supervisors. On a machine
/// that is busy enough even /bin/false lives for 100 ms, once in a while.
#[test]
fn a_run_that_ends_at_once_has_not_started() {
    const COMMANDS: [&[&str]; 5] = [
        &["-w1", "start"],
        &["-w1", "restart"],
        &["-vw1", "up"],
        &["-vw1", "term"],
        &["-w1", "check"],
    ];
    let fixture = Fixture::new(&[]);
    let runsv = [debian("runsv"), fixture.applet("runsv")];
    let names = ["a", "b", "c", "d"];
    let services = names.iter().enumerate().map(|(n, name)| {
        fixture.add(&format!("{name}/run -> /bin/false"), "");
        Supervised::new(&runsv[n / 2], fixture.path(name))
    });
    let services: Vec<Supervised> = services.collect();
    let tries = || {
        let all = COMMANDS.iter().flat_map(|command| {
            let all = names.iter();
            all.map(|name| sv(&fixture, &[*command, &[*name]].concat()))
        });
        // They are spawned before the first is waited for.
        let children: Vec<Child> = all.map(|mut sv| sv.spawn().unwrap()).collect();
        let outputs = children.into_iter().map(|c| c.wait_with_output().unwrap());
        outputs.map(|output| said(&output)).collect::<Vec<_>>()
    };
    let all: Vec<String> = (0..5).flat_map(|_| tries()).collect();
    let (failed, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|said| said.starts_with("Some(1) timeout: "));
    // Where a process waits for 100 ms before it gets as far as its end, it has lived.
    assert!(failed.len() >= 80, "{others:?}");
    assert_eq!(failed.len() + others.len(), 100);
    // runit's takes a second for each command that is still to be read.
    let supervisors = services.iter();
    supervisors.for_each(|service| service.signal(Signal::KILL));
}

/// As an init script, its code is 1.
#[test]
fn nor_as_an_init_script() {
    let fixture = Fixture::new(&[("web/run -> /bin/false", "")]);
    let _service = Supervised::new(&fixture.applet("runsv"), fixture.path("web"));
    let script = fixture.path("init.d/web");
    fixture.add(
        &format!("init.d/web -> {}", fixture.applet("sv").display()),
        "",
    );
    let tries = || {
        let mut command = Command::new(&script);
        command
            .args(["-w1", "start"])
            .env("SVDIR", fixture.path(""));
        said(&command.output().unwrap())
    };
    let all: Vec<String> = (0..5).map(|_| tries()).collect();
    // The machine may be too busy once, as above.
    let failed = all.iter().filter(|said| said.starts_with("Some(1) "));
    assert!(failed.count() >= 3, "{all:?}");
}

/// A supervisor that is slow to tell of an end deceives nobody, for the kernel tells.
#[test]
fn an_end_that_is_not_told_yet_counts() {
    let fixture = Fixture::new(&[
        ("plain/run", SLEEP),
        ("checked/run", SLEEP),
        ("checked/check -> /bin/true", ""),
    ]);
    for runsv in [debian("runsv"), fixture.applet("runsv")] {
        for name in ["plain", "checked"] {
            let service = Supervised::new(&runsv, fixture.path(name));
            let pid = service.wait_running().pid;
            let output = sv(&fixture, &["-w60", "check", name]).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            service.signal(Signal::STOP);
            super::common::kill(pid, Signal::KILL);
            assert!(ends(pid));
            let output = sv(&fixture, &["-w1", "check", name]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        }
    }
}

/// Where the service's process is in another pid namespace, the status is believed.
#[test]
fn a_process_that_cannot_be_seen_is_believed_in() {
    let fixture = Fixture::new(&[("web/supervise/", "")]);
    let fifos = ["ok", "control"].map(|name| {
        let path = fixture.path(&format!("web/supervise/{name}"));
        make_fifo(&path);
        let mut open = fs::OpenOptions::new();
        open.read(true).write(true).open(path).unwrap()
    });
    let status = Status {
        changed: Tai64n::from_unix(1_000_000_000, 0),
        pid: i32::MAX as u32,
        paused: false,
        want_up: true,
        got_term: false,
        phase: Phase::Run,
    };
    fs::write(fixture.path("web/supervise/status"), status.encode()).unwrap();
    let output = sv(&fixture, &["-w60", "check", "web"]).output().unwrap();
    assert!(said(&output).starts_with("Some(0) ok: run: web"));
    drop(fifos);
}

/// The moments of many services pass at the same time: one after the other, they
/// would be longer than there is time.
#[test]
fn many_have_one_moment_together() {
    let fixture = Fixture::new(&[]);
    fixture.add("pauses", SLEEP);
    let pauses = fixture.path("pauses");
    let names: Vec<String> = (0..300).map(|n| format!("s{n:03}")).collect();
    for name in &names {
        fixture.add(&format!("sv/{name}/run -> {}", pauses.display()), "");
        fixture.add(&format!("sv/{name}/down"), "");
    }
    let mut runsvdir = Command::new(fixture.applet("runsvdir"))
        .arg(fixture.path("sv"))
        .spawn()
        .unwrap();
    for name in &names {
        let dir = fixture.path(&format!("sv/{name}"));
        yield_until(|| read_status(&dir));
    }
    let args = ["-w", "25", "start"].into_iter();
    let args: Vec<&str> = args.chain(names.iter().map(String::as_str)).collect();
    let mut start = sv(&fixture, &args);
    let output = start.env("SVDIR", fixture.path("sv")).output().unwrap();
    kill_process(Pid::from_child(&runsvdir), Signal::HUP).unwrap();
    wait_exit(&mut runsvdir);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output).matches("ok: run: ").count(), names.len());
}

#[test]
fn a_supervisor_that_dies_in_that_moment_is_noticed() {
    let fixture = Fixture::new(&[("web/run", SLEEP), ("web/down", "")]);
    let service = Supervised::new(&fixture.applet("runsv"), fixture.path("web"));
    let waiting = sv(&fixture, &["-w60", "start", "web"]).spawn().unwrap();
    let pid = service.wait_running().pid;
    service.signal(Signal::KILL);
    let output = waiting.wait_with_output().unwrap();
    // The moment may be over on a busy machine.
    let said = said(&output);
    assert!(
        said.contains("fail: web: runsv not running") || said.contains("ok: run: web"),
        "{said}"
    );
    super::common::kill(pid, Signal::KILL);
}

/// A child whose end is not told, because SIGCHLD came to us ignored, passes all the same.
#[test]
fn an_inherited_ignored_sigchld_hides_no_check() {
    let fixture = Fixture::new(&[("web/run", SLEEP), ("web/check -> /bin/true", "")]);
    let _service = Supervised::new(&fixture.applet("runsv"), fixture.path("web"));
    let mut command = Command::new("/usr/bin/env");
    command
        .arg("--ignore-signal=CHLD")
        .arg(fixture.applet("sv"))
        .args(["-w10", "start", "web"])
        .env("SVDIR", fixture.path(""));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
