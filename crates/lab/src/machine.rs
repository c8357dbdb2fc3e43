//! A running machine, be it in QEMU or in namespaces: a console, a port for
//! results, and an end. Nothing here sleeps: [`Machine::next`] waits for events.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Child;
use std::time::Duration;

use crate::moment::{Moment, timespec};
use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine wrote on its console.
    Console(Vec<u8>),
    /// The machine wrote a line on the port for results.
    Result {
        /// The line without its end.
        line: String,
        /// When it arrived here.
        at: Moment,
    },
    /// One of the descriptors that were given to [`Machine::next`] is readable:
    /// its index.
    Other(usize),
    /// The machine is gone.
    End(End),
    /// Nothing, until the given moment.
    Timeout,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It switched itself off (in namespaces, halted looks the same).
    PowerOff,
    /// It reset itself: a reboot, or a kernel that panicked.
    Reset,
    /// Its PID 1 ended, which would be a panic of a real kernel.
    Init(String),
    /// What runs the machine failed, and why.
    Failed(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => f.write_str("powered off"),
            Self::Reset => f.write_str("reset"),
            Self::Init(how) => write!(f, "PID 1 ended: {how}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// The parts a host hands over; [`Machine`] drives them.
pub struct Parts {
    /// The process that ends with the machine.
    pub child: Child,
    /// The console, both ways.
    pub console: File,
    /// The port for results, both ways.
    pub results: File,
    /// Reports of the host, a line each; its end is the machine's end.
    pub reports: File,
    /// Tells from the reports and the child how it ended.
    pub how: fn(&[String], std::process::ExitStatus) -> End,
    /// What must live as long as the machine: sockets' directory, slaves of ptys.
    pub keep: Box<dyn std::any::Any + Send>,
}

/// A running machine. Dropping it pulls the plug.
pub struct Machine {
    parts: Parts,
    started: Moment,
    transcript: Vec<u8>,
    seen: usize,
    report_lines: Lines,
    result_lines: Lines,
    reports: Vec<String>,
    pending: VecDeque<Event>,
    end: Option<End>,
    console_open: bool,
    console_held: bool,
    results_open: bool,
}

/// How much of the console is kept, in bytes; beyond, the older half is forgotten.
const TRANSCRIPT_BYTES_MAX: usize = 16 << 20;

/// A line that is longer, in bytes, becomes several.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes that become lines.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` complete.
    fn add(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
            if *byte == b'\n' || self.partial.len() >= LINE_BYTES_MAX {
                let line = String::from_utf8_lossy(&self.partial);
                whole.push(line.trim_end_matches('\r').to_owned());
                self.partial.clear();
            }
        }
        whole
    }
}

impl Machine {
    /// Drives `parts`, which were started at `started`.
    pub fn new(parts: Parts, started: Moment) -> Self {
        Self {
            parts,
            started,
            transcript: Vec::new(),
            seen: 0,
            report_lines: Lines::default(),
            result_lines: Lines::default(),
            reports: Vec::new(),
            pending: VecDeque::new(),
            end: None,
            console_open: true,
            console_held: false,
            results_open: true,
        }
    }

    /// When it was switched on.
    pub fn started(&self) -> Moment {
        self.started
    }

    /// What it wrote on its console so far, at least the last 8 MiB.
    pub fn transcript(&self) -> &[u8] {
        &self.transcript
    }

    /// Whether to leave what it writes on its console there for now.
    pub fn hold_console(&mut self, held: bool) {
        self.console_held = held;
    }

    /// Types on its console.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.parts.console.write_all(bytes)
    }

    /// Writes to the port for results, for a machine that reads there.
    pub fn send_results(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.parts.results.write_all(bytes)
    }

    /// Sends a signal to process 1 of a machine in namespaces.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.init()?, signal)?)
    }

    /// Process 1 of a machine in namespaces, as it is called out here: the child of the process
    /// that ends with the machine.
    pub fn init(&self) -> Result<Pid> {
        let porter = self.parts.child.id();
        let children = fs::read_to_string(format!("/proc/{porter}/task/{porter}/children"))?;
        let init = children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        match init.and_then(Pid::from_raw) {
            Some(init) => Ok(init),
            None => bail!("there is no process 1 yet"),
        }
    }

    /// The window's size, where the console is one.
    pub fn resize(&self, size: rustix::termios::Winsize) {
        // A serial port has none.
        let _ = rustix::termios::tcsetwinsize(&self.parts.console, size);
    }

    /// Waits for the next event until `deadline` (for ever, if none), or until
    /// one of `also` is readable.
    pub fn next(&mut self, also: &[BorrowedFd<'_>], deadline: Option<Moment>) -> Result<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            if let Some(end) = &self.end {
                return Ok(Event::End(end.clone()));
            }
            let left = deadline.map(|d| d.since(Moment::now()));
            if left.is_some_and(|l| l.is_zero()) {
                return Ok(Event::Timeout);
            }
            if let Some(index) = self.wait(also, left)? {
                return Ok(Event::Other(index));
            }
        }
    }

    /// Waits once and reads what there is; says which of `also` is readable, if
    /// the machine is silent.
    fn wait(&mut self, also: &[BorrowedFd<'_>], left: Option<Duration>) -> Result<Option<usize>> {
        let ready = self.poll(also, left)?;
        // The console is read before the reports, so that last words come
        // before the end.
        if ready.contains(&Who::Console) {
            self.read_console();
        }
        if ready.contains(&Who::Results) {
            self.read_results();
        }
        if ready.contains(&Who::Reports) {
            self.read_reports()?;
        }
        let other = ready.into_iter().find_map(|who| match who {
            Who::Also(index) => Some(index),
            _ => None,
        });
        Ok(other.filter(|_| self.pending.is_empty() && self.end.is_none()))
    }

    fn poll(&self, also: &[BorrowedFd<'_>], left: Option<Duration>) -> Result<Vec<Who>> {
        let parts = &self.parts;
        let mut watched = vec![(Who::Reports, parts.reports.as_fd())];
        if self.console_open && !self.console_held {
            watched.push((Who::Console, parts.console.as_fd()));
        }
        if self.results_open {
            watched.push((Who::Results, parts.results.as_fd()));
        }
        watched.extend(also.iter().enumerate().map(|(i, fd)| (Who::Also(i), *fd)));
        let mut fds: Vec<_> = watched
            .iter()
            .map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, left.map(timespec).as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(e) => bail!("wait for the machine: {e}"),
        }
        let ready = watched
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((who, _), _)| *who).collect())
    }

    fn read_console(&mut self) {
        let bytes = read(&mut self.parts.console);
        self.console_open = !bytes.is_empty();
        if self.console_open {
            self.remember(&bytes);
            self.pending.push_back(Event::Console(bytes));
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        if self.transcript.len() > TRANSCRIPT_BYTES_MAX {
            let half = TRANSCRIPT_BYTES_MAX / 2;
            self.transcript.drain(..half);
            self.seen = self.seen.saturating_sub(half);
        }
        self.transcript.extend_from_slice(bytes);
    }

    fn read_results(&mut self) {
        let bytes = read(&mut self.parts.results);
        self.results_open = !bytes.is_empty();
        let at = Moment::now();
        for line in self.result_lines.add(&bytes) {
            self.pending.push_back(Event::Result { line, at });
        }
    }

    fn read_reports(&mut self) -> Result<()> {
        let bytes = read(&mut self.parts.reports);
        self.reports.extend(self.report_lines.add(&bytes));
        if bytes.is_empty() {
            // What is still in the pipes was written before.
            while self.console_open && readable(&self.parts.console) {
                self.read_console();
            }
            while self.results_open && readable(&self.parts.results) {
                self.read_results();
            }
            let status = self.parts.child.wait()?;
            self.end = Some((self.parts.how)(&self.reports, status));
        }
        Ok(())
    }

    /// Reads the console until `text` comes after what earlier calls expected.
    /// Results that arrive meanwhile are kept.
    pub fn expect(&mut self, text: &str, patience: Duration) -> Result<()> {
        let mut results = VecDeque::new();
        let found = self.read_until(text, patience, &mut results);
        results.append(&mut self.pending);
        self.pending = results;
        found
    }

    fn read_until(
        &mut self,
        text: &str,
        patience: Duration,
        results: &mut VecDeque<Event>,
    ) -> Result<()> {
        let deadline = Moment::now().after(patience);
        loop {
            let rest = self.transcript.get(self.seen..).unwrap_or_default();
            if let Some(at) = find(rest, text.as_bytes()) {
                self.seen += at + text.len();
                return Ok(());
            }
            match self.next(&[], Some(deadline))? {
                Event::Timeout => bail!("no {text:?} within {patience:?}; {}", self.tail()),
                Event::End(end) => bail!("no {text:?}: {end}; {}", self.tail()),
                result @ Event::Result { .. } => results.push_back(result),
                _ => {}
            }
        }
    }

    /// Waits for a line on the port for results that `wanted` takes.
    pub fn result<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Moment::now().after(patience);
        loop {
            match self.next(&[], Some(deadline))? {
                Event::Result { line, .. } => {
                    if let Some(value) = wanted(&line) {
                        return Ok(value);
                    }
                }
                Event::Timeout => bail!("no {what} within {patience:?}; {}", self.tail()),
                Event::End(end) => bail!("no {what}: {end}; {}", self.tail()),
                _ => {}
            }
        }
    }

    /// Waits for the end.
    pub fn end(&mut self, patience: Duration) -> Result<End> {
        let deadline = Moment::now().after(patience);
        loop {
            match self.next(&[], Some(deadline))? {
                Event::End(end) => return Ok(end),
                Event::Timeout => bail!("no end within {patience:?}; {}", self.tail()),
                _ => {}
            }
        }
    }

    /// The last words on the console, for a message.
    pub fn tail(&self) -> String {
        const LAST_BYTES: usize = 2000;
        let from = self.transcript.len().saturating_sub(LAST_BYTES);
        let tail = String::from_utf8_lossy(self.transcript.get(from..).unwrap_or_default());
        format!("the console ends with:\n{tail}")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.parts.child.kill());
        drop(self.parts.child.wait());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Reports,
    Console,
    Results,
    Also(usize),
}

/// What can be read now; nothing at the end, which for a pty is an error.
fn read(file: &mut File) -> Vec<u8> {
    let mut bytes = vec![0; 16 * 1024];
    let length = loop {
        match file.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => break result.unwrap_or(0),
        }
    };
    bytes.truncate(length);
    bytes
}

fn readable(file: &File) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len().max(1))
        .position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(b"one\r\ntw"), ["one"]);
        assert_eq!(lines.add(b"o\n\nx"), ["two", ""]);
        let long = vec![b'y'; LINE_BYTES_MAX];
        let cut = lines.add(&long);
        assert_eq!(
            cut.iter().map(String::len).collect::<Vec<_>>(),
            [LINE_BYTES_MAX]
        );
    }

    #[test]
    fn finds_text() {
        assert_eq!(find(b"abcabd", b"abd"), Some(3));
        assert_eq!(find(b"ab", b"abd"), None);
        assert_eq!(find(b"", b"x"), None);
    }
}
