//! The directories that svlogd is called with, and their configs. What is wrong is named,
//! and the rest is used.

use std::fs;
use std::io::Write;
use std::process::Command;

use super::super::common::{Fixture, is_sunup, wait_for};
use super::{Logger, current, listing, reference, tested};

#[test]
fn mistakes_in_a_config_are_named_and_the_rest_holds() {
    let fixture = Fixture::new(&[("log/config", "s10x\npP:\nfrob\n")]);
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"a\n");
    let (status, said) = logger.end();
    assert!(status.success());
    let dir = fixture.path("log");
    let dir = dir.display();
    assert_eq!(
        said,
        format!(
            "svlogd: {dir}: config:1: not a number: 10x; the line is ignored\n\
             svlogd: {dir}: config:3: unknown setting f; known are s n N t ! + - e E p u U; the line is ignored\n"
        )
    );
    assert_eq!(current(&fixture), b"P:a\n");
}

#[test]
fn a_config_that_cannot_be_read_means_the_defaults() {
    let fixture = Fixture::new(&[("log/config/", "")]);
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"a\n");
    let (status, said) = logger.end();
    assert!(status.success());
    assert!(said.contains("read config: Is a directory"), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(current(&fixture), b"a\n");
}

#[test]
fn directories_that_cannot_be_used_are_left_out() {
    let fixture = Fixture::new(&[("good/", ""), ("file", ""), ("dirlog/current/", "")]);
    let run = |command: Command, dirs: &[&str]| {
        let mut command = command;
        command.args(dirs).current_dir(fixture.path("."));
        let mut logger = Logger::start(command);
        // One that ends at once may not read.
        drop(logger.stdin.as_mut().unwrap().write_all(b"a\n"));
        logger.end()
    };
    for dirs in [&["missing"][..], &["file"], &["missing", "file"]] {
        let (status, _) = run(reference(), dirs);
        let (tested_status, said) = run(tested(), dirs);
        assert_eq!(tested_status.code(), status.code());
        assert_eq!(status.code(), Some(111));
        assert!(
            said.ends_with("svlogd: no log directory can be used\n"),
            "{said}"
        );
    }
    let (status, said) = run(tested(), &["missing", "good", "good", "dirlog"]);
    assert!(status.success());
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    let missing = "svlogd: missing: open the directory: No such file or directory; \
                   svlogd makes none: mkdir -p missing; this log is ignored until HUP";
    assert_eq!(lines[0], missing);
    assert!(lines[1].starts_with("svlogd: good: lock (is another svlogd running here?): "));
    assert!(lines[2].starts_with("svlogd: dirlog: open current: Is a directory"));
    assert_eq!(fs::read(fixture.path("good/current")).unwrap(), b"a\n");
}

/// HUP when no directory can be opened any more.
#[test]
fn hup_without_a_directory_ends_with_the_code_of_the_reference() {
    let mut codes = Vec::new();
    for (mut command, is_ours) in [(reference(), false), (tested(), is_sunup())] {
        let fixture = Fixture::new(&[("log/", "")]);
        let dir = fixture.path("log");
        command.arg(&dir);
        let mut logger = Logger::start(command);
        logger.feed(b"1\n");
        wait_for("start", &[&dir], || {
            (current(&fixture) == b"1\n").then_some(())
        });
        fs::rename(&dir, fixture.path("moved")).unwrap();
        logger.end_by(rustix::process::Signal::HUP, !is_ours);
        let keep_open = logger.stdin.take();
        codes.push(logger.wait().0.code());
        drop(keep_open);
        assert_eq!(listing(&fixture.path("moved"))["current"].0, 0o744);
    }
    assert_eq!(codes, [Some(111), Some(111)]);
}

#[test]
fn several_directories_with_configs_of_their_own() {
    let fixture = Fixture::new(&[
        ("a/config", "-*\n+err*\n"),
        ("b/config", "pB: \n"),
        ("c/", ""),
    ]);
    let mut command = tested();
    command.args(["a", "b", "c"]).current_dir(fixture.path("."));
    let mut logger = Logger::start(command);
    logger.feed(b"err 1\nok\n");
    assert!(logger.end().0.success());
    let read = |name: &str| fs::read_to_string(fixture.path(name)).unwrap();
    assert_eq!(read("a/current"), "err 1\n");
    assert_eq!(read("b/current"), "B: err 1\nB: ok\n");
    assert_eq!(read("c/current"), "err 1\nok\n");
}

#[test]
fn wrong_calls_end_with_the_code_of_the_reference() {
    let fixture = Fixture::new(&[("log/", "")]);
    for args in [
        &[][..],
        &["-Z", "log"],
        &["-r", "ab", "log"],
        &["-r", "", "log"],
        &["-b", "100", "log"],
        &["-l", "50", "-b", "50", "log"],
    ] {
        let run = |mut command: Command| {
            command.args(args).current_dir(fixture.path("."));
            Logger::start(command).end().0.code()
        };
        assert_eq!(run(tested()), run(reference()), "{args:?}");
        assert_eq!(run(tested()), Some(111));
    }
}
