//! Tests of svlogd with real processes, side by side with Debian's.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::common::{Fixture, applet, debian, ends, is_sunup, patience, wait_for};

mod order;
mod streams;

/// Debian's svlogd.
fn reference() -> Command {
    Command::new(debian("svlogd"))
}

fn tested() -> Command {
    applet("svlogd")
}

/// A running svlogd.
struct Logger {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Logger {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    /// The one under test, on the directory `log` of the fixture.
    fn on(fixture: &Fixture, args: &[&str]) -> Self {
        let mut command = tested();
        command.args(args).arg(fixture.path("log"));
        Self::start(command)
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Signals it, if it is the reference until it ends: that sleeps on if the signal
    /// comes between its last look and its poll.
    fn end_by(&self, signal: rustix::process::Signal, is_reference: bool) {
        self.signal(signal);
        let pid = rustix::process::Pid::from_child(&self.child);
        let flags = rustix::process::PidfdFlags::empty();
        let pidfd = rustix::process::pidfd_open(pid, flags).unwrap();
        let end = Instant::now() + patience();
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        while is_reference && Instant::now() < end {
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            if poll(&mut fds, Some(&second)).unwrap() > 0 {
                return;
            }
            self.signal(signal);
        }
    }

    /// Closes its input and waits; the status and what it said.
    fn end(mut self) -> (ExitStatus, String) {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end, with its input open.
    fn wait(mut self) -> (ExitStatus, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        let reader = thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        let ended = ends(self.child.id());
        if !ended {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        assert!(ended, "it did not end");
        (status, reader.join().unwrap())
    }
}

/// Name by shape (labels become `@`), mode and content of a log directory's
/// files; old logs numbered in their order.
fn listing(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    let mut files = BTreeMap::new();
    for (i, path) in paths.iter().enumerate() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let shape = match name.strip_prefix('@') {
            Some(label) => {
                let (hex, stage) = label.split_once('.').unwrap();
                assert!(
                    hex.len() == 24 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{name}"
                );
                format!("@{i:03}.{stage}")
            }
            None => name.to_owned(),
        };
        // A live log may be rotated between the two looks at it.
        let Ok(metadata) = fs::metadata(path) else {
            continue;
        };
        let mode = metadata.permissions().mode() & 0o7777;
        files.insert(shape, (mode, fs::read(path).unwrap_or_default()));
    }
    files
}

/// All that was logged, in order.
fn content(dir: &Path) -> Vec<u8> {
    let files = listing(dir);
    let logs = files
        .into_iter()
        .filter(|(n, _)| n.starts_with('@') || n == "current");
    logs.flat_map(|(_, (_, bytes))| bytes).collect()
}

fn old_logs(dir: &Path, stage: &str) -> usize {
    listing(dir)
        .keys()
        .filter(|n| n.starts_with('@') && n.ends_with(stage))
        .count()
}

fn current(fixture: &Fixture) -> Vec<u8> {
    fs::read(fixture.path("log/current")).unwrap_or_default()
}

/// Feeds the same input to both and compares what they leave.
fn compare(config: &str, args: &[&str], input: &[u8]) -> Fixture {
    let fixture = Fixture::new(&[("theirs/config", config), ("tested/config", config)]);
    let mut results = Vec::new();
    for (command, dir) in [(reference(), "theirs"), (tested(), "tested")] {
        let mut command = command;
        command.args(args).arg(dir).current_dir(fixture.path("."));
        let mut logger = Logger::start(command);
        logger.feed(input);
        let (status, said) = logger.end();
        results.push((status.code(), said, listing(&fixture.path(dir))));
    }
    assert_eq!(results[0], results[1], "{config:?} {args:?}");
    fixture
}

fn numbers(count: usize, width: usize) -> Vec<u8> {
    (1..=count)
        .flat_map(|i| format!("{i:0width$}\n").into_bytes())
        .collect()
}

#[test]
fn plain_input_as_the_reference() {
    let binary: Vec<u8> = (0..=255).chain([b'\n', 0, b'\n']).collect();
    for input in [&b""[..], b"\n", b"a\nb\n", b"\n\n\n", &binary] {
        compare("", &[], input);
    }
}

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

/// A small pseudo-random generator, so that failures can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
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
    fifo(&gate);
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
    fifo(&gate);
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

#[test]
fn lines_go_by_udp() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let receiver = UdpSocket::bind(address).unwrap();
        receiver.set_read_timeout(Some(patience())).unwrap();
        let to = receiver.local_addr().unwrap();
        let fixture = Fixture::new(&[("log/config", &format!("u{to}\npP: \n-*x*\n"))]);
        let mut logger = Logger::on(&fixture, &["-l8", "-b30"]);
        logger.feed(b"hello\nxx\n0123456789abcdef\n\n");
        assert!(logger.end().0.success());
        let mut got = Vec::new();
        for _ in 0..3 {
            let mut buffer = [0; 100];
            let n = receiver.recv(&mut buffer).unwrap();
            got.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        assert_eq!(got, ["P: hello\n", "P: 01234567...\n", "P: \n"]);
        assert_eq!(current(&fixture), b"P: hello\nP: 0123456789abcdef\nP: \n");
    }
}

#[test]
fn udp_that_fails_goes_to_the_log() {
    // Broadcasting needs a permission the socket has not.
    let fixture = compare("U255.255.255.255:9\n", &[], b"a\nb\n");
    let want = "warning: failure sending through udp: a\nwarning: failure sending through udp: b\n";
    assert_eq!(
        fs::read_to_string(fixture.path("tested/current")).unwrap(),
        want
    );
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap();
    compare(&format!("U{to}\n"), &[], b"a\nb\n");
}

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

/// Runs a script as root of a user and mount namespace with a small tmpfs on `full`.
fn on_small_disk(fixture: &Fixture, script: &str) -> Logger {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "--", "sh", "-ec"])
        .arg(format!(
            "mount -t tmpfs -o size=4m tmpfs full; mkdir full/log\n{script}"
        ))
        .env("SVLOGD", fixture.applet("svlogd"))
        .current_dir(fixture.path("."));
    Logger::start(command)
}

/// A full disk neither stops the service nor loses lines in silence, and
/// logging goes on by itself when there is room.
#[test]
fn a_full_disk_does_not_stop_the_service() {
    let fixture = Fixture::new(&[("full/", "")]);
    fifo(&fixture.path("gate"));
    // The disk gets room again once all lines were taken.
    let script = "echo s0 >full/log/config; head -c 4000000 /dev/zero >full/ballast
        { cat; rm full/ballast; cat gate; } | $SVLOGD full/log
        cp full/log/current out";
    let mut logger = on_small_disk(&fixture, script);
    logger.feed(&numbers(300_000, 9));
    drop(logger.stdin.take());
    let mut said = String::new();
    let mut stderr = BufReader::new(logger.child.stderr.take().unwrap());
    while !said.contains("writing again") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    fs::write(fixture.path("gate"), "after\n").unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(logger.child.wait().unwrap().success(), "{said}");
    let text = fs::read_to_string(fixture.path("out")).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.starts_with("svlogd: full/log: write: No space left on device"),
        "{said}"
    );
    let lines: Vec<&str> = text.lines().collect();
    let [kept @ .., note, "after"] = &lines[..] else {
        panic!("{:?}", lines.last())
    };
    let dropped = 300_000 - kept.len();
    assert!(dropped > 0 && kept.len() > 100_000);
    assert_eq!(*note, format!("svlogd: {dropped} lines were dropped here"));
    assert!(
        said.contains(&format!("writing again; {dropped} lines were dropped")),
        "{said}"
    );
    assert_eq!(
        format!("{}\n", kept.join("\n")).into_bytes(),
        numbers(kept.len(), 9)
    );
}

/// With N, old logs make room, and nothing new is lost.
#[test]
fn on_a_full_disk_old_logs_go_as_far_as_allowed() {
    let fixture = Fixture::new(&[("full/", "")]);
    let script = "printf 's100000\\nn0\\nN2\\n' >full/log/config
        $SVLOGD full/log; ls full/log | grep -c '@.*[.]s$' >out
        cat full/log/@* full/log/current | tail -n 20000 >>out";
    let mut logger = on_small_disk(&fixture, script);
    logger.feed(&numbers(800_000, 9));
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
    let text = fs::read_to_string(fixture.path("out")).unwrap();
    let (count, lines) = text.split_once('\n').unwrap();
    let count: usize = count.parse().unwrap();
    assert!((3..42).contains(&count), "{count}");
    let all = numbers(800_000, 9);
    assert!(lines.as_bytes() == &all[all.len() - 200_000..]);
}

/// A disk that stays full: svlogd says what is lost, and ends.
#[test]
fn a_disk_that_stays_full_does_not_keep_svlogd_from_ending() {
    let fixture = Fixture::new(&[("full/", "")]);
    let script = "head -c 5000000 /dev/zero >full/ballast || :; $SVLOGD full/log";
    let mut logger = on_small_disk(&fixture, script);
    logger.feed(&numbers(1000, 9));
    let (status, said) = logger.end();
    assert!(status.success(), "{said}");
    assert!(
        said.ends_with("1000 lines could not be written\n"),
        "{said}"
    );
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}
