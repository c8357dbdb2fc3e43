//! What of the input gets into a log: which lines, in which form, and when. The files are
//! the same however the input arrives.

use std::fs;

use super::super::common::{Fixture, Random, wait_for};
use super::{Logger, compare, current, listing, reference, tested};

#[test]
fn plain_input_as_the_reference() {
    let binary: Vec<u8> = (0..=255).chain([b'\n', 0, b'\n']).collect();
    for input in [&b""[..], b"\n", b"a\nb\n", b"\n\n\n", &binary] {
        compare("", &[], input);
    }
}

#[test]
fn selection_as_the_reference() {
    let corpus = b"\na\nab\nabb\nabc\nbab\nerror: disk 7\nerror\nx error: 9\na*c\n+\n++\naaab\n\
        0123456789\n01234567890123456789\n2005-12-18_09:13:50.97618 tcpsvd: info: pid 1977 from\n";
    for config in [
        "-*\n+error*\n",
        "-*pid*\n",
        "-*: *: pid *\n",
        "-a+b\n",
        "-+bab\n",
        "-++\n",
        "-*b\n-a*c\n",
        "-a**\n-*+\n-\n",
        "-*\n+0123456789\n",
        "-*\n+*error*\n-*7\n",
        "e*error*\nE*7\n",
        "-*\ne*\n",
        "-*\n+a*\npweb: \neab*\n",
    ] {
        compare(config, &[], corpus);
        // The reference marks a line of exactly 10 bytes as cut on standard error.
        let lines = corpus.split_inclusive(|b| *b == b'\n');
        let corpus: Vec<&[u8]> = lines.filter(|l| l.len() != 11).collect();
        compare(config, &["-l10", "-b50"], &corpus.concat());
    }
}

#[test]
fn replacement_as_the_reference() {
    let input = b"ab\x01c\tx\xc3\xa9\x7fz\0\n\nplain\n";
    for args in [&["-r_"][..], &["-r", "?"], &["-Rab"], &["-r.", "-R", "xz"]] {
        compare("", args, input);
        compare("-*\n+*_*\n+*.*\n", args, input);
    }
}

/// What the stamp of each line looks like, and what follows it.
fn shapes(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8(log.to_vec()).unwrap();
    let shape = |line: &str| {
        let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
        let stamp: String = stamp
            .chars()
            .map(|c| if c.is_ascii_hexdigit() { '0' } else { c })
            .collect();
        format!("{stamp} {rest}")
    };
    text.lines().map(shape).collect()
}

#[test]
fn stamps_have_the_shape_of_the_reference() {
    for (args, want) in [
        ("-t", "@000000000000000000000000"),
        ("-tt", "0000-00-00_00:00:00.00000"),
        ("-ttt", "0000-00-00T00:00:00.00000"),
    ] {
        let fixture = Fixture::new(&[
            ("theirs/config", "pP: \ne*\n"),
            ("tested/config", "pP: \ne*\n"),
        ]);
        let mut results = Vec::new();
        for (command, dir) in [(reference(), "theirs"), (tested(), "tested")] {
            let mut command = command;
            command
                .args([args, "-l10", "-b20", dir])
                .current_dir(fixture.path("."));
            let mut logger = Logger::start(command);
            logger.feed(b"one\n\n01234567890123456789012345678901234567890123456789\n");
            let (status, said) = logger.end();
            assert!(status.success());
            let log = fs::read(fixture.path(dir).join("current")).unwrap();
            results.push((shapes(&log), shapes(said.as_bytes())));
        }
        assert_eq!(results[0], results[1]);
        assert_eq!(results[1].0[0], format!("{want} P: one"));
        assert_eq!(results[1].1[2], format!("{want} P: 0123456789..."));
    }
}

#[test]
fn the_stamp_is_the_time() {
    let fixture = Fixture::new(&[("log/", "")]);
    let now = || {
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
    };
    let before = now();
    let mut logger = Logger::on(&fixture, &["-t"]);
    logger.feed(b"x\n");
    logger.end();
    let log = String::from_utf8(current(&fixture)).unwrap();
    let seconds = u64::from_str_radix(&log[2..17], 16).unwrap() - 10;
    assert!((before..=now()).contains(&seconds), "{log}");
}

/// Debian's svlogd loses a last line without newline; ours ends it.
#[test]
fn a_last_line_without_newline_is_kept() {
    for (args, want) in [
        (&[][..], &b"a\nb\n"[..]),
        (&["-l2", "-b4", "-r_"], b"a\nb\n"),
    ] {
        let fixture = Fixture::new(&[("log/", "")]);
        let mut logger = Logger::on(&fixture, args);
        logger.feed(b"a\nb");
        assert!(logger.end().0.success());
        assert_eq!(current(&fixture), want);
    }
    let fixture = Fixture::new(&[("log/", "")]);
    let mut logger = Logger::on(&fixture, &["-l2", "-b4"]);
    logger.feed(b"long line");
    logger.end();
    assert_eq!(current(&fixture), b"long line\n");
}

/// The files are the same however the input arrives, and those of the reference.
#[test]
fn any_split_into_reads_gives_the_same_files() {
    for seed in 1..=12 {
        let mut random = Random(seed);
        let mut input = Vec::new();
        for _ in 0..200 {
            let longest = if random.below(10) == 0 { 120 } else { 30 };
            let length = random.below(longest);
            input.extend((0..length).map(|_| b"abcx:\x01 \xff"[random.below(8)]));
            input.push(b'\n');
        }
        let config = [
            "s300\nn0\n",
            "s300\nn0\n-*b*\n",
            "s301\nn0\npP:\n-a*\n+*x*\n",
            "s64\nn0\n",
        ][random.below(4)];
        let fixture = compare(config, &["-l20", "-b64"], &input);
        let want = listing(&fixture.path("tested"));
        let split = Fixture::new(&[("log/config", config)]);
        let mut logger = Logger::on(&split, &["-l20", "-b64"]);
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(1 + random.below(rest.len().min(90)));
            logger.feed(part);
            rest = behind;
        }
        assert!(logger.end().0.success());
        assert_eq!(listing(&split.path("log")), want, "seed {seed} {config:?}");
    }
}

#[test]
fn a_line_is_in_the_file_as_soon_as_the_input_pauses() {
    for args in [&[][..], &["-tt"]] {
        let fixture = Fixture::new(&[("log/", "")]);
        let mut logger = Logger::on(&fixture, args);
        logger.feed(b"first\nsec");
        let dir = fixture.path("log");
        wait_for("first line", &[&dir], || {
            current(&fixture).ends_with(b"first\n").then_some(())
        });
        logger.feed(b"ond\n");
        wait_for("second line", &[&dir], || {
            current(&fixture).ends_with(b"second\n").then_some(())
        });
        assert!(logger.end().0.success());
    }
}
