//! A disk without room: the service goes on, and svlogd says what is lost.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use rustix::event::PollFlags;

use super::super::common::{Fixture, becomes, make_fifo};
use super::{Logger, numbers};

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
    make_fifo(fixture.path("gate"));
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
        let has_more = !stderr.buffer().is_empty() || becomes(stderr.get_ref(), PollFlags::IN);
        assert!(has_more, "{said}");
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

/// A disk that stays full: svlogd says what is lost, once, and ends. It has more lines than it
/// may keep.
#[test]
fn a_disk_that_stays_full_does_not_keep_svlogd_from_ending() {
    let fixture = Fixture::new(&[("full/", "")]);
    let script = "head -c 5000000 /dev/zero >full/ballast || :; $SVLOGD full/log";
    let mut logger = on_small_disk(&fixture, script);
    logger.feed(&numbers(300_000, 9));
    let (status, said) = logger.end();
    assert!(status.success(), "{said}");
    let lost = "svlogd: full/log: 300000 lines could not be written\n";
    assert!(said.ends_with(lost), "{said}");
    assert!(!said.contains("writing again"), "{said}");
}
