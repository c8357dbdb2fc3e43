//! `current` is no file but a way out: in a container it leads to standard output.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::super::common::{Fixture, make_fifo};
use super::{Logger, feed, numbers, read_exact, tested};

/// svlogd on `log`, whose `current` is a link, with this standard output.
fn linked(fixture: &Fixture, target: &str, stdout: impl Into<Stdio>) -> Logger {
    symlink(target, fixture.path("log/current")).unwrap();
    let mut command = tested();
    command
        .args(["-l10", "-b50"])
        .arg(fixture.path("log"))
        .stdout(stdout);
    Logger::start(command)
}

fn still_a_link(fixture: &Fixture) -> bool {
    fs::symlink_metadata(fixture.path("log/current"))
        .unwrap()
        .is_symlink()
}

#[test]
fn a_pipe_that_is_standard_output() {
    for target in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
        let fixture = Fixture::new(&[("log/config", "pP: \n")]);
        let (mut out, pipe) = std::io::pipe().unwrap();
        let mut logger = linked(&fixture, target, pipe);
        logger.feed(b"1\n2\n");
        let (status, said) = logger.end();
        assert!(status.success() && said.is_empty(), "{target}: {said}");
        let mut got = String::new();
        out.read_to_string(&mut got).unwrap();
        assert_eq!(got, "P: 1\nP: 2\n", "{target}");
        assert!(still_a_link(&fixture));
    }
}

/// Lines pass, however many: the link is neither rotated nor made an old log.
#[test]
fn what_passes_is_not_rotated() {
    let fixture = Fixture::new(&[("log/config", "s100\nt1\n!cat\n")]);
    let (mut out, pipe) = std::io::pipe().unwrap();
    let mut logger = linked(&fixture, "/dev/stdout", pipe);
    logger.feed(&numbers(50, 9));
    let mut got = read_exact(&out, 500);
    logger.signal(rustix::process::Signal::ALARM);
    logger.signal(rustix::process::Signal::HUP);
    logger.feed(&numbers(50, 9));
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
    out.read_to_end(&mut got).unwrap();
    assert_eq!(got, numbers(50, 9).repeat(2));
    let names = fs::read_dir(fixture.path("log")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config", "current", "lock"]);
    assert!(still_a_link(&fixture));
}

#[test]
fn standard_error() {
    let fixture = Fixture::new(&[("log/", "")]);
    let mut logger = linked(&fixture, "/dev/stderr", Stdio::null());
    logger.feed(b"1\n");
    let (status, said) = logger.end();
    assert!(status.success());
    assert_eq!(said, "1\n");
}

/// A socket cannot be opened by its path: the journal's is standard output.
#[test]
fn a_socket() {
    let fixture = Fixture::new(&[("log/", "")]);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut logger = linked(&fixture, "/dev/stdout", OwnedFd::from(theirs));
    logger.feed(&numbers(100, 9));
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
    let mut got = vec![0; 1000];
    ours.read_exact(&mut got).unwrap();
    assert_eq!(got, numbers(100, 9));
}

#[test]
fn a_terminal() {
    let fixture = Fixture::new(&[("log/", "")]);
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let mut logger = linked(&fixture, name.to_str().unwrap(), Stdio::null());
    logger.feed(b"1\n2\n");
    let terminal = File::from(terminal);
    assert_eq!(read_exact(&terminal, 6), b"1\r\n2\r\n");
    let (status, said) = logger.end();
    assert!(status.success() && said.is_empty(), "{said}");
}

/// A fifo, as itself; its reader comes late and reads all.
#[test]
fn a_fifo_whose_reader_comes_later() {
    let fixture = Fixture::new(&[("log/", "")]);
    make_fifo(fixture.path("log/current"));
    let mut logger = Logger::on(&fixture, &[]);
    logger.feed(&numbers(10, 9));
    let mut options = File::options();
    let options = options.read(true);
    let options = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let reader = options.open(fixture.path("log/current")).unwrap();
    assert_eq!(read_exact(&reader, 100), numbers(10, 9));
    assert!(logger.end().0.success());
}

/// A pipe that nobody reads stops the service for a moment only; then what does not
/// fit into memory is counted, and the count stands where the lines are missing.
#[test]
fn a_blocked_pipe_does_not_stop_the_service() {
    let fixture = Fixture::new(&[("log/", "")]);
    let (mut out, pipe) = std::io::pipe().unwrap();
    let mut logger = linked(&fixture, "/dev/stdout", pipe);
    logger.feed(&numbers(300_000, 9));
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        out.read_to_end(&mut got).unwrap();
        got
    });
    let (status, said) = logger.end();
    assert!(status.success(), "{said}");
    let text = String::from_utf8(reader.join().unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    accounted(&lines, &said, 300_000);
    assert!(said.contains("write: nobody reads the pipe"), "{said}");
}

/// One that is read slowly loses nothing as long as it is read.
#[test]
fn a_slow_pipe_loses_nothing_in_silence() {
    let fixture = Fixture::new(&[("log/", "")]);
    let (mut out, pipe) = std::io::pipe().unwrap();
    let mut logger = linked(&fixture, "/dev/stdout", pipe);
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        let mut buffer = [0; 1000];
        while let Ok(n @ 1..) = out.read(&mut buffer) {
            got.extend_from_slice(&buffer[..n]);
        }
        got
    });
    logger.feed(&numbers(300_000, 9));
    let (status, said) = logger.end();
    assert!(status.success(), "{said}");
    let got = reader.join().unwrap();
    if said.is_empty() {
        return assert!(got == numbers(300_000, 9));
    }
    // The machine was so busy that the reader was taken for gone.
    let text = String::from_utf8(got).unwrap();
    accounted(&text.lines().collect::<Vec<_>>(), &said, 300_000);
}

/// The lines are in order, and what is not there was counted.
fn accounted(lines: &[&str], said: &str, count: usize) {
    let notes = lines
        .iter()
        .filter(|line| line.starts_with("svlogd: "))
        .count();
    let numbers = lines.iter().filter(|line| !line.starts_with("svlogd: "));
    let numbers: Vec<usize> = numbers.map(|line| line.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let counts = |before: &str, behind: &str| -> usize {
        let lines = said.lines().filter_map(|line| line.strip_suffix(behind));
        lines
            .map(|line| {
                line.rsplit_once(before)
                    .unwrap()
                    .1
                    .parse::<usize>()
                    .unwrap()
            })
            .sum()
    };
    let dropped = counts("again; ", " lines were dropped");
    let unwritten = counts(": ", " lines could not be written");
    // A note in the log may itself be one of the lines that could not be written.
    let again = said.matches("writing again").count();
    let all = numbers.len() + dropped + unwritten;
    assert!(
        (count..=count + again - notes).contains(&all),
        "{all}: {said}"
    );
}

/// A directory beside it has every line.
#[test]
fn a_blocked_pipe_does_not_stop_other_logs() {
    let fixture = Fixture::new(&[("log/", ""), ("other/", "")]);
    let (out, pipe) = std::io::pipe().unwrap();
    symlink("/dev/stdout", fixture.path("log/current")).unwrap();
    let mut command = tested();
    command
        .args(["log", "other"])
        .current_dir(fixture.path("."));
    command.stdout(pipe);
    let mut logger = Logger::start(command);
    logger.feed(&numbers(200_000, 9));
    let (status, said) = logger.end();
    assert!(status.success(), "{said}");
    let mut lines = said.lines();
    let failed = lines
        .next()
        .filter(|line| line.contains(": write: nobody reads the pipe; "));
    let lost = lines
        .next()
        .and_then(|line| line.strip_suffix(" lines could not be written"));
    let lost: usize = lost
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap();
    // What the pipe took: 64 KiB.
    assert!(failed.is_some() && lines.next().is_none(), "{said}");
    assert!((190_000..200_000).contains(&lost), "{said}");
    drop(out);
    assert!(super::content(&fixture.path("other")) == numbers(200_000, 9));
}

/// What svlogd has to say does not stop it either, however long it is.
#[test]
fn a_full_pipe_on_standard_error_does_not_stop_the_service() {
    let fixture = Fixture::new(&[("log/", "")]);
    let (unread, pipe) = std::io::pipe().unwrap();
    let mut command = tested();
    // Each name that cannot be opened is told.
    command.args(std::iter::repeat_n("n".repeat(5000), 40));
    command.arg(fixture.path("log"));
    let mut child = command.stdin(Stdio::piped()).stderr(pipe).spawn().unwrap();
    drop(command);
    feed(&mut child.stdin.take().unwrap(), b"1\n");
    let status = super::super::common::wait_exit(&mut child);
    assert!(status.success());
    assert_eq!(fs::read(fixture.path("log/current")).unwrap(), b"1\n");
    drop(unread);
}

/// Nor do lines that are to be shown there; those that were not are counted.
#[test]
fn alerts_that_nobody_reads_do_not_stop_the_service() {
    let fixture = Fixture::new(&[("log/config", "s10000000\ne*\n")]);
    let (mut unread, pipe) = std::io::pipe().unwrap();
    let mut command = tested();
    command.arg(fixture.path("log"));
    let mut child = command.stdin(Stdio::piped()).stderr(pipe).spawn().unwrap();
    drop(command);
    let mut stdin = child.stdin.take().unwrap();
    feed(&mut stdin, &numbers(100_000, 9));
    let log = fixture.path("log");
    super::super::common::wait_for("all lines", &[&log], || {
        let all = fs::metadata(log.join("current")).is_ok_and(|file| file.len() == 1_000_000);
        all.then_some(())
    });
    // Somebody reads at last.
    let mut got = Vec::new();
    rustix::io::ioctl_fionbio(&unread, true).unwrap();
    assert!(unread.read_to_end(&mut got).is_err());
    rustix::io::ioctl_fionbio(&unread, false).unwrap();
    feed(&mut stdin, b"more\n");
    drop(stdin);
    unread.read_to_end(&mut got).unwrap();
    assert!(super::super::common::wait_exit(&mut child).success());
    let text = String::from_utf8(got).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [shown @ .., note, "more"] = lines.as_slice() else {
        panic!("{text}");
    };
    let lost = note.strip_prefix("svlogd: ").unwrap();
    let lost = lost.strip_suffix(" lines were lost here, for nobody read them");
    let lost: usize = lost.unwrap().parse().unwrap();
    assert_eq!(shown.len() + lost, 100_000);
}
