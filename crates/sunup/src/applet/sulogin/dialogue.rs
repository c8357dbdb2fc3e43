//! Lines from the terminal, with echo or without.
//!
//! Signals that would end sulogin wait while there is no echo: it comes back first, and then
//! the signal has its effect. Nothing but KILL leaves a terminal without echo.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::sys::clock;
use crate::sys::signal::{self, SignalFd};

/// Of a longer line this much counts, which is nobody's password.
const LINE_BYTES_MAX: usize = 1024;

/// What would end sulogin, or stop it.
const SIGNALS: [signal::Signal; 8] = [
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGQUIT,
    signal::SIGTERM,
    signal::SIGALRM,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGTSTP,
];

/// What came of a question.
pub enum Typed {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Control-D, a terminal that was hung up, or nothing in time.
    Nothing,
    /// A signal waits.
    Interrupted,
}

/// A line that is shown while it is typed, within so many seconds (0: at any time).
pub fn line(seconds: u64) -> Typed {
    read(seconds, None)
}

/// A line that is not shown.
pub fn hidden_line(seconds: u64) -> Typed {
    let signals = SignalFd::new(&SIGNALS).ok();
    let hidden = Hidden::begin();
    let typed = read(seconds, signals.as_ref());
    drop(hidden);
    signal::unblock_all();
    typed
}

fn read(seconds: u64, signals: Option<&SignalFd>) -> Typed {
    let until = (seconds > 0).then(|| clock::after_ms(seconds.saturating_mul(1000)));
    let mut line = Vec::new();
    loop {
        let left = until.map(|until| clock::timespec(until.saturating_sub(clock::boot_ns())));
        let keys = stdin();
        let mut fds = vec![PollFd::new(&keys, PollFlags::IN)];
        fds.extend(signals.map(|signals| PollFd::new(signals, PollFlags::IN)));
        match poll(&mut fds, left.as_ref()) {
            Ok(1..) | Err(Errno::INTR) => {}
            _ => return Typed::Nothing,
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            return Typed::Interrupted;
        }
        // One byte at a time: where this is no terminal, what follows is for the shell.
        let mut byte = [0];
        match rustix::io::read(keys, &mut byte) {
            Ok(1..) if byte == *b"\n" => return Typed::Line(line),
            Ok(1..) if line.len() < LINE_BYTES_MAX => line.push(byte[0]),
            Ok(1..) | Err(Errno::INTR | Errno::AGAIN) => {}
            _ => return Typed::Nothing,
        }
    }
}

/// A terminal without echo, whose keys send no signals.
struct Hidden {
    before: Option<Termios>,
}

impl Hidden {
    fn begin() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
            hidden.local_modes |= LocalModes::ECHONL;
            // What was typed before the question is no answer, and would be shown.
            let _ = tcsetattr(stdin(), OptionalActions::Flush, &hidden);
        }
        Self { before }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// A guess costs at least this (ns): the dialogue waits before the next one, and a signal ends
/// it at once.
const PAUSE: u64 = 2_000_000_000;

/// Waits after a wrong password.
pub fn pause() {
    let _ = poll(&mut [], Some(&clock::timespec(PAUSE)));
}
