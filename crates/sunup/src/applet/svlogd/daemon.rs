//! The loop: waits for input, signals and deadlines, and hands lines to the logs.

use std::path::Path;

use model::format::tai64n::Tai64n;
use model::lines::Framer;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

use super::log::Log;
use super::{SPEC, Settings, fatal};
use crate::say;
use crate::sys::clock;
use crate::sys::signal::{self, SIGALRM, SIGCHLD, SIGHUP, SIGTERM, SignalFd};

/// A read asks for at least this much: it is what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// How much of standard input svlogd still has to read.
enum Input {
    /// All of it.
    Open,
    /// These bytes, which were in the pipe when TERM came.
    Draining(usize),
    /// Nothing.
    Ended,
}

struct Daemon<'a> {
    settings: &'a Settings,
    logs: Vec<Log>,
    signals: SignalFd,
    input: Input,
    framer: Framer,
    buffer: Vec<u8>,
    /// How many bytes of an unfinished line are at the start of the buffer.
    filled: usize,
    /// When the first of them arrived.
    filled_since: Option<Tai64n>,
    code: u8,
    abandoned: bool,
}

/// Runs svlogd; the result is the exit code.
pub fn run<'p>(settings: &Settings, paths: impl Iterator<Item = &'p Path>) -> u8 {
    // If the parent ignored a signal, we would never get it.
    signal::reset_all();
    signal::ignore_of_writes();
    let signals = match SignalFd::new(&[SIGTERM, SIGHUP, SIGALRM, SIGCHLD]) {
        Ok(signals) => signals,
        Err(e) => {
            say::offer(SPEC.name, format_args!("receive signals: {e}"));
            return fatal();
        }
    };
    let mut daemon = Daemon {
        settings,
        logs: paths.map(|p| Log::new(p, settings.verbose)).collect(),
        signals,
        input: Input::Open,
        framer: Framer::new(settings.line_max),
        // Room for the unfinished line, for one read, and for a last newline.
        buffer: vec![0; settings.buffer.max(READ_BYTES) + settings.line_max + 1],
        filled: 0,
        filled_since: None,
        code: 0,
        abandoned: false,
    };
    daemon.open_logs();
    while !daemon.is_done() {
        daemon.turn();
    }
    daemon.logs.iter_mut().for_each(Log::finish);
    daemon.code
}

impl Daemon<'_> {
    fn ending(&self) -> bool {
        !matches!(self.input, Input::Open)
    }

    fn is_done(&self) -> bool {
        if !self.logs.iter().any(Log::is_open) {
            return true;
        }
        let ended = matches!(self.input, Input::Ended);
        ended && (self.abandoned || self.logs.iter().all(Log::is_idle))
    }

    fn open_logs(&mut self) {
        for log in &mut self.logs {
            log.open(self.settings);
        }
        if !self.logs.iter().any(Log::is_open) {
            say::offer(SPEC.name, "no log directory can be used");
            self.code = fatal();
        }
    }

    /// Waits for an event and handles all that has come.
    fn turn(&mut self) {
        let ending = self.ending();
        for log in &mut self.logs {
            log.tick(ending);
        }
        // The tick may have finished the last work.
        if self.is_done() {
            return;
        }
        let (readable, signalled) = self.wait();
        if signalled {
            while let Some(delivered) = self.signals.next() {
                self.signal(delivered.signal);
            }
        }
        if readable {
            self.read();
        } else if let Input::Draining(_) = self.input
            && !self.is_held()
            && !signalled
        {
            // Another reader of the pipe took the rest.
            self.end_input();
        }
    }

    fn is_held(&self) -> bool {
        self.logs.iter().any(Log::holds)
    }

    /// Sleeps until an event. Returns whether there is input, and whether there are signals.
    /// After any event, blocked writes are tried again.
    fn wait(&self) -> (bool, bool) {
        let reads = !matches!(self.input, Input::Ended) && !self.is_held();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let stdin = rustix::stdio::stdin();
        if reads {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        }
        let blocked = self.logs.iter().filter_map(Log::blocked_on);
        fds.extend(blocked.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        let drains = reads && matches!(self.input, Input::Draining(_));
        let timeout = if drains { Some(0) } else { self.patience_ns() };
        let timeout = timeout.map(clock::timespec);
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return (false, false);
        }
        let event = |i: usize| fds.get(i).is_some_and(|f| !f.revents().is_empty());
        (reads && event(1), event(0))
    }

    /// Nanoseconds to the next deadline.
    fn patience_ns(&self) -> Option<u64> {
        let ending = self.ending();
        let next = self.logs.iter().filter_map(|l| l.deadline(ending)).min()?;
        Some(next.saturating_sub(clock::boot_ns()))
    }

    fn signal(&mut self, signal: signal::Signal) {
        match signal {
            SIGTERM => self.terminate(),
            SIGHUP => {
                self.logs.iter_mut().for_each(Log::close);
                self.open_logs();
            }
            SIGALRM => self.logs.iter_mut().for_each(Log::force_rotation),
            SIGCHLD => self.reap(),
            _ => {}
        }
    }

    /// TERM: reads what is in the pipe, and then ends. A second TERM: does not wait for
    /// processors.
    fn terminate(&mut self) {
        if self.ending() {
            self.abandoned = true;
            self.logs.iter_mut().for_each(Log::abandon);
            return self.end_input();
        }
        let there = rustix::io::ioctl_fionread(rustix::stdio::stdin()).unwrap_or(0);
        self.input = Input::Draining(there as usize);
        if there == 0 {
            self.end_input();
        }
    }

    fn reap(&mut self) {
        let ending = self.ending();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            self.logs.iter_mut().any(|l| l.reaped(pid, status, ending));
        }
    }

    fn read(&mut self) {
        let wanted = match self.input {
            Input::Open => self.buffer.len(),
            Input::Draining(left) => self.filled.saturating_add(left),
            Input::Ended => return,
        };
        // Keeps one byte for a newline at the end of input.
        let end = wanted.min(self.buffer.len() - 1);
        let Some(space) = self.buffer.get_mut(self.filled..end) else {
            return self.end_input();
        };
        match rustix::io::read(rustix::stdio::stdin(), space) {
            Ok(0) => self.end_input(),
            Ok(n) => {
                self.filled += n;
                self.pass_on();
                self.count_down(n);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(e) => {
                say::offer(SPEC.name, format_args!("read standard input: {e}"));
                self.code = fatal();
                self.end_input();
            }
        }
    }

    fn count_down(&mut self, bytes: usize) {
        if let Input::Draining(left) = &mut self.input {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.end_input();
            }
        }
    }

    /// Stops reading. If the last line has no newline, adds one.
    fn end_input(&mut self) {
        if matches!(self.input, Input::Ended) {
            return;
        }
        self.input = Input::Ended;
        if (self.filled > 0 || self.framer.inside_long_line())
            && let Some(slot) = self.buffer.get_mut(self.filled)
        {
            *slot = b'\n';
            self.filled += 1;
            self.pass_on();
        }
    }

    /// Gives complete lines to the logs, and moves the rest to the start of the buffer.
    fn pass_on(&mut self) {
        let now = clock::wall();
        let ready = self
            .framer
            .ready(self.buffer.get(..self.filled).unwrap_or_default());
        let first = self.filled_since.unwrap_or(now);
        if let Some(block) = self.buffer.get_mut(..ready.bytes).filter(|b| !b.is_empty()) {
            if let Some(replacement) = &self.settings.replacement {
                replacement.apply(block);
            }
            for log in &mut self.logs {
                log.take(block, ready.continues, first, now);
            }
            self.filled_since = None;
        }
        self.buffer.copy_within(ready.bytes..self.filled, 0);
        self.filled -= ready.bytes;
        self.filled_since = (self.filled > 0).then(|| self.filled_since.unwrap_or(now));
    }
}
