//! Tests of chpst and the tools of daemontools with real processes. Debian's
//! chpst gets the same command lines: the program must meet the same state, or
//! the exit code must be the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::common::{Fixture, debian};

mod accounts;
mod limits;
mod locks;
mod program;
mod variables;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The two programs that are compared, under the name `applet`: the one under test
/// and Debian's.
fn tools(applet: &str, fixture: &Fixture) -> [PathBuf; 2] {
    let link = fixture.path("oracle").join(applet);
    if !link.exists() {
        fs::create_dir_all(fixture.path("oracle")).unwrap();
        symlink(debian("chpst"), &link).unwrap();
    }
    [fixture.applet(applet), link]
}

fn run(tool: &Path, args: &[&str], dir: &Path) -> Output {
    Command::new(tool)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/no/home")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs both in the fixture and compares; answers output and exit code.
fn same_in(fixture: &Fixture, applet: &str, args: &[&str]) -> (String, i32) {
    let [ours, theirs] = tools(applet, fixture).map(|tool| run(&tool, args, &fixture.path("")));
    let seen = |output: &Output| (text(&output.stdout), output.status.code());
    assert_eq!(
        seen(&ours),
        seen(&theirs),
        "{applet} {args:?}: {} / {}",
        text(&ours.stderr),
        text(&theirs.stderr)
    );
    if ours.status.code() == Some(111) {
        let line = text(&ours.stderr);
        assert!(line.starts_with(&format!("{applet}: ")), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    (text(&ours.stdout), ours.status.code().unwrap())
}

fn same(args: &[&str]) -> (String, i32) {
    same_in(&Fixture::new(&[]), "chpst", args)
}

/// The chpst under test alone.
fn tested(fixture: &Fixture, args: &[&str]) -> Output {
    let [tool, _] = tools("chpst", fixture);
    run(&tool, args, &fixture.path(""))
}

/// A command with the privileges of root, of a user namespace if need be.
fn as_root(program: &Path, args: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut unshare = Command::new("unshare");
        unshare.arg("-r").arg(program);
        unshare
    };
    command.args(args);
    command
}

#[test]
fn wrong_command_lines() {
    for args in [
        &[][..],
        &["-u"],
        &["-Z", "true"],
        &["-u", "nobody"],
        &["-v"],
    ] {
        assert_eq!(same(args).1, 100, "{args:?}");
    }
    let fixture = Fixture::new(&[]);
    for applet in [
        "envdir",
        "envuidgid",
        "pgrphack",
        "setlock",
        "setuidgid",
        "softlimit",
    ] {
        assert_eq!(same_in(&fixture, applet, &[]).1, 100, "{applet}");
    }
    for applet in ["envdir", "envuidgid", "setlock", "setuidgid"] {
        assert_eq!(same_in(&fixture, applet, &["nobody"]).1, 100, "{applet}");
    }
    let output = tested(&fixture, &["-V"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).starts_with("chpst: (sunup) "));
}
