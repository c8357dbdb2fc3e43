//! The terminal: its owner, its mode and its settings.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::options::Parsed;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{getpid, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector,
    SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr, tcsetpgrp,
};

use super::{Failure, failure};
use crate::sys::line;

/// The owner may read and write. The group (tty) may write, for write(1) and wall(1).
const MODE: u32 = 0o620;

/// The terminal on standard input and output.
pub struct Terminal {
    line: BorrowedFd<'static>,
    path: Vec<u8>,
    attributes: Termios,
    /// The byte that ended the name. If it is CR, the terminal must map CR to a newline.
    pub newline: u8,
}

/// Starts a session. If getty leads one already, it gives up that session's terminal: only
/// a session without a terminal can take another one.
pub fn lead_session() -> Result<(), Failure> {
    let Err(error) = setsid() else { return Ok(()) };
    if !line::leads_session() {
        return Err(format!(
            "start a session: {error}; run getty from a supervisor, or as `setsid getty ...`"
        ));
    }
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if let Ok(old) = rustix::fs::open("/dev/tty", flags, Mode::empty()) {
        // If this fails, claiming the new terminal reports it.
        drop(line::give_up(old));
    }
    Ok(())
}

impl Terminal {
    /// Opens the terminal, makes it the controlling terminal, and makes it standard input,
    /// output and error.
    pub fn claim(tty: &[u8]) -> Result<Self, Failure> {
        let path = if tty == b"-" {
            adopt_stdin()?
        } else {
            open(tty)?
        };
        let fail = |attempt, error: Errno| failure(&path, attempt, error);
        let blocking = rustix::fs::fcntl_getfl(stdin())
            .and_then(|flags| rustix::fs::fcntl_setfl(stdin(), flags - OFlags::NONBLOCK));
        blocking.map_err(|e| fail("make it wait for input", e))?;
        dup2_stdout(stdin()).map_err(|e| fail("put it on standard output", e))?;
        dup2_stderr(stdin()).map_err(|e| fail("put it on standard error", e))?;
        line::take(stdin()).map_err(|e| failure(&path, "make it the controlling terminal", e))?;
        tcsetpgrp(stdin(), getpid()).map_err(|e| fail("come to its foreground", e))?;
        let attributes = tcgetattr(stdin()).map_err(|e| fail("read its settings", e))?;
        Ok(Self {
            line: stdin(),
            path,
            attributes,
            newline: b'\r',
        })
    }

    /// The descriptor.
    pub fn line(&self) -> BorrowedFd<'static> {
        self.line
    }

    /// The path, as far as it is known.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The name without /dev/.
    pub fn name(&self) -> &[u8] {
        self.path.strip_prefix(b"/dev/").unwrap_or(&self.path)
    }

    /// Sets raw mode: input comes byte by byte, with eight bits, and nothing is echoed or
    /// interpreted. Only a line feed is sent as CR LF. Stop bits and parity stay the same.
    pub fn make_raw(&mut self, options: &Parsed) -> Result<(), Failure> {
        let a = &mut self.attributes;
        a.control_modes -= ControlModes::CSIZE | ControlModes::CLOCAL | ControlModes::CRTSCTS;
        a.control_modes |= ControlModes::CS8 | ControlModes::HUPCL | ControlModes::CREAD;
        a.control_modes.set(ControlModes::CLOCAL, options.has(b'L'));
        a.control_modes
            .set(ControlModes::CRTSCTS, options.has(b'h'));
        // Somebody may have set the line to UTF-8: that stays.
        a.input_modes &= InputModes::IUTF8;
        a.local_modes = LocalModes::empty();
        a.output_modes = OutputModes::OPOST | OutputModes::ONLCR;
        a.special_codes[SpecialCodeIndex::VMIN] = 1;
        a.special_codes[SpecialCodeIndex::VTIME] = 0;
        a.line_discipline = 0;
        self.apply()
    }

    /// Sets the speed; 0 keeps it.
    pub fn set_speed(&mut self, baud: u32) -> Result<(), Failure> {
        if baud > 0 {
            self.attributes
                .set_speed(baud)
                .map_err(|e| failure(&self.path, &format!("set its speed to {baud}"), e))?;
        }
        self.apply()
    }

    /// Sets the key that erases a character.
    pub fn set_erase_key(&mut self, key: u8) {
        self.attributes.special_codes[SpecialCodeIndex::VERASE] = key;
    }

    /// Sets cooked mode: whole lines, echo, and the usual keys. Then begins a new line.
    pub fn make_cooked(&mut self) -> Result<(), Failure> {
        let a = &mut self.attributes;
        a.input_modes |= InputModes::IXON | InputModes::IXOFF;
        a.input_modes.set(InputModes::ICRNL, self.newline == b'\r');
        a.local_modes |= LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::ECHO
            | LocalModes::ECHOE
            | LocalModes::ECHOK
            | LocalModes::ECHOKE
            | LocalModes::ECHOCTL;
        a.special_codes[SpecialCodeIndex::VINTR] = 0x03;
        a.special_codes[SpecialCodeIndex::VQUIT] = 0x1c;
        a.special_codes[SpecialCodeIndex::VEOF] = 0x04;
        a.special_codes[SpecialCodeIndex::VKILL] = 0x15;
        a.special_codes[SpecialCodeIndex::VEOL] = b'\n';
        a.special_codes[SpecialCodeIndex::VSWTC] = 0;
        self.apply()?;
        self.write(b"\n");
        Ok(())
    }

    fn apply(&self) -> Result<(), Failure> {
        match tcsetattr(self.line, OptionalActions::Now, &self.attributes) {
            // The line was hung up: the next read finds that out.
            Ok(()) | Err(Errno::IO) => Ok(()),
            Err(error) => Err(failure(&self.path, "set it up", error)),
        }
    }

    /// Drops all input that has come so far.
    pub fn flush_input(&self) {
        let _ = tcflush(self.line, QueueSelector::IFlush);
    }

    /// Shows bytes. If the line takes none, it was hung up: the next read finds that out.
    pub fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(self.line, bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Opens the terminal as standard input. Sets owner and mode as if nobody were logged in.
fn open(tty: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = match tty {
        [b'/', ..] => tty.to_vec(),
        name => [b"/dev/", name].concat(),
    };
    // Do not wait for the carrier, and do not make it the controlling terminal yet.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = Path::new(std::ffi::OsStr::from_bytes(&path));
    let fd = rustix::fs::open(file, flags, Mode::empty()).map_err(|e| failure(&path, "open", e))?;
    if !rustix::termios::isatty(&fd) {
        return Err(failure(&path, "open", "not a terminal"));
    }
    // An ordinary user may not do this, and stays the owner.
    let _ = rustix::fs::fchown(&fd, Some(Uid::ROOT), Some(Gid::ROOT));
    let _ = rustix::fs::fchmod(&fd, Mode::from_raw_mode(MODE));
    dup2_stdin(&fd).map_err(|e| failure(&path, "put it on standard input", e))?;
    Ok(path)
}

/// Takes the terminal that standard input already is. Returns its path, or `-`.
fn adopt_stdin() -> Result<Vec<u8>, Failure> {
    let flags = rustix::fs::fcntl_getfl(stdin())
        .map_err(|e| failure(b"standard input", "look at it", e))?;
    if flags & OFlags::RWMODE != OFlags::RDWR {
        return Err("standard input: not open for reading and writing".to_owned());
    }
    if !rustix::termios::isatty(stdin()) {
        return Err("standard input: not a terminal".to_owned());
    }
    Ok(rustix::termios::ttyname(stdin(), Vec::new())
        .map_or_else(|_| b"-".to_vec(), std::ffi::CString::into_bytes))
}
