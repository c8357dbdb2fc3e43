//! The command of a config that old logs go through. Slow, failing or hanging, it loses no
//! log and stops nobody.

use std::fs;

use super::super::common::{Fixture, make_fifo, wait_for};
use super::{Logger, compare, content, current, numbers, old_logs};

#[test]
fn what_a_crash_left_is_processed() {
    let fixture = Fixture::new(&[
        ("log/current", "left\n"),
        ("log/config", "!tr a-z A-Z\n"),
        ("log/@400000006b02eec41f323a0c.u", "older\n"),
        ("log/@400000006b02eec41f323a0c.t", "OLD"),
    ]);
    let (status, said) = Logger::on(&fixture, &[]).end();
    assert!(status.success() && said.is_empty(), "{said}");
    let dir = fixture.path("log");
    assert_eq!((old_logs(&dir, ".s"), old_logs(&dir, ".u")), (2, 0));
    assert_eq!(content(&dir), b"OLDER\nLEFT\n");
}

#[test]
fn processors_as_the_reference() {
    let fixture = compare(
        "s100\nn20\n!tr 0-9 a-j; cat <&4; echo $(($(cat <&4 | wc -c) + 1)) >&5; pwd | sed 's,.*/,,' >>../cwd\n",
        &["-l10", "-b50"],
        &numbers(50, 9),
    );
    let cwd = fs::read_to_string(fixture.path("cwd")).unwrap();
    assert_eq!(cwd, "theirs\n".repeat(5) + &"tested\n".repeat(5));
    assert_eq!(old_logs(&fixture.path("tested"), ".s"), 5);
}

/// The command has the descriptors it is promised, and no others of svlogd's.
#[test]
fn a_processor_inherits_nothing_else() {
    let fixture = Fixture::new(&[
        (
            "log/config",
            "!grep SigBlk /proc/self/status; exec ls -l /proc/self/fd\n",
        ),
        ("log/current", "x\n"),
    ]);
    assert!(Logger::on(&fixture, &[]).end().0.success());
    let said = String::from_utf8(content(&fixture.path("log"))).unwrap();
    assert!(said.starts_with("SigBlk:\t0000000000000000\n"), "{said}");
    let log = fixture.path("log");
    let inside = said.lines().filter(|l| l.contains(log.to_str().unwrap()));
    let fds: Vec<&str> = inside
        .map(|l| l.split_whitespace().nth(8).unwrap())
        .collect();
    assert_eq!(fds, ["0", "1", "4", "5"], "{said}");
}

#[test]
fn no_log_is_lost_when_the_processor_is_slower_than_the_input() {
    let fixture = Fixture::new(&[("log/config", "s100\nn2\n!cat >>../all\n"), ("all", "")]);
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(200, 9));
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
    let all = [fs::read(fixture.path("all")).unwrap(), current(&fixture)].concat();
    assert_eq!(all, numbers(200, 9));
}

#[test]
fn hup_and_term_work_while_the_processor_holds_the_log() {
    let fixture = Fixture::new(&[(
        "log/config",
        "s100\nn1\n!echo >>../started; cat ../gate >/dev/null; cat\n",
    )]);
    let gate = fixture.path("gate");
    make_fifo(&gate);
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(40, 9));
    let dir = fixture.path("log");
    let root = fixture.path(".");
    wait_for("processor", &[&root], || {
        fixture.path("started").exists().then_some(())
    });
    fixture.add("log/config", "s1000\n");
    logger.signal(rustix::process::Signal::HUP);
    wait_for("the rest", &[&dir], || {
        content(&dir).ends_with(b"000000040\n").then_some(())
    });
    logger.signal(rustix::process::Signal::TERM);
    drop(fs::OpenOptions::new().write(true).open(&gate).unwrap());
    let keep_open = logger.stdin.take();
    assert!(logger.wait().0.success());
    drop(keep_open);
    assert_eq!(content(&dir), numbers(40, 9));
    assert_eq!(old_logs(&dir, ".s"), 1);
}

#[test]
fn a_failing_processor_neither_spins_nor_blocks() {
    let fixture = Fixture::new(&[("log/config", "s100\nn3\n!echo >>../tries; exit 3\n")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(5000, 9));
    wait_for("last line", &[&dir], || {
        current(&fixture).ends_with(b"000005000\n").then_some(())
    });
    let root = fixture.path(".");
    wait_for("try", &[&root], || {
        fixture.path("tries").exists().then_some(())
    });
    logger.signal(rustix::process::Signal::TERM);
    let keep_open = logger.stdin.take();
    let (status, said) = logger.wait();
    drop(keep_open);
    assert!(status.success());
    assert!(said.contains("processor: exit code 3; @"), "{said}");
    // As many logs as n allows, still to be processed.
    assert_eq!((old_logs(&dir, ".u"), old_logs(&dir, ".s")), (3, 0));
    // In the time this took, the reference starts it hundreds of times.
    let tries = fs::read_to_string(fixture.path("tries"))
        .unwrap()
        .lines()
        .count();
    assert!(tries <= 10, "{tries}");
}

#[test]
fn a_second_term_ends_the_processor_too() {
    let fixture = Fixture::new(&[
        ("log/config", "!echo >../started; exec cat ../gate\n"),
        ("log/current", "x\n"),
    ]);
    let gate = fixture.path("gate");
    make_fifo(&gate);
    let mut logger = Logger::on(&fixture, &[]);
    let root = fixture.path(".");
    wait_for("processor", &[&root], || {
        fixture.path("started").exists().then_some(())
    });
    // Stopped meanwhile, it finds TERM and the line at once, and takes TERM first.
    logger.signal(rustix::process::Signal::STOP);
    logger.feed(b"last\n");
    logger.signal(rustix::process::Signal::TERM);
    logger.signal(rustix::process::Signal::CONT);
    let dir = fixture.path("log");
    wait_for("last line", &[&dir], || {
        (current(&fixture) == b"last\n").then_some(())
    });
    logger.signal(rustix::process::Signal::TERM);
    let keep_open = logger.stdin.take();
    assert!(logger.wait().0.success());
    drop(keep_open);
    assert_eq!(old_logs(&fixture.path("log"), ".u"), 1);
}
