//! The files of one supervised service, seen from outside: `supervise/ok`,
//! `status` and `control`. Nothing here blocks: fifos are opened without waiting
//! for the other side, so a stale one answers at once.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::control::text::{self, Own};
use model::control::{self, Action};
use model::format::crash_loop::CrashLoop;
use model::format::state;
use model::format::state::last::Last;
use model::format::state::ready::Ready;
use model::format::state::reason::Reason;
use model::format::state::status_text::StatusText;
use model::format::status::{Phase, Status};
use model::time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, OFlags, stat, statat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::directories::{default_scan_directory, locate, lost};
use super::output::Output;
use super::reason::reason;
use crate::service_entries::{self, Entries};
use crate::sys::{guarded, pidfd};
use crate::{personality, state_rooms, supervised, sys};

/// What is tried before all else, and fails where there is no such service.
const ENTER: &str = "change to service directory";
/// What is tried first, and fails where no supervisor runs.
const OPEN_OK: &str = "open supervise/ok";
/// After so many reads, a status is accepted even if no two reads were equal.
const READS_MAX: u32 = 8;

/// Why a service could not be asked or commanded.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// No supervisor runs.
    Dead,
    /// A file is missing that a supervisor makes: what was tried.
    Missing(&'static str),
    /// Something failed: the severity, what was tried, and the error of the system call;
    /// without one, a file has a bad format.
    Failed(&'static str, &'static str, Option<Errno>),
}

impl Trouble {
    fn fail(attempt: &'static str, e: Errno) -> Self {
        Self::Failed("fail: ", attempt, Some(e))
    }

    fn warning(attempt: &'static str, e: Errno) -> Self {
        match e {
            Errno::NOENT => Self::Missing(attempt),
            _ => Self::Failed("warning: ", attempt, Some(e)),
        }
    }

    /// What is said of a service that is needed, if it is not there or no supervisor has it.
    pub fn absence(&self) -> Option<&'static str> {
        match self {
            Self::Failed(_, ENTER, Some(Errno::NOENT)) => Some("is not enabled"),
            Self::Dead | Self::Missing(_) => Some("has no supervisor yet"),
            Self::Failed(..) => None,
        }
    }

    /// Whether this is the purpose of the action.
    pub fn is_success_of(&self, action: &Action) -> bool {
        matches!(self, Self::Dead) && action.ends_supervisor()
    }

    /// The line that tells it, in runit's words or busybox's.
    pub fn line(&self, name: &[u8]) -> Vec<u8> {
        match self {
            // busybox checks for the wrong error here, so its own message never appears.
            Self::Dead if personality::is_busybox() => {
                Self::Failed("warning: ", OPEN_OK, Some(Errno::NXIO)).line(name)
            }
            Self::Dead => [b"fail: ", name, b": runsv not running\n"].concat(),
            Self::Missing(attempt) => {
                Self::Failed("warning: ", attempt, Some(Errno::NOENT)).line(name)
            }
            Self::Failed(severity, attempt, errno) => {
                let reason = errno.map_or("bad format".to_owned(), reason);
                let unable = personality::pick("unable to", "can't");
                let text = format!(": {unable} {attempt}: {reason}\n");
                [severity.as_bytes(), name, text.as_bytes()].concat()
            }
        }
    }

    /// A hint beside the line: where sv looked for a service that does not exist, or where its
    /// link leads.
    pub fn hint(&self, name: &[u8]) -> Option<String> {
        let is_missing = matches!(self, Self::Failed(_, ENTER, Some(Errno::NOENT)));
        if !is_missing || name.is_empty() || control::is_path(name) {
            return None;
        }
        if let Some(lost) = lost(&locate(name)) {
            return Some(lost);
        }
        let name = name.escape_ascii();
        let (dir, why) = match std::env::var_os("SVDIR") {
            Some(dir) if dir.is_empty() => {
                return Some("SVDIR is empty; it names the directory of services".into());
            }
            Some(dir) => (dir, "from SVDIR"),
            None => (default_scan_directory().into(), "SVDIR is unset"),
        };
        let shown = dir.as_bytes().escape_ascii();
        Some(match stat(&*dir) {
            Err(Errno::NOENT) => format!("{shown} does not exist ({why})"),
            _ => format!("{name} is not in {shown} ({why})"),
        })
    }

    /// As [`Trouble::line`], after an action that may have been meant to end the supervisor.
    pub fn line_after(&self, action: &Action, name: &[u8]) -> Vec<u8> {
        if self.is_success_of(action) {
            [b"ok: ", name, b": runsv not running\n"].concat()
        } else {
            self.line(name)
        }
    }
}

/// A service whose supervisor runs, as far as can be known.
pub struct Service {
    dir: PathBuf,
    /// The same, held open: its files are looked up from here, not from the root.
    home: OwnedFd,
    /// Where `supervise` is instead, if the directory could not be written to.
    room: Option<(PathBuf, OwnedFd)>,
    /// `supervise/ok`, which reports an error when the supervisor ends.
    ok: Option<OwnedFd>,
    /// We may not open `supervise/ok`.
    is_refused: bool,
    is_supervised: Option<bool>,
    /// There may be others that stop before it: its supervisor says so, or never says it.
    pub may_be_named: bool,
}

impl Service {
    /// Finds the service of an operand and connects to its supervisor.
    pub fn named(name: &[u8]) -> Result<Self, Trouble> {
        let dir = locate(name);
        if name.is_empty() || dir.as_os_str().is_empty() {
            return Err(Trouble::fail(ENTER, Errno::NOENT));
        }
        let here = dir.join(".");
        let home = service_entries::open(CWD, &here).map_err(|e| Trouble::fail(ENTER, e))?;
        Self::connect(dir, home)
    }

    fn connect(dir: PathBuf, home: OwnedFd) -> Result<Self, Trouble> {
        let found = match state_rooms::open_ok(home.as_fd()) {
            Ok(found) => found,
            Err(Errno::NXIO) => return Err(Trouble::Dead),
            Err(e) => return Err(Trouble::warning(OPEN_OK, e)),
        };
        let is_supervised = found.lives(home.as_fd());
        if is_supervised == Some(false) {
            return Err(Trouble::Dead);
        }
        let (ok, fifo) = found.ok.unzip();
        Ok(Self {
            dir,
            home,
            room: found.room,
            // The status may still be readable.
            is_refused: ok.is_none(),
            is_supervised,
            may_be_named: fifo.is_some_and(|fifo| guarded::may_be_marked(&fifo)),
            ok,
        })
    }

    /// Whether a supervisor ran when this was found; `None`: that could not be known.
    pub const fn is_supervised(&self) -> Option<bool> {
        self.is_supervised
    }

    /// The log service, if there is one.
    pub fn log(&self, entries: Entries) -> Result<Option<Self>, Trouble> {
        if !entries.log {
            return Ok(None);
        }
        match service_entries::open(&self.home, Path::new("log/.")) {
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(Trouble::warning("change directory", e)),
            Ok(home) => Self::connect(self.dir.join("log"), home).map(Some),
        }
    }

    /// The service directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory that holds `supervise`, and its path.
    pub fn state(&self) -> (&OwnedFd, &Path) {
        match &self.room {
            Some((path, room)) => (room, path),
            None => (&self.home, &self.dir),
        }
    }

    /// What the supervisor last wrote about the service.
    pub fn status(&self) -> Result<Status, Trouble> {
        const OPEN: &str = "open supervise/status";
        const READ: &str = "read supervise/status";
        let file = match guarded::to_read(self.state().0, c"supervise/status") {
            Ok(found) => found.file,
            // A fifo or a device, in which there is nothing to read.
            Err(Errno::SPIPE) => return Err(Trouble::Failed("warning: ", READ, None)),
            // If neither can be opened, the message names the first.
            Err(e @ Errno::ACCESS) if self.is_refused => {
                return Err(Trouble::warning(OPEN_OK, e));
            }
            Err(e @ Errno::ISDIR) => return Err(Trouble::warning(READ, e)),
            Err(e) => return Err(Trouble::warning(OPEN, e)),
        };
        let (n, record) = read_whole::<20>(&file).map_err(|e| Trouble::warning(READ, e))?;
        if n == 0 && self.is_refused {
            // A new supervisor has not written one yet.
            return Err(Trouble::Missing(OPEN));
        }
        let status = Status::decode(&record).filter(|_| n == record.len());
        let status = status.ok_or(Trouble::Failed("warning: ", READ, None))?;
        self.confirm(&status).map(|()| status)
    }

    /// Without the fifo no word comes when the supervisor ends: what it left behind is not
    /// taken for a status of now.
    fn confirm(&self, status: &Status) -> Result<(), Trouble> {
        if !self.is_refused {
            return Ok(());
        }
        let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw);
        match supervised::lives(self.state().0.as_fd()) {
            Some(false) => Err(Trouble::Dead),
            None if pid.is_some_and(pidfd::is_gone) => {
                Err(Trouble::warning(OPEN_OK, Errno::ACCESS))
            }
            Some(true) | None => Ok(()),
        }
    }

    /// What there may be in the directory now.
    pub fn entries(&self) -> Entries {
        Entries::of(self.home.as_fd())
    }

    /// The text of a status, without the end of line.
    pub fn describe(
        &self,
        name: &[u8],
        status: &Status,
        entries: Entries,
        out: &mut Output,
    ) -> Vec<u8> {
        let normally_up = self.is_normally_up(entries);
        if let Err(e) = normally_up {
            let down = self.dir.join("down");
            out.warn(&format!("unable to stat {}: {}", down.display(), reason(e)));
        }
        let mut text = text::describe(name, status, normally_up.ok(), sys::clock::wall());
        if let Some(crash_loop) = self.crash_loop(status, entries) {
            text.extend(crash_loop.remark(Instant(sys::clock::boot_ns())).bytes());
        }
        text.extend(self.own(status, entries).remarks(status).bytes());
        text
    }

    /// Whether there is no file `down`.
    pub fn is_normally_up(&self, entries: Entries) -> Result<bool, Errno> {
        if !entries.down {
            return Ok(true);
        }
        match statat(&self.home, c"down", AtFlags::empty()) {
            Ok(_) => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// The crash loop that it is in: a service that is wanted down is in none, and one
    /// without `backoff` shows none.
    pub fn crash_loop(&self, status: &Status, entries: Entries) -> Option<CrashLoop> {
        let may_loop = status.want_up && entries.may_hold("backoff");
        may_loop
            .then(|| self.line(c"supervise/crash-loop", CrashLoop::decode))
            .flatten()
    }

    /// What our own files may add to a status: of a plain service, none is looked for.
    pub fn own(&self, status: &Status, entries: Entries) -> Own {
        let runs = status.phase == Phase::Run && status.pid != 0;
        let tells = entries.may_hold("notify");
        let is_told = runs && (tells || entries.may_hold("notification-fd"));
        let gives_up = ["restart", "give-up"].map(|name| entries.may_hold(name));
        let may_give_up = entries.setup || gives_up.contains(&true);
        Own {
            ready: is_told.then(|| self.ready()).flatten(),
            reason: text::may_be_held(status).then(|| self.reason()).flatten(),
            last: (may_give_up && text::may_have_given_up(status))
                .then(|| self.last())
                .flatten(),
            told: (runs && tells)
                .then(|| self.line(c"supervise/status-text", StatusText::decode))
                .flatten(),
        }
    }

    /// Whether the present run is ready, as far as its supervisor knows that.
    pub fn ready(&self) -> Option<Ready> {
        self.line(c"supervise/ready", Ready::decode)
    }

    /// One of our own files of one line.
    fn line<T>(&self, name: &CStr, decode: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let found = guarded::to_read(self.state().0, name).ok()?;
        let (n, line) = read_whole::<{ state::BYTES_MAX + 1 }>(&found.file).ok()?;
        decode(line.get(..n)?)
    }

    /// How the last run ended.
    pub fn last(&self) -> Option<Last> {
        self.line(c"supervise/last", Last::decode)
    }

    /// What the supervisor last wrote about what holds it up, or when KILL comes.
    pub fn reason(&self) -> Option<Reason> {
        self.line(c"supervise/reason", Reason::decode)
    }

    /// The way to command the supervisor.
    pub fn control(&self) -> Result<Control, Trouble> {
        match open_fifo(self.state().0, c"supervise/control") {
            Ok(fifo) => Ok(Control { fifo }),
            Err(Errno::NXIO) => Err(Trouble::Dead),
            Err(e) => Err(Trouble::warning("open supervise/control", e)),
        }
    }

    /// A descriptor that reports an error when the supervisor ends.
    pub fn lifeline(&self) -> Option<&OwnedFd> {
        self.ok.as_ref()
    }

    /// That descriptor alone.
    pub fn into_lifeline(self) -> Option<OwnedFd> {
        self.ok
    }

    /// Closes that descriptor: [`Control::lifeline`] does, too.
    pub fn drop_lifeline(&mut self) {
        self.ok = None;
    }
}

/// The writing end of `supervise/control`.
pub struct Control {
    fifo: OwnedFd,
}

impl Control {
    /// Sends commands.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Trouble> {
        match rustix::io::write(&self.fifo, bytes) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE) => Err(Trouble::Dead),
            Err(e) => Err(Trouble::warning("write to supervise/control", e)),
        }
    }

    /// Whether the supervisor has read all that was sent.
    pub fn is_read(&self) -> bool {
        rustix::io::ioctl_fionread(&self.fifo).is_ok_and(|n| n == 0)
    }

    /// As [`Service::lifeline`].
    pub fn lifeline(&self) -> &OwnedFd {
        &self.fifo
    }
}

/// The beginning of a file that its supervisor writes in place: if two reads are equal,
/// it is complete.
fn read_whole<const N: usize>(file: &OwnedFd) -> Result<(usize, [u8; N]), Errno> {
    let read = || {
        let mut bytes = [0; N];
        rustix::io::pread(file, &mut bytes, 0).map(|n| (n, bytes))
    };
    let mut last = read()?;
    for _ in 0..READS_MAX {
        let again = read()?;
        if std::mem::replace(&mut last, again) == again {
            break;
        }
    }
    Ok(last)
}

/// Whether nobody has the other end of a fifo open any more.
pub fn is_dead(fifo: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fifo, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok_and(|n| n > 0)
}

fn open_fifo(home: &OwnedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    guarded::fifo(home, path, OFlags::WRONLY)
}
