//! runsvchdir in a mount namespace where /etc/runit/runsvdir is the test's own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::common::{Fixture, applet, kill, wait_exit, wait_for};

/// Runs it over the fixture: exit code and what it said.
fn run(args: &[&str], fixture: &Fixture) -> (Option<i32>, String) {
    let is_there = Path::new("/etc/runit/runsvdir").exists();
    assert!(is_there, "install the package runit");
    let script = "mount --bind . /etc/runit/runsvdir && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args(["sh", "-c", script, "sh"])
        .arg(fixture.applet("runsvchdir"))
        .args(args)
        .current_dir(fixture.path("."))
        .output()
        .expect("unshare of the package util-linux");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), text)
}

fn link(fixture: &Fixture, name: &str) -> Option<String> {
    let target = fixture.path(name).read_link().ok()?;
    Some(target.to_str().unwrap().to_owned())
}

fn links(fixture: &Fixture) -> [Option<String>; 2] {
    ["current", "previous"].map(|name| link(fixture, name))
}

fn some(names: [&str; 2]) -> [Option<String>; 2] {
    names.map(|name| Some(name.to_owned()))
}

#[test]
fn current_and_previous_follow() {
    let fixture = Fixture::new(&[("a/", ""), ("b/", ""), ("c/", ""), ("current -> a", "")]);
    let now = |name: &str| (Some(0), format!("runsvchdir: {name}: now current.\n"));
    assert_eq!(run(&["b"], &fixture), now("b"));
    assert_eq!(links(&fixture), some(["b", "a"]));
    let told = (Some(0), "runsvchdir: b: current.\n".to_owned());
    assert_eq!(run(&["b"], &fixture), told);
    assert_eq!(links(&fixture), some(["b", "a"]));
    let elsewhere = Fixture::new(&[]);
    let elsewhere = elsewhere.path("");
    let elsewhere = elsewhere.to_str().unwrap();
    assert_eq!(run(&[elsewhere], &fixture), now(elsewhere));
    assert_eq!(links(&fixture), some([elsewhere, "b"]));
    assert_eq!(run(&["c"], &fixture), now("c"));
    assert_eq!(links(&fixture), some(["c", elsewhere]));
    assert_eq!(link(&fixture, "current.new"), None);
}

#[test]
fn what_cannot_be_changes_nothing() {
    let fixture = Fixture::new(&[("a/", ""), (".b/", ""), ("file", ""), ("current -> a", "")]);
    for name in [".b", "nosuch", "file"] {
        let (code, text) = run(&[name], &fixture);
        assert_eq!(code, Some(111));
        assert!(text.contains(name), "{text}");
        assert_eq!(links(&fixture), [Some("a".to_owned()), None]);
    }
    assert_eq!(run(&[], &fixture).0, Some(1));
}

#[test]
fn errors_name_subject_attempt_and_reason() {
    let fixture = Fixture::new(&[("a/", ""), ("file", ""), ("current/", "")]);
    let (_, text) = run(&["file"], &fixture);
    assert_eq!(text, "runsvchdir: file: look at it: Not a directory\n");
    let (code, text) = run(&["a"], &fixture);
    assert_eq!(code, Some(111));
    assert_eq!(
        text,
        "runsvchdir: a: read current, which should be a link: Invalid argument\n"
    );
}

#[test]
fn a_current_that_is_missing_or_leads_nowhere_is_mended() {
    let fixture = Fixture::new(&[("a/", ""), ("b/", ""), ("current.new -> left over", "")]);
    assert_eq!(run(&["a"], &fixture).0, Some(0));
    assert_eq!(links(&fixture), [Some("a".to_owned()), None]);
    std::fs::remove_dir(fixture.path("a")).unwrap();
    assert_eq!(run(&["b"], &fixture).0, Some(0));
    assert_eq!(links(&fixture), some(["b", "a"]));
}

/// A runsvdir that takes its services down with it.
struct Runsvdir(Child);

impl Drop for Runsvdir {
    fn drop(&mut self) {
        kill(self.0.id(), Signal::HUP);
        wait_exit(&mut self.0);
    }
}

#[test]
fn runsvdir_follows() {
    let service = |name: &str| {
        format!(
            "#!/bin/sh\ntrap 'kill $!; echo {name} down >> ../../events; exit' TERM\n\
             echo {name} up >> ../../events\nwhile :; do sleep 1000 & wait; done\n"
        )
    };
    let fixture = Fixture::new(&[
        ("a/one/run", &service("one")),
        ("b/two/run", &service("two")),
        ("current -> a", ""),
        ("events", ""),
    ]);
    let runsvdir = applet("runsvdir")
        .arg("-P")
        .arg(fixture.path("current"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let _runsvdir = Runsvdir(runsvdir);
    let until = |wanted: &[&str]| {
        let here = fixture.path(".");
        wait_for(&wanted.join(", "), &[&here], || {
            let events = std::fs::read_to_string(fixture.path("events")).unwrap();
            let all = wanted.iter().all(|w| events.lines().any(|l| l == *w));
            all.then_some(())
        });
    };
    until(&["one up"]);
    assert_eq!(run(&["b"], &fixture).0, Some(0));
    until(&["two up", "one down"]);
}
