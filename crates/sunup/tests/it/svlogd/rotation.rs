//! When a log is closed and a new one begun: by size, by age, by a signal. What svlogd
//! makes of `current` at its start and at its end.

use std::fs;

use super::super::common::{Fixture, wait_for};
use super::{Logger, compare, content, current, listing, numbers, old_logs};

#[test]
fn rotation_by_size_as_the_reference() {
    let long = [&[b'x'; 300][..], b"\nshort\n", &[b'y'; 95], b"\n"].concat();
    for (config, args, input) in [
        ("s2500\nn20\n", &[][..], numbers(100, 99)),
        ("s250\nn20\n", &["-l20", "-b50"], numbers(100, 9)),
        ("s251\nn50\n", &["-l20", "-b50"], numbers(200, 4)),
        ("s100\nn3\n", &["-l10", "-b50"], numbers(100, 9)),
        ("s100\nn1\n", &["-l10", "-b50"], numbers(100, 9)),
        ("s100\nn0\n", &["-l10", "-b50"], numbers(300, 9)),
        ("s0\n", &["-l10", "-b50"], numbers(300, 9)),
        ("s100\nn20\n", &["-l100", "-b150"], numbers(30, 9)),
        ("s50\nn20\n", &["-l100", "-b150"], numbers(30, 9)),
        ("s1k\n", &["-l10", "-b50"], numbers(300, 9)),
        ("s100\nn20\n", &["-l10", "-b50"], long.clone()),
        ("s37\nn90\npP: \n", &["-l10", "-b50"], long),
    ] {
        compare(config, args, &input);
    }
}

#[test]
fn a_clean_log_is_continued_and_a_crashed_one_set_aside() {
    let fixture = Fixture::new(&[("log/", "")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"1\n");
    logger.end();
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"2\n");
    wait_for("second line", &[&dir], || {
        (current(&fixture) == b"1\n2\n").then_some(())
    });
    logger.child.kill().unwrap();
    logger.wait();
    assert_eq!(listing(&dir)["current"].0, 0o644);
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"3\n");
    logger.end();
    assert_eq!(old_logs(&dir, ".u"), 1);
    assert_eq!(listing(&dir)["current"], (0o744, b"3\n".to_vec()));
    assert_eq!(content(&dir), b"1\n2\n3\n");
}

#[test]
fn term_ends_after_what_is_in_the_pipe() {
    let fixture = Fixture::new(&[("log/", "")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"0\n");
    wait_for("start", &[&dir], || {
        (!current(&fixture).is_empty()).then_some(())
    });
    logger.signal(rustix::process::Signal::STOP);
    logger.feed(&numbers(5000, 9));
    logger.feed(b"unfinished");
    logger.signal(rustix::process::Signal::TERM);
    logger.signal(rustix::process::Signal::CONT);
    let keep_open = logger.stdin.take();
    let (status, _) = logger.wait();
    drop(keep_open);
    assert!(status.success());
    let want = [b"0\n", &numbers(5000, 9)[..], b"unfinished\n"].concat();
    assert_eq!(listing(&dir)["current"], (0o744, want));
}

#[test]
fn alrm_rotates_and_hup_rereads_the_config() {
    let fixture = Fixture::new(&[("log/config", "pA:\n")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"1\n");
    wait_for("line", &[&dir], || {
        (current(&fixture) == b"A:1\n").then_some(())
    });
    logger.signal(rustix::process::Signal::ALARM);
    wait_for("rotation", &[&dir], || {
        (old_logs(&dir, ".s") == 1).then_some(())
    });
    fixture.add("log/config", "pB:\n");
    fs::rename(&dir, fixture.path("moved")).unwrap();
    fixture.add("log/config", "pC:\n");
    logger.signal(rustix::process::Signal::HUP);
    wait_for("new directory", &[&dir], || {
        dir.join("current").exists().then_some(())
    });
    logger.feed(b"2\n");
    assert!(logger.end().0.success());
    assert_eq!(current(&fixture), b"C:2\n");
    // An empty log was not rotated, but closed cleanly.
    let moved = listing(&fixture.path("moved"));
    assert_eq!(moved["current"], (0o744, vec![]));
    assert_eq!(content(&fixture.path("moved")), b"A:1\n");
}

#[test]
fn a_log_that_gets_too_old_is_rotated() {
    let fixture = Fixture::new(&[("log/config", "t1\n")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(b"1\n");
    wait_for("rotation", &[&dir], || {
        (old_logs(&dir, ".s") == 1).then_some(())
    });
    logger.feed(b"2\n");
    wait_for("rotation", &[&dir], || {
        (old_logs(&dir, ".s") == 2).then_some(())
    });
    assert!(logger.end().0.success());
    assert_eq!(content(&dir), b"1\n2\n");
}

#[test]
fn a_removed_current_is_begun_anew() {
    let fixture = Fixture::new(&[("log/config", "s100\n")]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(b"1\n");
    wait_for("start", &[&dir], || {
        (current(&fixture) == b"1\n").then_some(())
    });
    fs::remove_file(dir.join("current")).unwrap();
    logger.feed(&numbers(15, 9));
    let (status, said) = logger.end();
    assert!(status.success());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(content(&dir).ends_with(b"000000014\n000000015\n"));
}
