//! The user's terminal as the machine's console: raw while the machine runs, and
//! as it was before on every way out, be it the machine's end or a signal.

use std::io::{self, IsTerminal, Stdin, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Result, bail};
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
    let mut open = true;
    loop {
        let also = [signals.as_fd(), stdin.as_fd()];
        let also = also.get(..1 + usize::from(open)).unwrap_or_default();
        match machine.next(also, None)? {
            Event::Console(bytes) => show(&bytes)?,
            Event::Result { line, at } => marks.take(&line, at.since(machine.started())),
            Event::End(end) => return Ok(Some(end)),
            Event::Timeout => {}
            Event::Other(0) => bail!("stopped by a signal"),
            Event::Other(_) => match keys.read(&stdin)? {
                Typed::Text(text) => machine.send(&text)?,
                Typed::End => open = false,
                Typed::Leave => return Ok(None),
            },
        }
    }
}

fn show(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
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
