//! The command line as a face: `--help`, `--version`, `--list`, `--install`, mistakes.

use std::os::unix::process::CommandExt;
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
        // Programs read the versions of these.
        let begin = match &name[..] {
            "tini" | "docker-init" => "tini version 0.19.0 (sunup ".to_owned(),
            "dumb-init" => "dumb-init v1.2.5 (sunup ".to_owned(),
            name => format!("{name} (sunup) "),
        };
        assert!(stdout(&version).starts_with(&begin), "{name}");
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
        let begin = if name == "docker-init" { "tini" } else { &name };
        assert!(stdout(&output).starts_with(begin), "{name}");
    }
}

/// Who has just installed it calls it without a word, and can do what that says.
#[test]
fn the_overview_says_what_to_do_next() {
    let home = Fixture::new(&[("home/", "")]);
    let overview = stdout(&run(&["--help"]));
    assert_eq!(stdout(&run(&[])), overview);
    let next = overview.lines().last().unwrap();
    let directory = sunup().parent().unwrap().to_owned();
    let output = Command::new("sh")
        .args(["-ec", &format!("{next}; command -v sv; sv --version")])
        .env("HOME", home.path("home"))
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .output()
        .unwrap();
    let sv = home.path("home/sunup/sv");
    let said = stdout(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(said.starts_with(&format!("{}\n", sv.display())), "{said}");
    assert!(said.contains("sv (sunup) "), "{said}");
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

/// In /sbin, `init` may lead to systemd.
#[test]
fn links_of_others_are_left_alone_and_named() {
    let fixture = Fixture::new(&[
        ("bin/init -> ../lib/systemd/systemd", ""),
        ("bin/sv -> /opt/old/sunup", ""),
        ("bin/mdev -> ../bin/busybox", ""),
        ("bin/halt", "a file"),
    ]);
    let bin = fixture.path("bin");
    let target = |name: &str| std::fs::read_link(bin.join(name)).ok();
    let install = |args: &[&str]| {
        let args: Vec<&str> = args.iter().copied().chain(bin.to_str()).collect();
        let output = run(&[&["--install"][..], &args].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), errors)
    };
    let ours = std::fs::canonicalize(sunup()).unwrap();
    let (code, errors) = install(&[]);
    assert_eq!(code, Some(111));
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].contains("bin/halt: File exists"), "{errors}");
    assert!(lines[1].contains("bin/init: it leads to ../lib/systemd/systemd"));
    assert_eq!(target("init"), Some("../lib/systemd/systemd".into()));
    for name in ["sv", "mdev", "getty"] {
        assert_eq!(target(name), Some(ours.clone()), "{name}");
    }
    let (code, errors) = install(&["--force"]);
    assert_eq!((code, errors.lines().count()), (Some(111), 1), "{errors}");
    assert_eq!(target("init"), Some(ours));
    let output = run(&["--install"]);
    assert_eq!(output.status.code(), Some(100));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!errors.contains("/sbin"), "{errors}");
}

/// What the README says for a system that you have, copied as it stands: all but the build.
#[test]
fn the_commands_of_the_readme_work_in_a_fresh_home() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme
        .split_once("### Build it, and try it without installing")
        .unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let (build, script) = block.split_once('\n').unwrap();
    assert_eq!(build, "cargo build --release -p sunup");
    let fixture = Fixture::new(&[("home/", ""), ("target/any/release/", "")]);
    let release = fixture.path("target/any/release/sunup");
    std::os::unix::fs::symlink(sunup(), release).unwrap();
    let mut supervisor = Command::new("sh")
        .args(["-ec", script])
        .env("HOME", fixture.path("home"))
        .current_dir(fixture.path("."))
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("{} status {}", "~/sunup/sv", "~/service/hello");
    assert!(readme.contains(&status));
    let text = yield_until(|| {
        let mut sv = Command::new("sh");
        let sv = sv.args(["-c", &status]).env("HOME", fixture.path("home"));
        let text = stdout(&sv.output().unwrap());
        text.starts_with("run: ").then_some(text)
    });
    assert!(text.contains("/service/hello: (pid "), "{text}");
    let pid = rustix::process::Pid::from_child(&supervisor);
    rustix::process::kill_process_group(pid, rustix::process::Signal::HUP).unwrap();
    supervisor.wait().unwrap();
    // The shell waits for it, or has become it; all have ended when nobody can write any more.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut supervisor.stdout.unwrap(), &mut rest).unwrap();
}
