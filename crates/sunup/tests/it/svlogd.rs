//! Tests of svlogd with real processes, side by side with Debian's.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Instant;
use std::{fs, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::common::{Fixture, applet, becomes, debian, ends, patience};

mod directories;
mod full_disk;
mod lines;
mod order;
mod processor;
mod rotation;
mod streams;
mod udp;

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
        feed(self.stdin.as_mut().unwrap(), bytes);
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

/// Writes to a pipe, with patience each time that it is full.
fn feed(stdin: &mut ChildStdin, bytes: &[u8]) {
    // Who may write may write so much.
    for part in bytes.chunks(rustix::pipe::PIPE_BUF) {
        assert!(becomes(&*stdin, PollFlags::OUT), "nobody reads");
        stdin.write_all(part).unwrap();
    }
}

/// Reads so much, with patience.
fn read_exact(mut file: impl Read + AsFd, len: usize) -> Vec<u8> {
    let mut got = vec![0; len];
    let mut have = 0;
    while have < len {
        assert!(becomes(&file, PollFlags::IN), "nothing is written");
        let more = file.read(&mut got[have..]).unwrap();
        assert!(more > 0, "{}", got[..have].escape_ascii());
        have += more;
    }
    got
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
