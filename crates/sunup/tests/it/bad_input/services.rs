//! Service directories: all cases side by side under one runsvdir, each in a
//! service of its own that is named after it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::Bad::*;
use super::{Bad, Table, assert_says, ours, run, until_ready};
use crate::common::{Fixture, SLEEP, end_by, kill, wait_exit, wait_for};

/// runsvdir on the directory `services` of a fixture; what it says goes to `said`.
pub struct Supervisor<'f> {
    fixture: &'f Fixture,
    child: Child,
}

impl<'f> Supervisor<'f> {
    pub fn start(fixture: &'f Fixture) -> Self {
        let said = File::create(fixture.path("said")).unwrap();
        let child = ours("runsvdir")
            .arg(fixture.path("services"))
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { fixture, child }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("said")).unwrap()
    }

    /// What was said of one service, but for crash loops: they are a matter of time.
    pub fn said_of(&self, name: &str) -> String {
        let start = format!("runsvdir: {name}: ");
        let said = self.said();
        let lines = said.split_inclusive('\n');
        lines
            .filter(|line| line.starts_with(&start) && !line.contains(": crash loop"))
            .collect()
    }

    pub fn until_said_of(&self, name: &str) {
        wait_for(name, &[&self.fixture.path(".")], || {
            (!self.said_of(name).is_empty()).then_some(())
        });
    }

    /// `sv` on services, which must succeed.
    pub fn sv<'a>(&self, verb: &str, names: impl IntoIterator<Item = &'a String>) {
        let mut command = ours("sv");
        command.args(["-w60", verb]).args(names);
        command.env("SVDIR", self.fixture.path("services"));
        let ran = run(verb, &mut command);
        assert_eq!(ran.code, 0, "{}{}{}", ran.out, ran.errors, self.said());
    }

    /// Ends it with all services.
    pub fn end(mut self) {
        kill(self.child.id(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::HUP);
    }
}

struct Case {
    name: String,
    file: &'static str,
    part: &'static str,
}

/// Makes a service for each row of the tables, and `good` beside them.
fn cases(fixture: &Fixture, tables: &[(&'static str, Table<'static>)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, table) in tables {
        for (bad, part) in *table {
            let name = format!("{}-{bad:?}", file.replace('/', "-"));
            let path = fixture.path("services").join(&name).join(file);
            if *file != "run" {
                fixture.add(&format!("services/{name}/run"), SLEEP);
            }
            bad.put(&path);
            let is_script = ["run", "finish", "control/t"].contains(file);
            if is_script && fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            cases.push(Case { name, file, part });
        }
    }
    fixture.add("services/good/run", SLEEP);
    cases
}

/// Each complaint is made, and made once, however often it is tried again.
fn assert_said(supervisor: &Supervisor, cases: &[Case]) {
    for case in cases {
        if !case.part.is_empty() {
            supervisor.until_said_of(&case.name);
        }
        let said = supervisor.said_of(&case.name);
        assert_says(&case.name, &said, "runsvdir", case.file, case.part);
    }
}

const NO_PROGRAM: Table = &[
    (Missing, "No such file or directory"),
    (Empty, "a script must begin with a line like #!/bin/sh"),
    (Nul, "Exec format error"),
    (Binary, "Exec format error"),
    (Directory, "it is not a file"),
    (Fifo, "it is not a file"),
    (Socket, "it is not a file"),
    (Null, "it is not a file"),
    (Dangling, "No such file or directory"),
    (Loop, "Too many levels of symbolic links"),
];

/// In place of the lock, of which nothing may be taken for granted.
const NO_LOCK: Table = &[
    (Directory, "Is a directory"),
    (Fifo, "not a file; remove it"),
    (Socket, "not a file; remove it"),
    (Dangling, "not a file; remove it"),
    (Loop, "not a file; remove it"),
    (Null, "not a file; remove it"),
];

const ONLY_DIRECTORY: Table = &[(Directory, "Is a directory")];

#[test]
fn what_cannot_be_supervised_is_told_once_and_the_rest_runs() {
    let no_directory: Table = &[
        (Empty, "Not a directory"),
        (Fifo, "Not a directory"),
        (Socket, "Not a directory"),
        (Null, "Not a directory"),
        (Dangling, "/no/such/place, where it leads: No such file"),
        (Loop, "Too many levels of symbolic links"),
    ];
    let fixture = Fixture::new(&[]);
    let cases = cases(
        &fixture,
        &[
            ("run", NO_PROGRAM),
            ("supervise", no_directory),
            ("supervise/lock", NO_LOCK),
            ("supervise/control", ONLY_DIRECTORY),
            ("supervise/ok", ONLY_DIRECTORY),
            ("supervise/status", ONLY_DIRECTORY),
            ("supervise/stat", ONLY_DIRECTORY),
            ("supervise/pid", ONLY_DIRECTORY),
        ],
    );
    let supervisor = Supervisor::start(&fixture);
    assert_said(&supervisor, &cases);
    supervisor.sv("restart", [&"good".to_owned()]);
    // A service that cannot show its state obeys all the same.
    for file in ["status", "stat", "pid"] {
        let dir = fixture.path("services/supervise-").display().to_string();
        let dir = format!("{dir}{file}-Directory/");
        let ran = run(&dir, ours("svc").arg("-d").arg(&dir));
        assert_eq!(ran.code, 0, "{}", ran.out);
    }
    assert_said(&supervisor, &cases);
    supervisor.end();
}

#[test]
fn what_can_be_mended_or_does_not_matter_keeps_no_service_down() {
    const ANY: Table = &[
        (Empty, ""),
        (Nul, ""),
        (Binary, ""),
        (Long, ""),
        (Fifo, ""),
        (Socket, ""),
        (Dangling, ""),
        (Loop, ""),
        (Null, ""),
        (Full, ""),
        (Unreadable, ""),
    ];
    const FILE: Table = &[(Empty, ""), (Nul, ""), (Long, "")];
    let fixture = Fixture::new(&[]);
    let cases = cases(
        &fixture,
        &[
            ("supervise/control", ANY),
            ("supervise/ok", ANY),
            ("supervise/status", ANY),
            ("supervise/stat", ANY),
            ("supervise/pid", ANY),
            ("supervise/lock", FILE),
            ("log", FILE),
            ("control", FILE),
            ("control/u", FILE),
        ],
    );
    let supervisor = Supervisor::start(&fixture);
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    for name in &names {
        until_ready(&fixture.path("services").join(name));
    }
    supervisor.sv("restart", &names);
    assert_eq!(supervisor.said(), "");
    supervisor.end();
}

/// The record of who runs is a help for a successor, and no condition.

#[test]
fn scripts_that_cannot_run_are_told_and_done_without() {
    // A finish or a control script that is not there is none.
    let table: Vec<(Bad, &str)> = NO_PROGRAM
        .iter()
        .filter(|(bad, _)| ![Missing, Dangling, Null, Loop].contains(bad))
        .copied()
        .collect();
    let table: Table<'static> = table.leak();
    let fixture = Fixture::new(&[]);
    let cases = cases(&fixture, &[("finish", table), ("control/t", table)]);
    let supervisor = Supervisor::start(&fixture);
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    supervisor.sv("start", &names);
    for verb in ["restart", "restart", "down"] {
        supervisor.sv(verb, &names);
    }
    assert_said(&supervisor, &cases);
    supervisor.end();
}

/// Neither run nor finish can be started: each is told once, though both are
/// tried again and again.
#[test]
fn two_complaints_do_not_take_turns() {
    let fixture = Fixture::new(&[("services/bad/run", ""), ("services/bad/finish", "")]);
    let supervisor = Supervisor::start(&fixture);
    supervisor.until_said_of("bad");
    // Each command is another attempt at both.
    for _ in 0..3 {
        let mut command = ours("sv");
        command.args(["-w0", "up", "bad"]);
        command.env("SVDIR", fixture.path("services"));
        assert_eq!(run("up", &mut command).code, 1);
    }
    let said = supervisor.said_of("bad");
    assert_eq!(said.lines().count(), 2, "{said}");
    supervisor.end();
}
