//! The dialogue on the line before the login program runs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::issue::{self, Facts};
use model::getty::{self, NameLine, Reply};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::system::uname;

use super::terminal::Terminal;
use super::{Failure, Plan, failure};
use crate::sys::{clock, file, local_time};

const SECOND_NS: u64 = 1_000_000_000;

/// How long to wait for the message of a modem.
const MODEM_NS: u64 = SECOND_NS;

/// How many bytes of a modem's message are read.
const MODEM_BYTES_MAX: usize = 256;

/// After a change of speed, the line must be silent for so long.
const REST_NS: u64 = SECOND_NS / 10;

/// After so many tries, getty goes on with a line that is never silent.
const REST_TRIES_MAX: u32 = 20;

/// How many bytes of an issue file are read.
const ISSUE_BYTES_MAX: usize = 64 * 1024;

/// The issue file, if the command line names none.
const ISSUE: &[u8] = b"/etc/issue";

/// How the dialogue ends.
pub enum Outcome {
    /// Go on with this name; under -n without one.
    Name(Option<Vec<u8>>),
    /// Nobody is on the line (any more).
    HungUp,
}

/// Sends the init string, reads the modem's message, and asks the user.
pub fn hold(plan: &Plan, terminal: &mut Terminal) -> Result<Outcome, Failure> {
    let mut speeds = plan.operands.speeds.iter().copied().cycle();
    terminal.set_speed(speeds.next().unwrap_or(0))?;
    // What was typed earlier was not meant for this dialogue.
    terminal.flush_input();
    if let Some(text) = plan.args.value(b'I') {
        terminal.write(&getty::unescape(text));
    }
    if plan.args.has(b'm') {
        listen_to_modem(terminal)?;
    }
    let keys = Keys::within(plan.timeout_s);
    if plan.args.has(b'w') && !wait_for_newline(&keys, terminal)? {
        return Ok(Outcome::HungUp);
    }
    if plan.args.has(b'n') {
        return Ok(Outcome::Name(None));
    }
    loop {
        match ask(plan, terminal, &keys)? {
            Answer::Name(name) => return Ok(Outcome::Name(Some(name))),
            Answer::HungUp => return Ok(Outcome::HungUp),
            Answer::Again => {}
            Answer::OtherSpeed => {
                terminal.set_speed(speeds.next().unwrap_or(0))?;
                come_to_rest(terminal)?;
            }
        }
    }
}

enum Answer {
    Name(Vec<u8>),
    HungUp,
    Again,
    OtherSpeed,
}

/// Shows the issue and the prompt, and reads a line.
fn ask(plan: &Plan, terminal: &mut Terminal, keys: &Keys) -> Result<Answer, Failure> {
    show_issue(plan, terminal);
    show_prompt(terminal);
    let mut line = NameLine::default();
    while let Some(byte) = keys.next(terminal)? {
        let (next, reply) = line.step(byte);
        line = next;
        match reply {
            Reply::Echo(byte) => terminal.write(&[byte]),
            Reply::RubOut(count) => {
                if let Some(key) = line.erase_key {
                    terminal.set_erase_key(key);
                }
                terminal.write(&b"\x08 \x08".repeat(count));
            }
            Reply::Quit => return Ok(Answer::HungUp),
            Reply::Break if plan.operands.speeds.len() > 1 => return Ok(Answer::OtherSpeed),
            Reply::Break | Reply::Ignore => {}
            Reply::Done(newline) => {
                terminal.newline = newline;
                return Ok(judge(line.name, terminal));
            }
        }
    }
    Ok(Answer::HungUp)
}

fn judge(name: Vec<u8>, terminal: &Terminal) -> Answer {
    if let Some(fault) = getty::name_fault(&name) {
        terminal.write(format!("\n{fault}\n").as_bytes());
        return Answer::Again;
    }
    if name.is_empty() {
        terminal.write(b"\n");
        return Answer::Again;
    }
    Answer::Name(name)
}

fn show_issue(plan: &Plan, terminal: &Terminal) {
    if plan.args.has(b'i') {
        return;
    }
    // Failures were reported when getty began.
    let Ok(text) = read_issue(issue_path(plan)) else {
        return;
    };
    let host = uname();
    let facts = Facts {
        system: host.sysname().to_bytes(),
        node: host.nodename().to_bytes(),
        release: host.release().to_bytes(),
        version: host.version().to_bytes(),
        machine: host.machine().to_bytes(),
        domain: host.domainname().to_bytes(),
        line: terminal.path(),
        now: local_time::now(),
    };
    terminal.write(b"\n");
    terminal.write(&issue::expand(&text, &facts));
}

/// What is wrong with the issue file. To have none is no mistake.
pub fn issue_trouble(plan: &Plan) -> Option<Failure> {
    if plan.args.has(b'i') || plan.args.has(b'n') {
        return None;
    }
    let path = issue_path(plan);
    match read_issue(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound || plan.args.has(b'f') => Some(failure(
            path,
            "read",
            format_args!("{e}; going on without it"),
        )),
        _ => None,
    }
}

fn issue_path<'a>(plan: &Plan<'a>) -> &'a [u8] {
    plan.args.value(b'f').unwrap_or(ISSUE)
}

fn read_issue(path: &[u8]) -> std::io::Result<Vec<u8>> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    file::head(file::open(path, OFlags::RDONLY)?, ISSUE_BYTES_MAX)
}

fn show_prompt(terminal: &Terminal) {
    let host = uname();
    let node = match host.nodename().to_bytes() {
        b"" => b"?",
        name => name,
    };
    terminal.write(&[node, b" login: "].concat());
}

/// Sets the speed that the message of the modem names, if it comes in time.
fn listen_to_modem(terminal: &mut Terminal) -> Result<(), Failure> {
    let keys = Keys::until(Some(clock::boot_ns().saturating_add(MODEM_NS)));
    let mut said = Vec::new();
    while said.len() < MODEM_BYTES_MAX
        && let Some(byte) = keys.next(terminal)?
    {
        said.push(byte);
        if let Some(speed) = getty::modem_speed(&said) {
            terminal.set_speed(speed)?;
            return come_to_rest(terminal);
        }
    }
    Ok(())
}

/// Drops input until the line is silent for a moment.
fn come_to_rest(terminal: &Terminal) -> Result<(), Failure> {
    for _ in 0..REST_TRIES_MAX {
        let quiet = Keys::until(Some(clock::boot_ns().saturating_add(REST_NS)));
        if quiet.next(terminal)?.is_none() {
            break;
        }
        terminal.flush_input();
    }
    Ok(())
}

fn wait_for_newline(keys: &Keys, terminal: &Terminal) -> Result<bool, Failure> {
    while let Some(byte) = keys.next(terminal)? {
        if matches!(byte, b'\r' | b'\n') {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the keyboard, until a deadline.
struct Keys {
    deadline_ns: Option<u64>,
}

impl Keys {
    fn until(deadline_ns: Option<u64>) -> Self {
        Self { deadline_ns }
    }

    /// 0 seconds: no deadline.
    fn within(seconds: u32) -> Self {
        let span = u64::from(seconds).saturating_mul(SECOND_NS);
        Self::until((seconds > 0).then(|| clock::boot_ns().saturating_add(span)))
    }

    /// Reads the next byte. `None`: the line was hung up, or the time is over. Reads one byte
    /// at a time, because what follows the name is for the login program.
    fn next(&self, terminal: &Terminal) -> Result<Option<u8>, Failure> {
        loop {
            if !self.wait(terminal)? {
                return Ok(None);
            }
            let mut byte = [0];
            match rustix::io::read(terminal.line(), &mut byte) {
                Ok(0) | Err(Errno::IO) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(failure(terminal.path(), "read", error)),
            }
        }
    }

    /// Waits for input. Returns whether there is some before the deadline.
    fn wait(&self, terminal: &Terminal) -> Result<bool, Failure> {
        loop {
            let left = self
                .deadline_ns
                .map(|end| clock::timespec(end.saturating_sub(clock::boot_ns())));
            let mut fds = [PollFd::from_borrowed_fd(terminal.line(), PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failure(terminal.path(), "wait for a key", error)),
            }
        }
    }
}
