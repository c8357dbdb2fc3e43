//! `sv health`.

use std::fs;

use rustix::process::Signal;

use super::super::common::{Fixture, SLEEP, done, down, kill, read_status, running, status};
use super::super::runsvdir::Runsvdir;
use super::json::{Json, Schema};
use super::{printed, sv, text};

/// What it prints, and whether all is well.
fn health(fixture: &Fixture, args: &[&str]) -> (Option<i32>, String) {
    let args = [&["health"], args].concat();
    let output = sv(&fixture.path("scan"), &args).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code(), text(&output))
}

fn well() -> (Option<i32>, String) {
    (Some(0), String::new())
}

fn not(lines: &str) -> (Option<i32>, String) {
    (Some(1), lines.into())
}

#[test]
fn what_should_be_up_and_is_not_is_named() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >/dev/null\n"),
        ("scan/ftp/run", SLEEP),
        ("scan/ftp/down", ""),
        ("scan/mount/setup", "#!/bin/sh\n"),
    ]);
    let scan = fixture.path("scan");
    let scanner = Runsvdir::start(&fixture);
    status(&scan.join("web"), "run", running);
    status(&scan.join("web/log"), "run", running);
    status(&scan.join("mount"), "done", done);
    // Nobody wants ftp up, unless it is named.
    assert_eq!(health(&fixture, &[]), well());
    assert_eq!(health(&fixture, &["web", "mount"]), well());
    assert_eq!(health(&fixture, &["ftp"]), not("ftp: down\n"));
    assert_eq!(health(&fixture, &["-q", "ftp", "web"]), not(""));
    assert_eq!(health(&fixture, &["nix"]), not("nix: disabled\n"));

    printed(&scan, &["-v", "pause", "web"]);
    assert_eq!(health(&fixture, &[]), not("web: paused\n"));
    printed(&scan, &["-v", "cont", "web"]);
    printed(&scan, &["-v", "down", "web/log"]);
    assert_eq!(health(&fixture, &[]), well());
    assert_eq!(health(&fixture, &["web"]), not("web/log: down\n"));
    let (code, line) = health(&fixture, &["--json", "web"]);
    Schema::below("`sv health -j`").check(&Json::of(line.trim_end()));
    let json = "{\"name\":\"web/log\",\"state\":\"down\",\"text\":\"down\"}\n";
    assert_eq!((code, &line[..]), (Some(1), json));
    printed(&scan, &["stop", "web"]);
    assert_eq!(health(&fixture, &[]), well());
    // What begins while one looks.
    fixture.add("scan/held/needs/web", "");
    fixture.add("scan/held/run", SLEEP);
    status(&scan.join("held"), "want", |s| s.want_up);
    let (code, lines) = health(&fixture, &[]);
    assert!(code == Some(1) && lines.starts_with("held: "), "{lines}");
    scanner.hang_up();
    let all = "ftp: gone\nheld: gone\nmount: gone\nweb: gone\n";
    assert_eq!(health(&fixture, &[]), not(all));
}

#[test]
fn what_is_not_ready_or_has_failed_is_not_well() {
    let fixture = Fixture::new(&[
        ("scan/slow/run", SLEEP),
        ("scan/slow/notification-fd", "0"),
        ("scan/bad/run", "#!/bin/sh\nexit 78\n"),
        ("scan/bad/restart", "never"),
        ("scan/loop/run", "#!/bin/sh\nread x <gate\nexit 1\n"),
        ("scan/loop/down", ""),
    ]);
    super::super::common::make_fifo(fixture.path("scan/loop/gate"));
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    status(&scan.join("slow"), "run", running);
    status(&scan.join("bad"), "failed", |s| down(s) && !s.want_up);
    assert_eq!(health(&fixture, &[]), not("bad: failed\nslow: starting\n"));
    printed(&scan, &["-v", "ready", "slow"]);
    assert_eq!(health(&fixture, &["slow"]), well());
    // It runs, and is not well while that is as short as the run before was.
    printed(&scan, &["up", "loop"]);
    let first = status(&scan.join("loop"), "run", running);
    fs::write(scan.join("loop/gate"), "\n").unwrap();
    status(&scan.join("loop"), "again", |s| {
        running(s) && s.pid != first.pid
    });
    let (code, lines) = health(&fixture, &["loop"]);
    // A busy machine may take a second to look.
    assert!(lines == "loop: crashing\n" || code == Some(0), "{lines}");
    kill(read_status(&scan.join("loop")).unwrap().pid, Signal::KILL);
}

#[test]
fn a_mistake_is_no_health() {
    let fixture = Fixture::new(&[("scan/", "")]);
    assert_eq!(health(&fixture, &[]), well());
    for (scan, args, code, told) in [
        ("none", "health", 1, "none: No such file or directory"),
        ("scan", "health -x", 100, "sv health: unknown option -x"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let output = sv(&fixture.path(scan), &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
}
