//! The line: who owns it, and how it is set.

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

/// Owner may read and write, the group (tty) may write: as write(1) and wall(1) need it.
const MODE: u32 = 0o620;

/// The terminal on standard input and output.
pub struct Terminal {
    line: BorrowedFd<'static>,
    path: Vec<u8>,
    attributes: Termios,
    /// The byte that ended the name: a terminal that sends CR needs it mapped.
    pub newline: u8,
}

/// Starts a session; one that is led already gives up its terminal, for only
/// a session without one may take another.
pub fn lead_session() -> Result<(), Failure> {
    let Err(error) = setsid() else { return Ok(()) };
    if !line::leads_session() {
        return Err(format!(
            "start a session: {error}; run getty from a supervisor, or as `setsid getty ...`"
        ));
    }
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if let Ok(old) = rustix::fs::open("/dev/tty", flags, Mode::empty()) {
        // If it fails, taking the new one will tell.
        drop(line::give_up(old));
    }
    Ok(())
}

impl Terminal {
    /// Opens the terminal, makes it the controlling one, and puts it on
    /// standard input, output and error.
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

    /// Its descriptor.
    pub fn line(&self) -> BorrowedFd<'static> {
        self.line
    }

    /// Its path, as far as it is known.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its name without /dev/.
    pub fn name(&self) -> &[u8] {
        self.path.strip_prefix(b"/dev/").unwrap_or(&self.path)
    }

    /// Byte by byte, eight bits, nothing echoed or interpreted; only a line feed
    /// goes out as CR LF. Stop bits and parity stay as they are.
    pub fn make_raw(&mut self, options: &Parsed) -> Result<(), Failure> {
        let a = &mut self.attributes;
        a.control_modes -= ControlModes::CSIZE | ControlModes::CLOCAL | ControlModes::CRTSCTS;
        a.control_modes |= ControlModes::CS8 | ControlModes::HUPCL | ControlModes::CREAD;
        a.control_modes.set(ControlModes::CLOCAL, options.has(b'L'));
        a.control_modes
            .set(ControlModes::CRTSCTS, options.has(b'h'));
        // Whoever set up the line as UTF-8 knows better than a default.
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

    /// The key that rubs out.
    pub fn set_erase_key(&mut self, key: u8) {
        self.attributes.special_codes[SpecialCodeIndex::VERASE] = key;
    }

    /// Line by line, echoed, with the usual keys; and a new line.
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
            // The line was hung up: reading will tell.
            Ok(()) | Err(Errno::IO) => Ok(()),
            Err(error) => Err(failure(&self.path, "set it up", error)),
        }
    }

    /// Forgets what came in so far.
    pub fn flush_input(&self) {
        let _ = tcflush(self.line, QueueSelector::IFlush);
    }

    /// Shows bytes. A line that does not take them has hung up, and reading will tell.
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

/// Opens the terminal on standard input, with owner and mode as for nobody's login.
fn open(tty: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = match tty {
        [b'/', ..] => tty.to_vec(),
        name => [b"/dev/", name].concat(),
    };
    // Not to wait for the carrier, nor to get it as controlling terminal by chance.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = Path::new(std::ffi::OsStr::from_bytes(&path));
    let fd = rustix::fs::open(file, flags, Mode::empty()).map_err(|e| failure(&path, "open", e))?;
    if !rustix::termios::isatty(&fd) {
        return Err(failure(&path, "open", "not a terminal"));
    }
    // An ordinary user's own terminal stays the user's.
    let _ = rustix::fs::fchown(&fd, Some(Uid::ROOT), Some(Gid::ROOT));
    let _ = rustix::fs::fchmod(&fd, Mode::from_raw_mode(MODE));
    dup2_stdin(&fd).map_err(|e| failure(&path, "put it on standard input", e))?;
    Ok(path)
}

/// Takes the terminal that standard input already is; its path, or `-`.
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
