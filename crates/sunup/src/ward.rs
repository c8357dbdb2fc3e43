//! Looks after one program, for tini and dumb-init: the loop around [`model::ward`].

use std::ffi::CString;
use std::io;

use model::process::{Exit, Pid};
use model::ward::{Event, Reply, Ward};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, getpgrp, setpgid, wait};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::spawn;

/// Ended children taken in one turn.
const BATCH: usize = 256;

/// What whoever looks after a program may want to tell.
pub enum Told {
    /// A signal came.
    Came(Signal),
    /// This signal goes on in its place, or none.
    Passed(Signal, Option<u8>, io::Result<()>),
    /// A child ended; `true`: it was the program.
    Ended(Pid, Exit, bool),
    /// This is the end, with this code.
    Leaves(u8),
}

/// A program that runs, and how it is looked after.
pub struct Watch<'a> {
    /// Its process.
    pub program: Pid,
    /// Signals go to its process group.
    pub group: bool,
    /// The signals to pass on.
    pub signals: &'a SignalFd,
    /// Is told what happens.
    pub tell: &'a dyn Fn(Told),
}

impl Watch<'_> {
    /// Looks after the program until it ends; the exit code.
    pub fn run(&self, mut ward: Ward) -> u8 {
        loop {
            let mut events = Vec::new();
            if let Some(delivered) = self.signals.next() {
                (self.tell)(Told::Came(delivered.signal));
                events.push((Event::Signal(delivered.signal as u8), delivered.signal));
            }
            for (pid, exit) in ended() {
                (self.tell)(Told::Ended(pid, exit, pid == self.program));
                events.push((Event::Ended(pid, exit), signal::SIGCHLD));
            }
            if events.is_empty() {
                let mut fds = [PollFd::new(self.signals, PollFlags::IN)];
                let _woken = poll(&mut fds, None);
            }
            let mut leave = None;
            for (event, came) in events {
                let (next, reply) = ward.step(event);
                ward = next;
                self.act(event, came, reply);
                leave = leave.or(reply.leave);
            }
            if let Some(code) = leave {
                (self.tell)(Told::Leaves(code));
                return code;
            }
        }
    }

    fn act(&self, event: Event, came: Signal, reply: Reply) {
        let is_end = reply.leave.is_some();
        let passes = is_end || matches!(event, Event::Signal(_)) && came != signal::SIGCHLD;
        if passes && (reply.pass.is_some() || !is_end) {
            let sent = reply.pass.map_or(Ok(()), |number| {
                let send = if self.group {
                    signal::kill_group
                } else {
                    signal::kill
                };
                send(self.program, number.into())
            });
            (self.tell)(Told::Passed(came, reply.pass, sent));
        }
        if reply.suspend {
            // Process 1 of a container cannot be stopped from within.
            drop(signal::kill(std::process::id(), signal::SIGSTOP));
        }
    }
}

/// Reaps a bounded number of children.
fn ended() -> impl Iterator<Item = (Pid, Exit)> {
    let next = || wait(WaitOptions::NOHANG).ok().flatten();
    let ended = std::iter::from_fn(next).take(BATCH);
    ended.map(|(pid, status)| (pid.as_raw_pid() as Pid, Exit::of_status(status.as_raw())))
}

/// In a forked child: a process group of its own, which is in the foreground if standard
/// input is the terminal. The signals that a terminal sends to a group in the background must
/// not stop this process yet.
///
/// # Errors
/// The terminal is another session's. The group was made.
pub fn take_group_and_terminal() -> io::Result<()> {
    setpgid(None, None)?;
    match tcsetpgrp(stdin(), getpgrp()) {
        Ok(()) | Err(Errno::NOTTY | Errno::NXIO) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Becomes a program that is looked for in PATH; returns why not.
pub fn exec(argv: &[CString]) -> io::Error {
    signal::default_pipe();
    argv.first().map_or_else(
        || io::ErrorKind::InvalidInput.into(),
        |program| spawn::exec_in_path(program, argv),
    )
}

/// The code of a shell for a program that cannot be executed; `other` for other reasons than
/// that it is not there, or must not be executed.
pub fn exec_code(e: &io::Error, other: u8) -> u8 {
    match e.kind() {
        io::ErrorKind::NotFound => 127,
        io::ErrorKind::PermissionDenied => 126,
        _ => other,
    }
}

/// A command line as an exec wants it; what holds a NUL cannot come from one.
pub fn argv(words: &[&[u8]]) -> Vec<CString> {
    words
        .iter()
        .filter_map(|word| CString::new(*word).ok())
        .collect()
}
