//! The command line as a face: `--help`, `--version`, `--list`, `--install`, mistakes.

use std::process::{Command, Output, Stdio};

use super::common::{Fixture, sunup, yield_until};

fn run(args: &[&str]) -> Output {
    Command::new(sunup()).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn applets() -> Vec<String> {
    stdout(&run(&["--list"]))
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_applet_has_help_and_version() {
    let names = applets();
    assert!(names.contains(&"init".to_owned()));
    for name in names {
        let help = run(&[&name, "--help"]);
        assert!(help.status.success(), "{name}");
        let usage = format!("usage: {name}");
        assert!(
            stdout(&help).starts_with(&usage),
            "{name}: {}",
            stdout(&help)
        );
        let version = run(&[&name, "--version"]);
        assert!(version.status.success(), "{name}");
        assert!(stdout(&version).starts_with(&format!("{name} (sunup) ")));
    }
}

/// pgrep and /proc/PID/comm know an applet by its name, however it was called.
#[test]
fn a_process_has_the_name_of_its_applet() {
    let fixture = Fixture::new(&[("log/", "")]);
    let mut svlogd = Command::new(sunup());
    svlogd.arg("svlogd").arg(fixture.path("log"));
    let mut svlogd = svlogd.stdin(Stdio::piped()).spawn().unwrap();
    let comm = format!("/proc/{}/comm", svlogd.id());
    yield_until(|| (std::fs::read(&comm).unwrap() == b"svlogd\n").then_some(()));
    drop(svlogd.stdin.take());
    assert!(svlogd.wait().unwrap().success());
}

#[test]
fn every_applet_is_installed_as_a_link_that_works() {
    let fixture = Fixture::new(&[("bin/", "")]);
    let bin = fixture.path("bin");
    assert!(run(&["--install", bin.to_str().unwrap()]).status.success());
    for name in applets() {
        let output = Command::new(bin.join(&name))
            .arg("--version")
            .output()
            .unwrap();
        assert!(stdout(&output).starts_with(&name), "{name}");
    }
}

#[test]
fn an_unknown_applet_is_named() {
    let output = run(&["frobnicate"]);
    assert_eq!(output.status.code(), Some(127));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "sunup: unknown applet frobnicate; `sunup --list` shows them all\n"
    );
}

#[test]
fn an_unknown_option_is_named() {
    let output = run(&["init", "-Z"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("init: unknown option -Z\n"), "{text}");
}

/// Any other link to `sv` is an init script; one that does not pass through `sv` is not.
#[test]
fn a_link_by_another_name_is_the_binary() {
    let fixture = Fixture::new(&[]);
    fixture.add(&format!("other -> {}", sunup().display()), "");
    let other = Command::new(fixture.path("other")).arg("--list").output();
    assert!(stdout(&other.unwrap()).contains("sv\n"));
}
