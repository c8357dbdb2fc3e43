//! `sv log`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use model::format::stamp::Stamp;
use model::format::tai64n::Tai64n;
use rustix::event::PollFlags;
use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, applet, becomes, end_by, kill, make_fifo, read_status, running, sunup,
    wait_exit, yield_until,
};
use super::super::line::Line;
use super::super::runsvdir::Runsvdir;
use super::json::{Json, Schema};
use super::{printed, sv, text};

/// It is ours that is executed, where [`with_svlogd`] has put it.
const SVLOGD: &str = "#!/bin/sh\nexec ../../../bin/svlogd -t ./main\n";

/// A fixture whose log services find our svlogd. Debian's, which is in PATH, sleeps on if
/// TERM comes just before it waits for its next line.
fn with_svlogd(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new(files);
    fixture.applet("svlogd");
    fixture
}

fn stamped(form: Stamp, seconds: i64, line: &str) -> String {
    let mut bytes = Vec::new();
    form.encode(Tai64n::from_unix(seconds, 123_456_000), &mut bytes);
    String::from_utf8(bytes).unwrap() + line + "\n"
}

/// 2026-11-29 18:00:00 UTC.
const SIX: i64 = 1_795_975_200;

/// Two services whose logs have older files, one without a log, and a link to none.
fn two() -> Fixture {
    let fixture = Fixture::new(&[
        ("scan/lost -> ../sv/lost", ""),
        ("scan/web/log/run", SVLOGD),
        (
            "scan/web/log/main/@400000006b00000000000000.s.gz",
            "\x1f\u{8b}",
        ),
        ("scan/db/log/run", "#!/bin/sh\nexec svlogd -tt /nowhere\n"),
        ("scan/plain/run", SLEEP),
    ]);
    let old = Tai64n::from_unix(SIX + 25, 0);
    let older = Tai64n::from_unix(SIX + 15, 0);
    let log = |name: &str, text: &str| fixture.add(name, text);
    log(
        &format!("scan/web/log/main/{older}.s"),
        &stamped(Stamp::Tai, SIX, "w1"),
    );
    log(
        &format!("scan/web/log/main/{old}.u"),
        &(stamped(Stamp::Tai, SIX + 20, "w2") + "  more of w2\n"),
    );
    log(
        "scan/web/log/main/current",
        &(stamped(Stamp::Tai, SIX + 40, "w3") + &stamped(Stamp::Tai, SIX + 60, "w4")),
    );
    log(
        "scan/db/log/main/current",
        &(stamped(Stamp::Utc(b'_'), SIX + 10, "d1") + &stamped(Stamp::Utc(b'T'), SIX + 30, "d2")),
    );
    fixture
}

#[test]
fn lines_of_several_services_are_in_the_order_of_their_times() {
    let fixture = two();
    let output = sv(&fixture.path("scan"), &["log"])
        .env("TZ", "CET-1")
        .output()
        .unwrap();
    let expected = "2026-11-29 19:00:00.123 web: w1\n\
                    2026-11-29 19:00:10.123 db: d1\n\
                    2026-11-29 19:00:20.123 web: w2\n\
                    web:   more of w2\n\
                    2026-11-29 19:00:30.123 db: d2\n\
                    2026-11-29 19:00:40.123 web: w3\n\
                    2026-11-29 19:01:00.123 web: w4\n";
    assert_eq!(text(&output), expected);
    assert_eq!(output.status.code(), Some(0));
    let main = fixture.path("scan/web/log/main");
    let said = format!(
        "sv: web: an older file in {} is compressed, and left out\n",
        main.display()
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), said);
}

#[test]
fn so_many_lines_of_all_or_those_since_a_time() {
    let fixture = two();
    let scan = fixture.path("scan");
    let last = |args: &[&str]| {
        let output = sv(&scan, args).env("TZ", "CET-1").output().unwrap();
        let words = text(&output);
        let words = words
            .lines()
            .map(|line| line.rsplit(' ').next().unwrap().to_owned());
        (words.collect::<Vec<_>>().join(" "), output.status.code())
    };
    for (args, words) in [
        (&["log", "-n", "3"][..], "d2 w3 w4"),
        (&["log", "-n0"], ""),
        (&["log", "web", "-n3"], "w2 w3 w4"),
        (&["log", "-n5", "web", "web"], "w1 w2 w2 w3 w4"),
        (&["log", "--since", "2026-11-29 19:00:20"], "w2 w2 d2 w3 w4"),
        (
            &["log", "-u", "--since=2026-11-29 18:00:20"],
            "w2 w2 d2 w3 w4",
        ),
        (&["log", "--since", "2026-11-29 19:00:20", "-n2"], "w3 w4"),
        (&["log", "--since", "2026-11-29 19:02"], ""),
    ] {
        // `more of w2` ends so, too.
        assert_eq!(last(args), (words.to_owned(), Some(0)), "{args:?}");
    }
    for (args, code) in [
        ("log -n x", 100),
        ("log -s x", 100),
        ("log nope", 1),
        ("log plain", 1),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        assert_eq!(last(&args).1, Some(code), "{args:?}");
    }
}

#[test]
fn lines_as_json_and_as_they_are() {
    let fixture = two();
    let scan = fixture.path("scan");
    let expected = "{\"name\":\"db\",\"at\":\"2026-11-29T18:00:30.123450Z\",\"line\":\"d2\"}\n";
    assert_eq!(printed(&scan, &["log", "-jn1", "db"]), expected);
    Schema::below("`sv log -j`").check(&Json::of(expected.trim_end()));
    let expected = stamped(Stamp::Utc(b'T'), SIX + 30, "d2");
    assert_eq!(printed(&scan, &["log", "-r", "-n1", "db"]), expected);
}

/// Whoever keeps a log does not choose what else root shows.
#[test]
fn a_link_is_no_log() {
    let fixture = Fixture::new(&[
        ("secret", "secret\n"),
        ("scan/web/run", SLEEP),
        (
            "scan/web/log/main/@400000006b00000000000000.s -> ../../../../secret",
            "",
        ),
        ("scan/web/log/main/current -> ../../../../secret", ""),
    ]);
    let output = sv(&fixture.path("scan"), &["log", "web"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.ends_with("current: a link, and no file\n"), "{said}");
    assert_eq!(
        (output.status.code(), text(&output).as_str()),
        (Some(1), "")
    );
    fs::remove_file(fixture.path("scan/web/log/main/current")).unwrap();
    fixture.add("scan/web/log/main/current", "known\n");
    assert_eq!(printed(&fixture.path("scan"), &["log", "web"]), "known\n");
}

#[test]
fn where_lines_go_that_are_in_no_log() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/log/run -> /usr/bin/vlogger", ""),
        ("scan/db/run", SLEEP),
        ("scan/db/log/run", "#!/bin/sh\nexec logger -t db\n"),
        (
            "scan/own/run",
            "#!/bin/sh\nexec >../../own.txt\nexec sleep 1000\n",
        ),
        ("scan/far/log/run", "#!/bin/sh\nexec cat\n"),
        ("scan/plain/run", SLEEP),
        ("scan/down/run", SLEEP),
        ("scan/down/down", ""),
        ("scan/lost -> ../sv/lost", ""),
    ]);
    let _scanner = Runsvdir::start(&fixture);
    let scan = fixture.path("scan");
    let own = fixture.path("own.txt").display().to_string();
    let lost = scan.join("lost").display().to_string();
    for (name, said) in [
        ("web", "its lines go to the syslog, by vlogger"),
        ("db", "its lines go to the syslog, by logger"),
        (
            "far",
            "its log service keeps no log that is known here; see log/run",
        ),
        (
            "own",
            &format!("it has no log service; its lines go to the file {own}"),
        ),
        (
            "plain",
            "it has no log service; its lines go to the output of runsvdir: ",
        ),
        (
            "down",
            "it has no log service; its lines go to the output of its supervisor",
        ),
        ("none", "there is no service "),
        ("", "there is no service "),
        (
            "lost",
            &format!("{lost} leads to ../sv/lost, which does not exist"),
        ),
    ] {
        let said = format!("sv: {name}: {said}");
        yield_until(|| {
            let output = sv(&scan, &["log", name]).output().unwrap();
            assert_eq!(
                (output.status.code(), text(&output)),
                (Some(1), String::new())
            );
            String::from_utf8_lossy(&output.stderr)
                .starts_with(&said)
                .then_some(())
        });
    }
}

/// Where nothing names the directory, what the log service has open does.
#[test]
fn the_log_that_a_log_service_has_open_is_found() {
    let fixture = with_svlogd(&[
        ("scan/web/run", "#!/bin/sh\necho hello\nexec sleep 1000\n"),
        (
            "scan/web/log/run",
            "#!/bin/sh\nD=../../../logs\nexec ../../../bin/svlogd \"$D/a\" \"$D/main\"\n",
        ),
        ("logs/a/config", "-*\n"),
        ("logs/main/", ""),
    ]);
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    yield_until(|| {
        (text(&sv(&scan, &["log", "web"]).output().unwrap()) == "hello\n").then_some(())
    });
    assert_eq!(
        printed(&scan, &["log", scan.join("web").to_str().unwrap()]),
        "hello\n"
    );
}

/// What `sv log -f` prints.
struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
    scan: PathBuf,
}

impl Follower {
    fn start(scan: &Path, args: &[&str]) -> Self {
        let args = [&["log", "-f"], args].concat();
        let mut child = sv(scan, &args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let scan = scan.into();
        Self { child, lines, scan }
    }

    /// The next line, with patience.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.pop_if(|byte| *byte == b'\n').is_none() {
            if self.lines.buffer().is_empty() && !becomes(self.lines.get_ref(), PollFlags::IN) {
                let shown = line.escape_ascii();
                panic!("after \"{shown}\" nothing is shown of\n{}", self.logs());
            }
            let bytes = self.lines.fill_buf().unwrap();
            let newline = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..newline.map_or(bytes.len(), |at| at + 1)];
            assert!(!part.is_empty(), "it has ended: {}", line.escape_ascii());
            line.extend_from_slice(part);
            let length = part.len();
            self.lines.consume(length);
        }
        String::from_utf8(line).unwrap()
    }

    /// The ends of all files that there are, and who keeps them.
    fn logs(&self) -> String {
        let mut all = Vec::new();
        for service in fs::read_dir(&self.scan).unwrap().flatten() {
            let log = service.path().join("log");
            all.push(format!("{} {:?}", log.display(), read_status(&log)));
            for file in fs::read_dir(log.join("main")).into_iter().flatten() {
                let path = file.unwrap().path();
                let bytes = fs::read(&path).unwrap_or_default();
                let end = bytes[bytes.len().saturating_sub(200)..].escape_ascii();
                all.push(format!("{}, {}: {end}", path.display(), bytes.len()));
            }
        }
        all.join("\n")
    }

    fn end(mut self) {
        end_by(&mut self.child, Signal::INT);
    }
}

/// A svlogd that writes what it is given.
fn svlogd(dir: &Path) -> (Child, std::process::ChildStdin) {
    let mut command = applet("svlogd");
    let mut child = command.arg(dir).stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

#[test]
fn a_log_is_followed_through_rotations_and_restarts() {
    const LINES: usize = 4000;
    let fixture = Fixture::new(&[
        ("scan/web/log/run", SVLOGD),
        ("scan/web/log/main/config", "s4096\nn500\n"),
        ("scan/web/log/main/current", "begin\n"),
    ]);
    let main = fixture.path("scan/web/log/main");
    let mut follower = Follower::start(&fixture.path("scan"), &["-n1", "web"]);
    assert_eq!(follower.line(), "begin");
    let (mut logger, mut input) = svlogd(&main);
    let line = |number: usize| format!("line {number} {}", "x".repeat(number % 90));
    let mut seen = 0;
    for number in 0..LINES {
        writeln!(input, "{}", line(number)).unwrap();
        if number % 1000 == 999 {
            drop(input);
            wait_exit(&mut logger);
            (logger, input) = svlogd(&main);
            // It has to be read up to here sometimes, and to catch up otherwise.
            while number % 2000 == 999 && seen <= number {
                assert_eq!(follower.line(), line(seen));
                seen += 1;
            }
        }
    }
    drop(input);
    while seen < LINES {
        assert_eq!(follower.line(), line(seen));
        seen += 1;
    }
    wait_exit(&mut logger);
    let files = fs::read_dir(&main).unwrap().count();
    assert!(files > 20, "{files}");
    follower.end();
}

#[test]
fn a_log_that_is_cut_or_replaced_is_followed() {
    let fixture = Fixture::new(&[
        ("scan/web/log/run", SVLOGD),
        ("scan/web/log/main/current", "one\ntwo\nhal"),
        ("next/current", "six\n"),
        ("last/current", "eight\n"),
    ]);
    let main = fixture.path("scan/web/log/main");
    let append = |text: &str| {
        let mut file = File::options()
            .append(true)
            .open(main.join("current"))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let mut follower = Follower::start(&fixture.path("scan"), &["-n2", "web"]);
    assert_eq!(follower.line(), "two");
    append("f\nthree\n");
    assert_eq!(
        (follower.line(), follower.line()),
        ("half".into(), "three".into())
    );
    fs::write(main.join("current"), "four\n").unwrap();
    assert_eq!(follower.line(), "four");
    fs::remove_file(main.join("current")).unwrap();
    fs::write(main.join("current"), "five\n").unwrap();
    assert_eq!(follower.line(), "five");
    // Another directory in its place, and then a link.
    fs::rename(&main, fixture.path("old")).unwrap();
    fs::rename(fixture.path("next"), &main).unwrap();
    assert_eq!(follower.line(), "six");
    append("seven\n");
    assert_eq!(follower.line(), "seven");
    fs::rename(&main, fixture.path("older")).unwrap();
    fixture.add("scan/web/log/main -> ../../../last", "");
    assert_eq!(follower.line(), "eight");
    append("nine\n");
    assert_eq!(follower.line(), "nine");
    follower.end();
}

#[test]
fn several_logs_are_followed_at_once() {
    let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let fixture = Fixture::new(&[]);
    for name in &names {
        fixture.add(&format!("scan/{name}/log/main/current"), "first\n");
    }
    let mut follower = Follower::start(&fixture.path("scan"), &["-n20"]);
    let mut first: Vec<String> = names.iter().map(|_| follower.line()).collect();
    first.sort();
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name}: first")).collect();
    expected.sort();
    assert_eq!(first, expected);
    for name in names.iter().rev() {
        let path = fixture.path(&format!("scan/{name}/log/main/current"));
        let mut file = File::options().append(true).open(path).unwrap();
        writeln!(file, "to {name}").unwrap();
        assert_eq!(follower.line(), format!("{name}: to {name}"));
    }
    follower.end();
}

/// Also while nothing is written.
#[test]
fn following_ends_when_nobody_reads() {
    let fixture = Fixture::new(&[("scan/web/log/main/current", "one\n")]);
    let mut follower = Follower::start(&fixture.path("scan"), &["web"]);
    assert_eq!(follower.line(), "one");
    let Follower {
        mut child, lines, ..
    } = follower;
    drop(lines);
    assert_eq!(wait_exit(&mut child).code(), Some(0));
}

/// Lines without end, of a size that no memory holds, and of any bytes.
#[test]
fn memory_is_bounded_whatever_the_file_holds() {
    let fixture = Fixture::new(&[("scan/web/log/main/current", "")]);
    let current = File::options()
        .write(true)
        .open(fixture.path("scan/web/log/main/current"))
        .unwrap();
    current.set_len(20 << 30).unwrap();
    let script = "ulimit -v 60000; exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh"])
        .arg(sunup())
        .args(["sv", "log", "-n3", "web"]);
    command.env("SVDIR", fixture.path("scan"));
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(output.stdout.len(), 3 * (64 * 1024 + 1));
}

#[test]
fn a_terminal_obeys_no_line_and_shows_names_in_colours() {
    let fixture = Fixture::new(&[
        ("scan/a\x1bb/log/main/current", "\x1b[31mred\x07\n"),
        ("scan/web/log/main/current", "caf\u{e9}\n"),
    ]);
    for (variable, value, expected) in [
        (
            "NO_COLOR",
            "",
            "\x1b[36ma\\x1bb:\x1b[0m \\x1b[31mred\\x07\n\x1b[33mweb:\x1b[0m caf\u{e9}\n",
        ),
        (
            "NO_COLOR",
            "1",
            "a\\x1bb: \\x1b[31mred\\x07\nweb: caf\u{e9}\n",
        ),
        (
            "TERM",
            "dumb",
            "a\\x1bb: \\x1b[31mred\\x07\nweb: caf\u{e9}\n",
        ),
    ] {
        let mut line = Line::new();
        let mut command = sv(&fixture.path("scan"), &["log"]);
        command
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env(variable, value);
        let mut child = command
            .stdout(line.other_end.try_clone().unwrap())
            .spawn()
            .unwrap();
        wait_exit(&mut child);
        assert_eq!(line.expect("caf\u{e9}\n"), expected);
    }
}

/// Two milliseconds are what is wanted; a busy machine may need more.
#[test]
fn a_line_is_shown_as_soon_as_it_is_written() {
    let fixture = Fixture::new(&[("scan/web/log/main/current", "one\n")]);
    let path = fixture.path("scan/web/log/main/current");
    let mut follower = Follower::start(&fixture.path("scan"), &["web"]);
    assert_eq!(follower.line(), "one");
    let mut file = File::options().append(true).open(path).unwrap();
    let mut times = Vec::new();
    for number in 0..50 {
        let from = Instant::now();
        writeln!(file, "{number}").unwrap();
        assert_eq!(follower.line(), number.to_string());
        times.push(from.elapsed());
    }
    times.sort();
    println!("median {:?}, longest {:?}", times[25], times[49]);
    follower.end();
}

/// A log service that is restarted writes into the same directory.
#[test]
fn a_supervised_log_is_followed_through_a_restart() {
    let run = "#!/bin/sh\nwhile read -r word; do echo \"$word\"; done <fifo\n";
    let fixture = with_svlogd(&[
        ("scan/web/run", run),
        ("scan/web/log/run", SVLOGD),
        ("scan/web/log/main/", ""),
    ]);
    make_fifo(fixture.path("scan/web/fifo"));
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    let mut fifo = File::options()
        .write(true)
        .open(fixture.path("scan/web/fifo"))
        .unwrap();
    let log = scan.join("web/log");
    let pid = |other: u32| {
        yield_until(|| read_status(&log).filter(running).filter(|s| s.pid != other)).pid
    };
    let first = pid(0);
    yield_until(|| log.join("main/current").exists().then_some(()));
    // The line may be there before the follower is.
    let mut follower = Follower::start(&scan, &["-n5", "web"]);
    writeln!(fifo, "one").unwrap();
    assert!(follower.line().ends_with(" one"));
    kill(first, Signal::TERM);
    pid(first);
    writeln!(fifo, "two").unwrap();
    assert!(follower.line().ends_with(" two"));
    follower.end();
}
