//! What was written when: rotated logs are safe on the disk before their names say
//! so, and a clock that was set back makes none of them the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::super::common::Fixture;
use super::{Logger, content, current, numbers, old_logs};

/// System calls of svlogd and its children, in the order of their ends: name and arguments.
fn calls(trace: &str) -> Vec<(String, String)> {
    let mut open_calls = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let whole = if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            open_calls.insert(pid, begin);
            continue;
        } else if call.starts_with("<... ") {
            let begin: &str = open_calls.remove(pid).unwrap();
            format!("{begin}{}", call.split_once("resumed>").unwrap().1)
        } else {
            call.to_owned()
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else {
            continue;
        };
        if result.starts_with('0') {
            let (name, arguments) = call.split_once('(').unwrap();
            calls.push((name.to_owned(), arguments.to_owned()));
        }
    }
    calls
}

/// The files that a call names: `5</dir/NAME>`, and `"NAME"`.
fn files(arguments: &str) -> Vec<String> {
    let words = arguments.split(['<', '>', '"', '/', ' ', ',', ')']);
    let is_file = |word: &&str| word.starts_with('@') || *word == "current";
    words.filter(is_file).map(str::to_owned).collect()
}

/// Of each rotated log, and of each output of a processor, fsync comes first, then the
/// mode, then the name.
#[test]
fn a_name_that_says_safe_is_given_after_a_sync() {
    for (config, stages) in [("s100\nn0\n", 1), ("s100\nn0\n!cat\n", 2)] {
        let fixture = Fixture::new(&[("log/config", config), ("trace", "")]);
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-y", "-o"])
            .arg(fixture.path("trace"))
            .args(["-e", "trace=fsync,fdatasync,fchmod,chmod,/rename"])
            .arg(fixture.applet("svlogd"))
            .args(["-l10", "-b50"])
            .arg(fixture.path("log"));
        let mut logger = Logger::start(command);
        logger.feed(&numbers(300, 9));
        let (status, said) = logger.end();
        assert!(status.success() && said.is_empty(), "{said}");
        let count = old_logs(&fixture.path("log"), ".s");
        assert!(count > 30, "{count}");
        let trace = fs::read_to_string(fixture.path("trace")).unwrap();
        let (mut safe, mut named, mut syncs) = (BTreeSet::new(), 0, 0);
        for (call, arguments) in calls(&trace) {
            let files = files(&arguments);
            match (call.as_str(), &files[..]) {
                ("fsync" | "fdatasync", [.., file]) => {
                    syncs += 1;
                    safe.insert(file.clone());
                }
                ("fchmod" | "chmod", [.., file]) if arguments.contains("0744") => {
                    assert!(safe.contains(file), "{file} was marked before");
                }
                (_, [.., from, to]) => {
                    let is_safe = safe.remove(from);
                    let says_so = to.strip_suffix(".s").is_some();
                    assert!(is_safe || !says_so, "{from} -> {to}");
                    named += usize::from(says_so);
                    if is_safe {
                        safe.insert(to.clone());
                    }
                }
                _ => {}
            }
        }
        assert_eq!(named, count);
        assert!(syncs >= stages * count, "{syncs} syncs for {count} logs");
    }
}

/// Names of a time that has not come yet: the clock was set back since.
const LATER: [(&str, &str); 3] = [
    ("log/@40000000f102eec41f323a0c.s", "later 1\n"),
    ("log/@40000000f202eec41f323a0c.s", "later 2\n"),
    ("log/@40000000f302eec41f323a0c.s", "later 3\n"),
];

#[test]
fn nothing_goes_unprocessed_because_the_clock_was_set_back() {
    let fixture = Fixture::new(&LATER);
    fixture.add("log/config", "s100\nn3\n!tee -a ../shipped\n");
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(150, 9));
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
    let mut all = fs::read(fixture.path("shipped")).unwrap();
    all.extend(current(&fixture));
    assert_eq!(all, numbers(150, 9));
}

/// Without a processor: the log just rotated is the last to go.
#[test]
fn logs_from_before_the_clock_was_set_back_go_first() {
    let fixture = Fixture::new(&LATER);
    fixture.add("log/config", "s100\nn3\n");
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(25, 9));
    assert!(logger.end().0.success());
    // Two rotations: the first two of them are gone.
    let want = [
        &numbers(25, 9)[..18 * 10],
        b"later 3\n",
        &numbers(25, 9)[18 * 10..],
    ]
    .concat();
    assert_eq!(content(&dir), want);
}

/// What is processed is counted apart from what waits.
#[test]
fn finished_logs_push_no_waiting_one_out() {
    let fixture = Fixture::new(&[
        ("log/@400000006002eec41f323a0c.s", "1\n"),
        ("log/@400000006102eec41f323a0c.s", "2\n"),
        ("log/@400000006202eec41f323a0c.s", "3\n"),
        ("log/config", "s100\nn3\n!exit 1\n"),
    ]);
    let dir = fixture.path("log");
    let mut logger = Logger::on(&fixture, &["-l10", "-b50"]);
    logger.feed(&numbers(45, 9));
    assert!(logger.end().0.success());
    assert_eq!((old_logs(&dir, ".u"), old_logs(&dir, ".s")), (3, 3));
    assert!(content(&dir).starts_with(b"1\n2\n3\n"));
}
