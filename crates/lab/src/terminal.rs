//! The user's terminal as the machine's console: raw while the machine runs, and
//! as it was before on every way out, be it the machine's end or a signal.
//!
//! Whoever reads what the machine says may stop doing so, for ever: a thread writes
//! it, and until it has, the rest stays with the machine. So signals and keys are
//! heard whatever happens to standard output, and however much the machine says.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read, Stdin, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::machine::{End, Event, Machine};
use crate::report::Marks;

/// The key that makes the next one a word to lab: Ctrl-A, as in QEMU and screen.
const ESCAPE: u8 = 1;

/// What one key after [`ESCAPE`] means.
const LEAVE: u8 = b'x';

/// Connects the terminal with the console until the machine ends; `None` when
/// the user pulled the plug.
pub fn relay(machine: &mut Machine, marks: &mut Marks) -> Result<Option<End>> {
    let stdin = io::stdin();
    let _raw = Raw::enter(&stdin)?;
    if let Ok(size) = tcgetwinsize(&stdin) {
        machine.resize(size);
    }
    let signals = signals()?;
    let mut keys = Keys::default();
    let mut screen = Screen::open()?;
    let mut open = true;
    loop {
        machine.hold_console(screen.is_behind());
        let also = [signals.as_fd(), screen.shown.as_fd(), stdin.as_fd()];
        let also = also.get(..2 + usize::from(open)).unwrap_or_default();
        match machine.next(also, None)? {
            Event::Console(bytes) => screen.show(bytes),
            Event::Result { line, at } => marks.take(&line, at.since(machine.started())),
            Event::End(end) => return screen.finish(&signals).map(|()| Some(end)),
            Event::Timeout => {}
            Event::Other(0) => bail!(STOPPED),
            Event::Other(1) => screen.go_on()?,
            Event::Other(_) => match keys.read(&stdin)? {
                Typed::Text(text) => machine.send(&text)?,
                Typed::End => open = false,
                Typed::Leave => return Ok(None),
            },
        }
    }
}

/// Why lab ends before the machine.
const STOPPED: &str = "stopped by a signal";

/// Standard output, which may take as long as it likes.
struct Screen {
    /// To the thread that writes, one piece at a time.
    pieces: Sender<Vec<u8>>,
    /// From it, a byte for each piece that was written; its end for a failure.
    shown: UnixStream,
    is_busy: bool,
    waiting: VecDeque<Vec<u8>>,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let (shown, mut tell) = UnixStream::pair()?;
        let (pieces, todo) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            let mut out = io::stdout();
            let mut show = |piece: Vec<u8>| {
                out.write_all(&piece)?;
                out.flush()?;
                tell.write_all(&[0])
            };
            todo.into_iter().try_for_each(&mut show)
        });
        Ok(Self {
            pieces,
            shown,
            is_busy: false,
            waiting: VecDeque::new(),
        })
    }

    fn is_behind(&self) -> bool {
        self.is_busy
    }

    fn show(&mut self, piece: Vec<u8>) {
        self.waiting.push_back(piece);
        self.write_next();
    }

    fn write_next(&mut self) {
        if !self.is_busy
            && let Some(piece) = self.waiting.pop_front()
        {
            // A thread that has gone has closed its end, which is seen next.
            drop(self.pieces.send(piece));
            self.is_busy = true;
        }
    }

    /// The thread has something to tell.
    fn go_on(&mut self) -> Result<()> {
        let told = self.shown.read_exact(&mut [0]);
        told.context("write to standard output")?;
        self.is_busy = false;
        self.write_next();
        Ok(())
    }

    /// Waits until everything is written, or a signal ends the wait.
    fn finish(&mut self, signals: &UnixStream) -> Result<()> {
        while self.is_busy {
            let mut fds = [
                PollFd::new(signals, PollFlags::IN),
                PollFd::new(&self.shown, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            if !fds[0].revents().is_empty() {
                bail!(STOPPED);
            }
            self.go_on()?;
        }
        Ok(())
    }
}

/// Readable when somebody wants lab to stop.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// A terminal in raw mode, for as long as the value lives.
struct Raw {
    before: Option<Termios>,
}

impl Raw {
    fn enter(stdin: &Stdin) -> Result<Self> {
        if !stdin.is_terminal() {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Self {
            before: Some(before),
        })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The terminal may be gone, and then nobody minds.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// What the user typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Text(Vec<u8>),
    End,
    Leave,
}

/// Tells text from words to lab.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    fn read(&mut self, stdin: &Stdin) -> io::Result<Typed> {
        let mut bytes = [0; 1024];
        // Past the library's buffer, of which poll knows nothing.
        let length = rustix::io::retry_on_intr(|| rustix::io::read(stdin, &mut bytes))?;
        if length == 0 {
            return Ok(Typed::End);
        }
        Ok(self.sort(bytes.get(..length).unwrap_or_default()))
    }

    fn sort(&mut self, bytes: &[u8]) -> Typed {
        let mut text = Vec::new();
        for byte in bytes {
            match (self.escaped, *byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, LEAVE) => return Typed::Leave,
                // Twice is once for the machine; any other key means itself.
                (_, other) => {
                    self.escaped = false;
                    text.push(other);
                }
            }
        }
        Typed::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_then_x_leaves() {
        let mut keys = Keys::default();
        assert_eq!(keys.sort(b"ls\x01"), Typed::Text(b"ls".into()));
        assert_eq!(keys.sort(b"x"), Typed::Leave);
        let mut keys = Keys::default();
        assert_eq!(keys.sort(b"\x01\x01x\x01q"), Typed::Text(b"\x01xq".into()));
    }
}
