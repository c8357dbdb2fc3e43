//! `sv watch`: a line for each service, and one for each change, whoever supervises.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, geteuid};

use super::super::common::{
    Fixture, SLEEP, copy_program, end_by, kill, patience, read_status, running, status, sunup,
    until_supervised, wait_exit,
};
use super::super::runsvdir::Runsvdir;
use super::json::{Foreign, Json, Schemas};
use super::sv;

/// An `sv watch` that runs.
struct Watching {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Watching {
    fn start(scan: &Path, args: &[&str]) -> Self {
        Self::by(&mut sv(scan, &[&["watch"], args].concat()))
    }

    fn by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line, without its end.
    fn next(&mut self) -> String {
        let timeout = Timespec {
            tv_sec: patience().as_secs() as i64,
            tv_nsec: 0,
        };
        if self.out.buffer().is_empty() {
            let mut fds = [PollFd::new(self.out.get_ref(), PollFlags::IN)];
            assert!(poll(&mut fds, Some(&timeout)).unwrap() > 0, "no line");
        }
        let mut line = String::new();
        assert!(self.out.read_line(&mut line).unwrap() > 0, "it has ended");
        line.trim_end().to_owned()
    }

    /// Reads up to a line with these words; the part behind its time.
    fn until(&mut self, words: &str) -> String {
        loop {
            let line = self.next();
            let (time, rest) = line.split_at(20);
            let digits = time.chars().filter(char::is_ascii_digit).count();
            assert_eq!(digits, 14, "{line}");
            if rest.contains(words) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::KILL);
    }
}

fn command(scan: &Path, args: &[&str]) {
    assert!(
        sv(scan, args)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn what_appears_changes_and_vanishes_has_a_line() {
    let fixture = Fixture::new(&[("scan/", ""), ("web/run", SLEEP), ("ftp/run", SLEEP)]);
    let scan = fixture.path("scan");
    let supervisor = Runsvdir::start(&fixture);
    let mut watching = Watching::start(&scan, &[]);
    symlink("../web", scan.join("web")).unwrap();
    symlink("../ftp", scan.join("ftp")).unwrap();
    let pid = status(&scan.join("web"), "run", running).pid;
    watching.until(&format!("run (pid {pid})"));
    status(&scan.join("ftp"), "run", running);
    command(&scan, &["down", "web"]);
    let down = watching.until("-> down");
    assert!(
        down.starts_with("web: ") && down.ends_with(", normally up"),
        "{down}"
    );
    // No file is a service.
    fs::write(scan.join("file"), "").unwrap();
    fs::remove_file(scan.join("web")).unwrap();
    assert_eq!(watching.until("web: "), "web: down -> disabled");

    let pid = read_status(&scan.join("ftp")).unwrap().pid;
    supervisor.end_alone(Signal::KILL);
    assert_eq!(watching.until("-> gone"), "ftp: run -> gone, no supervisor");
    let _next = Runsvdir::start(&fixture);
    let again = watching.until("-> run");
    assert_eq!(again, format!("ftp: gone -> run (pid {pid})"));
    symlink("../web", scan.join("web")).unwrap();
    watching.until("web: ");
}

#[test]
fn whoever_supervises_each_last_state_is_seen() {
    let logger = "#!/bin/sh\nexec cat >/dev/null\n";
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/log/run", logger)]);
    let scan = fixture.path("scan");
    let mut watching = Watching::start(&scan, &["web"]);
    assert!(watching.next().ends_with(" web: gone, no supervisor"));
    for _ in 0..3 {
        let foreign = Foreign::start(&scan.join("web"));
        watching.until("web: gone -> ");
        for _ in 0..5 {
            command(&scan, &["down", "web"]);
            command(&scan, &["up", "web"]);
        }
        // When this is done, nothing that was said before is still to come.
        command(&scan, &["-w", "60", "restart", "web"]);
        let pid = status(&scan.join("web"), "run", running).pid;
        // Before this line, some may have been left out.
        watching.until(&format!("-> run (pid {pid})"));
        command(&scan, &["-w", "60", "stop", "web"]);
        watching.until("-> down");
        drop(foreign);
        watching.until("-> gone");
    }
}

#[test]
fn it_ends_with_the_state_that_was_asked_for() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/down", "")]);
    let scan = fixture.path("scan");
    let _supervisor = Runsvdir::start(&fixture);
    let mut down = Watching::start(&scan, &["--until", "down"]);
    assert_eq!(wait_exit(&mut down.child).code(), Some(0));
    let mut ready = Watching::start(&scan, &["-u", "ready", "-w", "600", "web"]);
    ready.until("web: down");
    command(&scan, &["up", "web"]);
    assert_eq!(wait_exit(&mut ready.child).code(), Some(0));
    ready.until("-> run");
    let mut late = Watching::start(&scan, &["-u", "done", "-w", "0", "web"]);
    assert_eq!(wait_exit(&mut late.child).code(), Some(1));
    for (args, told) in [
        (&["watch", "-u", "wet"][..], "--until: wet: not a state"),
        (&["watch", "-w", "x"], "-w: x: not a whole number"),
    ] {
        let output = sv(&scan, args).output().unwrap();
        assert_eq!(output.status.code(), Some(100));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(told),
            "{output:?}"
        );
    }
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let mut watching = Watching::start(&fixture.path("scan"), &[]);
    watching.next();
    // Another that has ended: who reads is gone with it.
    let mut ended = sv(&fixture.path("scan"), &["list"]);
    let mut ended = ended.stdout(Stdio::piped()).spawn().unwrap();
    watching.out = BufReader::new(ended.stdout.take().unwrap());
    assert_eq!(wait_exit(&mut watching.child).code(), Some(0));
    wait_exit(&mut ended);
}

/// Each supervisor is held by a descriptor, and there are fewer.
#[test]
fn more_services_than_descriptors_are_seen_to_the_end() {
    let names: Vec<String> = (0..30).map(|at| format!("s{at}")).collect();
    let fixture = Fixture::new(&[("scan/", "")]);
    for name in &names {
        fixture.add(&format!("scan/{name}/run"), SLEEP);
        fixture.add(&format!("scan/{name}/down"), "");
    }
    let scan = fixture.path("scan");
    let supervisor = Runsvdir::start(&fixture);
    let is_root = geteuid().is_root();
    let bounds = is_root.then_some(["setpriv", "--bounding-set=-sys_resource"]);
    for name in &names {
        until_supervised(&scan.join(name));
    }
    let few = |goal| {
        let words = ["sh", "-c", "ulimit -n 24; exec \"$@\"", "sh"];
        let mut words = bounds.into_iter().flatten().chain(words);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(sunup());
        command.args(["sv", "watch", "-w", "600", "-u", goal]);
        Watching::by(command.env("SVDIR", &scan))
    };
    assert_eq!(wait_exit(&mut few("down").child).code(), Some(0));
    let mut watching = few("gone");
    watching.until("s9: down");
    supervisor.end_alone(Signal::KILL);
    assert_eq!(watching.until("s9: "), "s9: down -> gone, no supervisor");
    assert_eq!(wait_exit(&mut watching.child).code(), Some(0));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// `sv watch ARGS` of somebody whom the modes of files bind.
fn of_a_user(fixture: &Fixture, args: &[&str]) -> Command {
    let copy = fixture.path("sunup");
    copy_program(sunup(), &copy);
    let mut watch = Command::new(&copy);
    watch.args(["sv", "watch"]).args(args);
    if geteuid().is_root() {
        set_mode(&fixture.path("."), 0o755);
        watch.uid(65_534);
    }
    watch.env("SVDIR", fixture.path("scan"));
    watch
}

/// A group may command a service, and not list its `supervise`.
#[test]
fn what_may_not_be_watched_is_looked_at() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/supervise/", "")]);
    let supervise = fixture.path("scan/web/supervise");
    set_mode(&supervise, 0o311);
    let mut watch = of_a_user(&fixture, &["-w", "0", "web"]);
    let output = watch.output().unwrap();
    set_mode(&supervise, 0o700);
    let said = super::text(&output);
    assert!(said.ends_with(" web: gone, no supervisor\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// What appeared meanwhile is not forgotten.
#[test]
fn a_scan_directory_that_could_not_be_read_is_looked_at_again() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let scan = fixture.path("scan");
    let mut watching = Watching::by(&mut of_a_user(&fixture, &[]));
    watching.until("web: gone");
    set_mode(&scan, 0o311);
    fixture.add("scan/early/run", SLEEP);
    // When this is told of, so was that.
    fs::rename(scan.join("web"), scan.join("other")).unwrap();
    watching.until("web: gone -> disabled");
    set_mode(&scan, 0o755);
    watching.until("early: gone");
}

/// The kernel keeps so many events, and drops the others.
#[test]
fn what_was_dropped_is_made_up_for() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/down", "")]);
    let scan = fixture.path("scan");
    let supervisor = Runsvdir::start(&fixture);
    until_supervised(&scan.join("web"));
    let mut plain = Watching::start(&scan, &[]);
    let mut json = Watching::start(&scan, &["-j"]);
    plain.until("web: down");
    let mut schemas = Schemas::of_watch();
    schemas.check(&Json::of(&json.next()));
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    // The supervisor would look after each of the events.
    for process in [&plain.child, &json.child, &supervisor.child] {
        kill(process.id(), Signal::STOP);
    }
    let [a, b] = ["a", "b"].map(|name| scan.join("web/supervise").join(name));
    fs::write(&a, "").unwrap();
    for _ in 0..=most / 2 {
        // Two equal ones in a row would be one.
        fs::rename(&a, &b).unwrap();
        fs::rename(&b, &a).unwrap();
    }
    kill(supervisor.child.id(), Signal::CONT);
    command(&scan, &["up", "web"]);
    let pid = status(&scan.join("web"), "run", running).pid;
    for watching in [&plain, &json] {
        kill(watching.child.id(), Signal::CONT);
    }
    plain.until("resync");
    assert_eq!(
        plain.until("web: "),
        format!("web: run (pid {pid}), normally down")
    );
    let resynced = loop {
        let line = Json::of(&json.next());
        schemas.check(&line);
        if line.get("resync").is_some() {
            break line;
        }
    };
    assert_eq!((resynced.text("state"), resynced.get("was")), ("run", None));
    command(&scan, &["down", "web"]);
    loop {
        let line = Json::of(&json.next());
        schemas.check(&line);
        if line.text("state") == "down" {
            break;
        }
    }
    assert_eq!(schemas.missing_of_watch(), Vec::<&String>::new());
}
