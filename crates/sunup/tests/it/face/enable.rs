//! `sv enable` and `sv disable`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output};

use rustix::process::{Signal, geteuid};

use super::super::common::{
    Fixture, SLEEP, debian, down, end_by, ends, kill, lives, read_status, running, status,
    until_supervise, wait_exit, wait_for,
};
use super::super::runsvdir::Runsvdir;
use super::text;

/// Runs `sv` with the database of the fixture.
fn sv(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = super::sv(&fixture.path("scan"), args);
    command.env("SUNUP_DB", fixture.path("db"));
    command
}

fn ran(fixture: &Fixture, args: &[&str]) -> Output {
    sv(fixture, args).output().unwrap()
}

/// What it prints without process ids and times; it must succeed, and say nothing else.
fn printed(fixture: &Fixture, args: &[&str]) -> String {
    let output = ran(fixture, args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said(&output), "", "{args:?}");
    let text = text(&output);
    let lines = text.lines().map(|line| match line.split_once(": (pid ") {
        Some((before, _)) => before.to_owned(),
        None => line.replace(": 0s", "").replace(": 1s", ""),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that it fails for so many services, and says this.
fn fails(fixture: &Fixture, args: &[&str], code: i32, told: &str) {
    let output = ran(fixture, args);
    assert_eq!(output.status.code(), Some(code), "{args:?} {output:?}");
    assert!(said(&output).contains(told), "{args:?} {}", said(&output));
}

#[test]
fn what_is_enabled_comes_up_with_all_that_it_needs() {
    let fixture = Fixture::new(&[
        ("scan/", ""),
        ("db/web/run", SLEEP),
        ("db/web/needs/sql", ""),
        ("db/web/follows/net", ""),
        ("db/web/wants/extra", ""),
        ("db/web/down", ""),
        ("db/sql/run", SLEEP),
        ("db/sql/needs/net", ""),
        ("db/net/run", SLEEP),
        ("db/net/down", ""),
        ("db/extra/run", SLEEP),
    ]);
    let scanner = Runsvdir::start(&fixture);
    assert_eq!(
        printed(&fixture, &["enable", "web"]),
        "enable: net (its file down is removed)\n\
         enable: net (needed by sql)\n\
         enable: sql (needed by web)\n\
         enable: web (its file down is removed)\n\
         ok: run: web"
    );
    let scan = fixture.path("scan");
    let link = fs::read_link(scan.join("web")).unwrap();
    assert_eq!(link, fixture.path("db/web"));
    assert!(!scan.join("extra").exists());
    let was = read_status(&scan.join("web")).unwrap();
    // It is enabled: nothing happens to it.
    assert_eq!(printed(&fixture, &["enable", "web"]), "ok: run: web");
    assert_eq!(read_status(&scan.join("web")).unwrap(), was);
    // What is enabled and down is started, with what it needs.
    printed(&fixture, &["stop", "web", "net"]);
    assert_eq!(
        printed(&fixture, &["enable", "web"]),
        "start: net (needed by sql)\nok: run: web"
    );
    // A path, from elsewhere, and one with dots in it.
    let extra = fixture.path("db/extra");
    fs::rename(&extra, fixture.path("extra")).unwrap();
    let mut here = sv(&fixture, &["enable", "./db/../extra/"]);
    let output = here.current_dir(fixture.path(".")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let to = fs::read_link(scan.join("extra")).unwrap();
    assert_eq!(to, fixture.path("extra").canonicalize().unwrap());
    scanner.hang_up();
}

#[test]
fn what_stands_in_the_way_is_told_and_left_alone() {
    let fixture = Fixture::new(&[
        ("scan/own/run", SLEEP),
        ("scan/file", ""),
        ("scan/lost -> /nowhere/lost", ""),
        ("scan/other -> ../else/other", ""),
        ("else/other/run", SLEEP),
        ("db/own/run", SLEEP),
        ("db/file/run", SLEEP),
        ("db/lost/run", SLEEP),
        ("db/other/run", SLEEP),
        ("db/web/run", SLEEP),
        ("db/held/run", SLEEP),
        ("db/held/needs/nobody", ""),
        ("db/getty@/run", SLEEP),
        ("db/none", ""),
    ]);
    let _scanner = Runsvdir::start(&fixture);
    for (name, told) in [
        (
            "own",
            "/scan/own is a directory of its own, and no link to /",
        ),
        ("file", "/scan/file is no directory: remove it first"),
        (
            "lost",
            "/scan/lost leads to /nowhere/lost, which is not there: remove",
        ),
        (
            "other",
            "/scan/other leads to another directory: remove that link",
        ),
        ("wbe", "/db, did you mean web?"),
        ("none", "none is not in /"),
        (
            "getty@",
            "getty@ is a template: say which instance, such as getty@1",
        ),
        ("getty@.x", "no service can have this name"),
        ("a/b", "no service can have this name"),
        ("", "no service can have this name"),
        ("/", "no service can have this name"),
        ("./nowhere", "nowhere is no directory"),
        (
            "./no/where",
            "./no/where: find it: No such file or directory",
        ),
    ] {
        fails(&fixture, &["enable", name], 1, told);
    }
    fails(&fixture, &["enable"], 100, "say which service");
    // The others are enabled nevertheless.
    let output = ran(&fixture, &["enable", "own", "web", "file"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).starts_with("ok: run: web: (pid "),
        "{output:?}"
    );
    // It waits for ever, and that is told.
    let output = ran(&fixture, &["-w", "0", "enable", "held"]);
    assert_eq!(output.status.code(), Some(1));
    let told = "warning: held needs nobody, which is not enabled\nsv: `sv why held` says more\n";
    assert_eq!(said(&output), told);
    assert!(
        text(&output).starts_with("timeout: down: held: "),
        "{output:?}"
    );
    let mut nowhere = sv(&fixture, &["enable", "web"]);
    nowhere.env("SUNUP_DB", "").env("SVDIR", fixture.path("no"));
    let output = nowhere.output().unwrap();
    let told = "sv: web is not in a database, for SUNUP_DB names none\n";
    assert_eq!((output.status.code(), &said(&output)[..]), (Some(1), told));
}

#[test]
fn the_first_database_counts_and_the_scan_directory_is_none() {
    let fixture = Fixture::new(&[
        ("scan/", ""),
        ("one/web/run", SLEEP),
        ("two/web/run", SLEEP),
        ("two/ftp/run", SLEEP),
    ]);
    let _scanner = Runsvdir::start(&fixture);
    let dirs = ["scan", "one", "two"].map(|dir| fixture.path(dir));
    let dirs = std::env::join_paths(dirs).unwrap();
    for (name, from) in [("web", "one"), ("ftp", "two")] {
        let mut enable = sv(&fixture, &["enable", name]);
        let output = enable.env("SUNUP_DB", &dirs).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let warns = said(&output).contains("two; the first is taken");
        assert_eq!(warns, name == "web", "{output:?}");
        let to = fs::read_link(fixture.path("scan").join(name)).unwrap();
        assert_eq!(to, fixture.path(from).join(name));
    }
}

/// It is enabled; who starts the supervisor starts it.
#[test]
fn without_a_supervisor_it_is_linked_and_that_is_told() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/web/run", SLEEP)]);
    let scan = fixture.path("scan").display().to_string();
    let told = format!("sv: no supervisor looks at {scan}: `runsvdir {scan}` does\n");
    fails(&fixture, &["-w", "0", "enable", "web"], 1, &told);
    let scanner = Runsvdir::start(&fixture);
    status(&fixture.path("scan/web"), "run", running);
    scanner.hang_up();
    // It had a supervisor, and the next is still to come.
    let mut enable = sv(&fixture, &["-w", "60", "enable", "web"])
        .spawn()
        .unwrap();
    let scanner = Runsvdir::start(&fixture);
    assert!(wait_exit(&mut enable).success());
    scanner.hang_up();
    let output = ran(&fixture, &["disable", "web"]);
    assert_eq!(text(&output), "ok: web: runsv not running\n");
    assert!(fs::symlink_metadata(fixture.path("scan/web")).is_err());
    assert_eq!(
        printed(&fixture, &["disable", "web"]),
        "ok: web: not enabled"
    );
    fails(&fixture, &["disable", "wbe"], 1, "/scan, did you mean web?");
}

#[test]
fn what_is_disabled_is_down_and_can_be_enabled_at_once() {
    let fixture = Fixture::new(&[
        ("scan/own/run", SLEEP),
        ("db/web/run", SLEEP),
        ("db/web/log/run", "#!/bin/sh\nexec cat >/dev/null\n"),
        ("db/shop/run", SLEEP),
        ("db/shop/needs/web", ""),
        ("scan/lost -> /nowhere/lost", ""),
    ]);
    let _scanner = Runsvdir::start(&fixture);
    for _ in 0..10 {
        let on = printed(&fixture, &["enable", "web"]);
        assert_eq!(on, "ok: run: web");
        let pid = read_status(&fixture.path("db/web")).unwrap().pid;
        let off = printed(&fixture, &["disable", "web", "web"]);
        assert_eq!(off, "ok: down: web, normally up");
        assert!(!lives(pid) && !fixture.path("scan/web").exists());
    }
    printed(&fixture, &["enable", "shop"]);
    let off = printed(&fixture, &["disable", "web"]);
    assert_eq!(
        off,
        "stop: web (needed by shop)\nok: down: web, normally up"
    );
    assert_eq!(
        printed(&fixture, &["disable", "lost"]),
        "ok: lost: runsv not running"
    );
    assert!(fs::symlink_metadata(fixture.path("scan/lost")).is_err());

    let own = fixture.path("scan/own");
    fails(
        &fixture,
        &["disable", "own"],
        1,
        "by `sv disable --keep own`",
    );
    status(&own, "run", running);
    assert_eq!(
        printed(&fixture, &["disable", "-k", "own"]),
        "ok: down: own"
    );
    assert!(own.join("down").exists());
    assert_eq!(
        printed(&fixture, &["enable", "own"]),
        "enable: own (its file down is removed)\nok: run: own"
    );
    assert!(!own.join("down").exists());
    fails(
        &fixture,
        &["disable", "-k", "web"],
        1,
        "is not there to keep",
    );
    fails(
        &fixture,
        &["disable", "-kp", "web"],
        100,
        "exclude each other",
    );
    fails(
        &fixture,
        &["disable", "-p", "shop"],
        1,
        "shop is no instance",
    );
    fails(&fixture, &["disable", "./scan"], 1, "scan is not in /");
    let path = fixture.path("db/own");
    fixture.add("db/own/run", SLEEP);
    let path = path.to_str().unwrap();
    fails(
        &fixture,
        &["disable", "-k", path],
        1,
        "leads to another directory",
    );
}

/// The supervisor sends KILL in its time, which is longer than sv would wait.
#[test]
fn a_service_that_does_not_stop_stays_enabled() {
    let hang = "#!/bin/sh\ntrap '' TERM\n: >ready\nwhile :; do sleep 1000; done\n";
    let fixture = Fixture::new(&[
        ("scan/", ""),
        ("db/hang/run", hang),
        ("db/kill/run", hang),
        ("db/kill/timeout-kill", "1500\n"),
    ]);
    let _scanner = Runsvdir::start(&fixture);
    printed(&fixture, &["enable", "hang", "kill"]);
    for name in ["hang", "kill"] {
        super::super::common::until_ready(&fixture.path("db").join(name));
    }
    fails(
        &fixture,
        &["-w", "0", "disable", "hang"],
        1,
        "hang is still enabled",
    );
    assert!(fixture.path("scan/hang").exists());
    fails(
        &fixture,
        &["-w", "0", "disable", "-k", "hang"],
        1,
        "has a file down, and still runs",
    );
    let output = ran(&fixture, &["-w", "0", "disable", "kill"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!fixture.path("scan/kill").exists());
    let pid = read_status(&fixture.path("db/hang")).unwrap().pid;
    kill(pid, Signal::KILL);
    status(&fixture.path("db/hang"), "down", down);
}

/// A template as one may have been written for Void, with a log that it kept itself once.
fn template() -> Fixture {
    let notes = "printf '%s' \"${INSTANCE-unset}\" >it\n";
    let run = format!("#!/bin/sh\ncd -P supervise\n{notes}exec sleep 1000\n");
    Fixture::new(&[
        ("scan/", ""),
        ("db/x@/run", &run),
        ("db/x@/finish", "#!/bin/sh\n"),
        ("db/x@/down", ""),
        ("db/x@/env/A", "1"),
        ("db/x@/supervise/lock", ""),
        ("db/x@/log/run", "#!/bin/sh\nexec cat >/dev/null\n"),
        ("db/x@/log/supervise/lock", ""),
        ("db/x@/log/main/config", "n3"),
        ("db/x@/log/main/current", "old"),
        ("db/x@/log/main/@400000", "old"),
    ])
}

fn links(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match fs::read_link(&path) {
            Ok(to) => found.push(format!("{name} {}", to.display())),
            Err(_) if name == "supervise" => {}
            Err(_) => found.push(name + "/"),
        }
    }
    found.sort();
    found
}

#[test]
fn an_instance_is_a_directory_of_links_that_follows_its_template() {
    let fixture = template();
    let _scanner = Runsvdir::start(&fixture);
    assert_eq!(
        printed(&fixture, &["enable", "x@1"]),
        "enable: x@1 (an instance of x@)\nok: run: x@1"
    );
    let dir = fixture.path("db/x@1");
    let of = |dir: &str| links(&fixture.path(dir));
    assert_eq!(
        of("db/x@1"),
        [
            "env ../x@/env",
            "finish ../x@/finish",
            "log/",
            "run ../x@/run"
        ]
    );
    assert_eq!(of("db/x@1/log"), ["main/", "run ../../x@/log/run"]);
    assert_eq!(
        of("db/x@1/log/main"),
        ["config ../../../x@/log/main/config"]
    );
    let it = || fs::read_to_string(dir.join("supervise/it")).ok();
    wait_for("its word", &[&dir.join("supervise")], || {
        it().filter(|it| it == "1")
    });

    // What the template gets, its instances get when they are enabled again; what is gone
    // from an instance comes back, and what it has of its own stays.
    fixture.add("db/x@/check", "#!/bin/sh\n");
    fixture.add("db/x@1/note", "mine");
    fs::remove_file(dir.join("env")).unwrap();
    assert_eq!(
        printed(&fixture, &["enable", "x@1"]),
        "enable: x@1 (has got more from x@)\nok: run: x@1"
    );
    let expected = [
        "check ../x@/check",
        "env ../x@/env",
        "finish ../x@/finish",
        "log/",
        "note/",
    ];
    assert_eq!(of("db/x@1")[..5], expected);
    fails(
        &fixture,
        &["disable", "-p", "x@1"],
        1,
        "/db/x@1/note is no link: the directory stays",
    );
    fs::remove_file(dir.join("note")).unwrap();
    let off = printed(&fixture, &["disable", "--purge", "x@1"]);
    let removed = dir.canonicalize();
    assert!(
        removed.is_err() && off.starts_with("ok: x@1: not enabled\ndisable: x@1 (/"),
        "{off}"
    );
    fails(
        &fixture,
        &["disable", "--purge", "x@1"],
        1,
        "x@1 is not in /",
    );

    // A log is no link.
    printed(&fixture, &["enable", "x@2"]);
    printed(&fixture, &["disable", "--keep", "x@2"]);
    fixture.add("db/x@2/log/main/current", "line\n");
    fails(
        &fixture,
        &["disable", "-p", "x@2"],
        1,
        "/log/main/current is no link: the",
    );
    fs::remove_file(fixture.path("db/x@2/log/main/current")).unwrap();
    printed(&fixture, &["disable", "-p", "x@2"]);

    // Who has a program of its own is no instance.
    fixture.add("db/x@3/run", SLEEP);
    assert_eq!(printed(&fixture, &["enable", "x@3"]), "ok: run: x@3");
    assert_eq!(of("db/x@3"), ["run/"]);
}

/// What a killed sv leaves is a hidden directory, a directory, a link or nothing, and the next
/// call goes on from there.
#[test]
fn who_is_killed_in_the_middle_leaves_nothing_that_a_second_call_does_not_finish() {
    let fixture = template();
    let _scanner = Runsvdir::start(&fixture);
    let names = |dir: &str| -> Vec<String> {
        let entries = fs::read_dir(fixture.path(dir)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    for after_us in (0..3000).step_by(100) {
        for args in [&["enable", "x@1"][..], &["disable", "-p", "x@1"]] {
            let mut child = sv(&fixture, args);
            let mut child: Child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
            let pause = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: after_us * 1000,
            };
            rustix::event::poll(&mut [], Some(&pause)).unwrap();
            end_by(&mut child, Signal::KILL);
            let output = ran(&fixture, args);
            let is_purged = said(&output).contains("x@1 is not in");
            assert!(output.status.success() || is_purged, "{}", said(&output));
            if args[0] == "enable" {
                assert_eq!(names("scan"), ["x@1"]);
                assert_eq!(links(&fixture.path("db/x@1")).len(), 4);
            } else {
                assert!(names("scan").is_empty());
                assert_eq!(names("db"), ["x@"], "{after_us}");
            }
        }
    }
    // One that was killed while it was hidden.
    let mut gone = Command::new("true").spawn().unwrap();
    wait_exit(&mut gone);
    let left = format!("db/.sv-new.{}", gone.id());
    fixture.add(&format!("{left}/log/main/"), "");
    fixture.add(&format!("{left}/log/run -> ../../x@/log/run"), "");
    let alive = format!(".sv-new.{}", std::process::id());
    fixture.add(&format!("db/{alive}/"), "");
    printed(&fixture, &["enable", "x@1"]);
    assert_eq!(names("db"), [&alive[..], "x@", "x@1"]);
}

#[test]
fn many_that_enable_the_same_at_once_all_succeed() {
    let fixture = template();
    fixture.add("db/web/run", SLEEP);
    fixture.add("db/web/needs/x@1", "");
    let _scanner = Runsvdir::start(&fixture);
    for _ in 0..5 {
        let calls: Vec<Child> = (0..8)
            .map(|_| {
                let mut call = sv(&fixture, &["-w", "60", "enable", "web", "x@1"]);
                let call = call.stdout(std::process::Stdio::null());
                call.spawn().unwrap()
            })
            .collect();
        for mut call in calls {
            assert!(wait_exit(&mut call).success());
        }
        let pid = read_status(&fixture.path("db/web")).unwrap().pid;
        printed(&fixture, &["disable", "web"]);
        printed(&fixture, &["disable", "-p", "x@1"]);
        assert!(ends(pid));
    }
}

/// Each by a name of its own: as bytes, as an option, as long as can be.
#[test]
fn hostile_names_are_names() {
    let fixture = template();
    let scanner = Runsvdir::start(&fixture);
    let long = format!("x@{}", "y".repeat(253));
    let names: [&[u8]; 5] = [b"x@a\nb", b"x@\xff", b"-x", b"x@ @ ", long.as_bytes()];
    fixture.add("db/-x/run", SLEEP);
    for name in names {
        for verb in ["enable", "disable"] {
            let mut command = sv(&fixture, &[verb, "--"]);
            let output = command.arg(OsStr::from_bytes(name)).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let link = fixture.path("scan").join(OsStr::from_bytes(name));
            assert_eq!(link.exists(), verb == "enable");
        }
    }
    scanner.hang_up();
    fails(&fixture, &["enable", "--", "-y"], 1, "-y is not in /");
    fails(
        &fixture,
        &["enable", "x@a/b"],
        1,
        "no service can have this name",
    );
    let name = "z".repeat(256);
    fails(&fixture, &["enable", &name], 1, "zz is not in /");
}

/// The same instance, made by us, under Debian's runsvdir and by Debian's sv.
#[test]
fn debians_runit_runs_the_instances() {
    let fixture = template();
    fixture.add("db/x@/log/run", "#!/bin/sh\nexec cat >main/current\n");
    let mut scanner = Command::new(debian("runsvdir"));
    scanner.arg("-P").arg(fixture.path("scan"));
    let scanner = scanner.stdin(std::process::Stdio::null()).spawn();
    let mut scanner = Guard(scanner.unwrap());
    let lines = printed(&fixture, &["-w", "60", "enable", "x@1", "x@2"]);
    for line in [
        "enable: x@1 (an instance of x@)",
        "ok: run: x@1",
        "ok: run: x@2",
    ] {
        assert!(lines.lines().any(|there| there == line), "{lines}");
    }
    let mut asked = Command::new(debian("sv"));
    let asked = asked.env("SVDIR", fixture.path("scan"));
    let output = asked.args(["status", "x@1", "x@2"]).output().unwrap();
    let lines = text(&output);
    let lines: Vec<&str> = lines.lines().map(|line| &line[..9]).collect();
    assert_eq!(lines, ["run: x@1:", "run: x@2:"]);
    let both = ["x@1", "x@2"].map(|name| fixture.path("db").join(name));
    let pids: Vec<u32> = both
        .iter()
        .map(|dir| read_status(dir).unwrap().pid)
        .collect();
    assert!(pids[0] != pids[1]);
    for dir in &both {
        until_supervise(&dir.join("log"));
    }
    printed(&fixture, &["-w", "60", "disable", "x@1"]);
    assert!(!lives(pids[0]) && lives(pids[1]));
    printed(&fixture, &["-w", "60", "disable", "x@2"]);
    kill(scanner.0.id(), Signal::HUP);
    wait_exit(&mut scanner.0);
}

/// Ends it with its services if the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        end_by(&mut self.0, Signal::HUP);
    }
}

/// An ordinary user's services, and a database that is not theirs.
#[test]
fn what_may_not_be_written_to_is_told() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/web/run", SLEEP), ("db/x@/run", SLEEP)]);
    fixture.add("db/web/down", "");
    let mut command = Command::new(super::super::common::sunup());
    if geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(super::super::common::sunup());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(fixture.path("."), open).unwrap();
    }
    let close = |name: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(fixture.path(name), mode).unwrap();
    };
    for name in ["scan", "db", "db/web"] {
        close(name, 0o555);
    }
    let args = ["sv", "-w", "0", "enable", "web", "x@1", "db", "./web"];
    let command = command.args(args).env("SVDIR", fixture.path("scan"));
    let command = command
        .env("SUNUP_DB", fixture.path("db"))
        .current_dir(fixture.path("db"));
    let output = command.output().unwrap();
    for name in ["scan", "db", "db/web"] {
        close(name, 0o755);
    }
    let told = said(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "sv: web: remove its file down: Permission denied");
    assert!(lines[1].starts_with("sv: x@1: make it in /"), "{told}");
    assert!(lines[1].ends_with("/db: Permission denied"), "{told}");
    assert_eq!(output.status.code(), Some(4), "{told}");
    // A link to a service that is the user's own, in a directory that is not.
    fs::remove_file(fixture.path("db/web/down")).unwrap();
    symlink(fixture.path("db/web"), fixture.path("scan/web")).unwrap();
    fails(
        &fixture,
        &["-w", "0", "enable", "web"],
        1,
        "no supervisor looks at /",
    );
}

#[test]
fn what_is_no_service_is_not_enabled() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/plain/file", ""), ("db/irc/log/", "")]);
    for name in ["plain", "irc"] {
        let output = ran(&fixture, &["enable", name]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains("is no service: it has no run"),
            "{output:?}"
        );
        assert!(!fixture.path("scan").join(name).exists());
    }
    let output = ran(&fixture, &["enable", "/"]);
    assert_eq!(said(&output), "sv: /: no service can have this name\n");
}
