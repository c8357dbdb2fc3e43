//! Writes rendered bytes to `current`, rotates it, and handles failures of both.
//!
//! Normally bytes are written at once. Otherwise they wait in a backlog. If they wait for a
//! slow processor or for a full pipe, svlogd also stops reading, for a bounded time. If the
//! disk is full, or nobody reads the pipe, svlogd goes on reading; it drops what does not
//! fit into the bounded backlog, and reports how much that was. So neither a disk nor a
//! pipe stops the service for ever.

use std::io;
use std::os::fd::BorrowedFd;

use model::format::svlogd_config::Config;
use model::lines::count;
use model::rotate::{Limit, Step};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::WaitStatus;

use super::SPEC;
use super::archive::Archive;
use super::store::Store;
use super::voice::Voice;
use crate::sys::{clock, spawn};

/// How many bytes may wait for a full disk.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024;
/// The pause after a failed write.
const RETRY_NS: u64 = 1_000_000_000;
/// How long svlogd waits for a pipe that takes nothing, before it drops lines.
pub const PIPE_PATIENCE_NS: u64 = 1_000_000_000;

/// Writes the files of one directory. It keeps the backlog also while that is closed.
pub struct Writer {
    voice: Voice,
    open: Option<Open>,
    archive: Archive,
    /// Lines that could not be written yet; they outlive a HUP.
    backlog: Vec<u8>,
    dropped_lines: u64,
}

/// What exists while the directory is open.
struct Open {
    store: Store,
    config: Config,
    limit: Limit,
    /// `current` must be rotated before anything else is written.
    rotation_due: bool,
    /// When `current` gets too old.
    rotate_at: Option<u64>,
    stuck: Option<Stuck>,
}

/// Why lines wait.
enum Stuck {
    /// They wait for the processor.
    Held,
    /// They wait for room in a pipe.
    Blocked { until: u64 },
    /// They wait for the next attempt to write.
    Failed { retry_at: u64 },
}

/// Why a part was not written.
enum Stop {
    Held,
    Blocked,
    Failed(io::Error),
}

impl Writer {
    /// Nothing is open yet.
    pub fn new(voice: Voice) -> Self {
        Self {
            archive: Archive::new(voice.clone()),
            voice,
            open: None,
            backlog: Vec::new(),
            dropped_lines: 0,
        }
    }

    /// Takes an opened directory. Only the first `line_max` bytes of a line decide about it.
    pub fn open(&mut self, mut store: Store, config: Config, line_max: usize) -> io::Result<()> {
        self.archive.open(&mut store, &config)?;
        let size = store.size();
        self.voice
            .tell(format_args!("opened, current has {size} bytes"));
        self.open = Some(Open {
            limit: Limit {
                size_max: if store.rotates() { config.size_max } else { 0 },
                line_max: line_max as u64,
            },
            rotation_due: false,
            rotate_at: age_deadline(&config),
            stuck: (!self.backlog.is_empty()).then_some(Stuck::Failed { retry_at: 0 }),
            store,
            config,
        });
        Ok(())
    }

    /// Goes on without the directory, because it cannot be opened.
    pub fn leave_out(&mut self) {
        self.archive.clear();
    }

    /// Whether the directory is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Writes bytes, or keeps them for later.
    pub fn write(&mut self, bytes: &[u8]) {
        let Some(open) = &self.open else { return };
        if open.stuck.is_some() {
            return self.keep(bytes);
        }
        let (written, stop) = self.put(bytes);
        self.settle(stop, written > 0);
        self.keep(bytes.get(written..).unwrap_or_default());
    }

    /// Notes why not all was written.
    fn settle(&mut self, stop: Option<Stop>, progress: bool) {
        let Some(open) = &mut self.open else { return };
        let now = clock::boot_ns();
        let before = open.stuck.take();
        let failed = matches!(before, Some(Stuck::Failed { .. }));
        let retry_at = now.saturating_add(RETRY_NS);
        open.stuck = match (stop, before) {
            (None, _) => None,
            (Some(Stop::Held), _) => Some(Stuck::Held),
            (Some(Stop::Blocked), Some(Stuck::Blocked { until })) if !progress && until > now => {
                Some(Stuck::Blocked { until })
            }
            (Some(Stop::Blocked), before)
                if progress || matches!(before, None | Some(Stuck::Held)) =>
            {
                let until = now.saturating_add(PIPE_PATIENCE_NS);
                Some(Stuck::Blocked { until })
            }
            (Some(stop), _) => {
                if !failed {
                    self.voice.say(format_args!(
                        "write: {}; keeping up to {BACKLOG_BYTES_MAX} bytes in memory and trying again each second",
                        stop.reason()
                    ));
                }
                Some(Stuck::Failed { retry_at })
            }
        };
    }

    /// Writes and rotates until something stops it. Returns how many bytes were written.
    fn put(&mut self, bytes: &[u8]) -> (usize, Option<Stop>) {
        let mut written = 0;
        loop {
            let rest = bytes.get(written..).unwrap_or_default();
            match self.put_step(rest) {
                Ok(Some(n)) => written += n,
                Ok(None) => return (written, None),
                Err(Stop::Failed(e)) if is_full(&e) && self.make_room() => {}
                Err(Stop::Failed(e)) if is_too_large(&e) && self.begin_another() => {}
                Err(stop) => return (written, Some(stop)),
            }
        }
    }

    /// Does one rotation, or writes at least one byte. `None`: all is done.
    fn put_step(&mut self, rest: &[u8]) -> Result<Option<usize>, Stop> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        if open.rotation_due {
            self.rotate()?;
            return Ok(Some(0));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let (part, then_rotate) = match open.limit.step(open.store.size(), rest) {
            Step::Write(n) => (n, false),
            Step::WriteAndRotate(n) => (n, true),
            Step::Rotate => (0, true),
        };
        let mut written = 0;
        if part > 0 {
            let part = rest.get(..part).unwrap_or(rest);
            written = open.store.write(part).map_err(Stop::from)?;
        }
        open.rotation_due = then_rotate && written == part;
        Ok(Some(written))
    }

    fn rotate(&mut self) -> Result<(), Stop> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.rotate_at = age_deadline(&open.config);
        if self.archive.holds(&open.config) {
            return Err(Stop::Held);
        }
        let rotated = open.store.rotate().map_err(Stop::Failed)?;
        open.rotation_due = false;
        match rotated {
            Some(log) => self.archive.push(log, &open.store, &open.config),
            None => self
                .voice
                .say("current was removed by somebody; a new one is begun"),
        }
        Ok(())
    }

    fn make_room(&mut self) -> bool {
        let Some(open) = &self.open else { return false };
        self.archive.make_room(&open.store, &open.config)
    }

    /// `current` may not grow: a limit (`ulimit -f`) or the file system says so. The next one
    /// may, unless not even an empty one can.
    fn begin_another(&mut self) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let grew = open.store.rotates() && open.store.size() > 0 && !open.rotation_due;
        open.rotation_due |= grew;
        grew
    }

    /// Tries to write the backlog.
    fn flush(&mut self) {
        let was_failing = self.is_failing();
        let mut backlog = std::mem::take(&mut self.backlog);
        let (written, stop) = self.put(&backlog);
        // What was kept once stays, also if what came later was dropped.
        backlog.drain(..written);
        self.backlog = backlog;
        self.settle(stop, written > 0);
        if !was_failing || self.is_failing() {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped_lines);
        self.voice
            .say(format_args!("writing again; {dropped} lines were dropped"));
        if dropped > 0 {
            let note = format!("{}: {dropped} lines were dropped here\n", SPEC.name);
            self.write(note.as_bytes());
        }
    }

    /// Puts bytes into the backlog. A held log takes all bytes, because svlogd then stops
    /// reading. For a full disk, the backlog is bounded, and has at most one gap.
    fn keep(&mut self, bytes: &[u8]) {
        let room = match self.is_failing() {
            true if self.dropped_lines > 0 => 0,
            true => BACKLOG_BYTES_MAX.saturating_sub(self.backlog.len()),
            false => bytes.len(),
        };
        if bytes.len() <= room {
            return self.backlog.extend_from_slice(bytes);
        }
        let fits = bytes.get(..room).unwrap_or_default();
        let lines = fits.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let (kept, lost) = bytes.split_at(lines);
        self.backlog.extend_from_slice(kept);
        if self.backlog.last().is_some_and(|b| *b != b'\n') {
            self.backlog.push(b'\n');
        }
        self.dropped_lines = self.dropped_lines.saturating_add(count(lost));
    }

    /// ALRM: rotates unless `current` is empty.
    pub fn force_rotation(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.rotation_due |= open.store.size() > 0;
        if open.stuck.is_none() {
            self.flush();
        }
    }

    /// Does what is due by time: rotates by age, tries again, starts children.
    pub fn tick(&mut self, ending: bool) {
        let now = clock::boot_ns();
        let Some(open) = &mut self.open else { return };
        if open.rotate_at.is_some_and(|at| at <= now) {
            open.rotate_at = age_deadline(&open.config);
            self.force_rotation();
        }
        self.advance(ending);
        let Some(open) = &self.open else { return };
        let try_now = match open.stuck {
            None => false,
            Some(Stuck::Held) => !self.archive.holds(&open.config),
            // One more attempt; if it fails, the wait for the pipe is over.
            Some(Stuck::Blocked { .. }) => true,
            Some(Stuck::Failed { retry_at }) => retry_at <= now,
        };
        if try_now {
            self.flush();
            self.advance(ending);
        }
    }

    fn advance(&mut self, ending: bool) {
        if let Some(open) = &mut self.open {
            self.archive.advance(&mut open.store, &open.config, ending);
        }
    }

    /// Takes the end of a child. Returns whether the child was this log's.
    pub fn reaped(&mut self, pid: spawn::Pid, status: WaitStatus, ending: bool) -> bool {
        let open = self.open.as_mut();
        let open = open.map(|open| (&mut open.store, &open.config));
        self.archive.reaped(pid, status, open, ending)
    }

    /// When [`Writer::tick`] is needed next, in nanoseconds of the boot clock.
    pub fn deadline(&self, ending: bool) -> Option<u64> {
        let open = self.open.as_ref()?;
        let stuck = match open.stuck {
            None => None,
            Some(Stuck::Held) => self.archive.hold_end(),
            Some(Stuck::Blocked { until }) => Some(until),
            Some(Stuck::Failed { retry_at }) => Some(retry_at),
        };
        [open.rotate_at, stuck, self.archive.deadline(ending)]
            .into_iter()
            .flatten()
            .min()
    }

    /// The descriptor that must have room before [`Writer::tick`] can go on.
    pub fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        let open = self.open.as_ref()?;
        match open.stuck {
            Some(Stuck::Blocked { .. }) => open.store.outlet(),
            _ => None,
        }
    }

    /// Whether svlogd must stop reading for now.
    pub fn holds(&self) -> bool {
        let stuck = self.open.as_ref().and_then(|open| open.stuck.as_ref());
        matches!(stuck, Some(Stuck::Held | Stuck::Blocked { .. }))
    }

    fn is_failing(&self) -> bool {
        let stuck = self.open.as_ref().and_then(|open| open.stuck.as_ref());
        matches!(stuck, Some(Stuck::Failed { .. }))
    }

    /// Whether svlogd has nothing left to do here before it ends.
    pub fn is_idle(&self) -> bool {
        !self.holds() && self.archive.is_idle()
    }

    /// A second TERM: ends the processor.
    pub fn abandon(&mut self) {
        self.archive.abandon();
    }

    /// Writes what can be written, marks `current` as whole, and unlocks the directory.
    pub fn close(&mut self) {
        self.flush();
        if self.holds()
            && let Some(open) = &mut self.open
        {
            // A log that is too large is better than a lost line.
            open.rotation_due = false;
            open.limit.size_max = 0;
            self.flush();
        }
        let Some(mut open) = self.open.take() else {
            return;
        };
        self.archive.close(&open.store, &open.config);
        if let Err(e) = open.store.seal() {
            self.voice.say(e);
        }
        self.voice.tell("closed");
    }

    /// Closes for good, and reports what is lost. Before that, waits until a pipe that
    /// somebody reads has taken all.
    pub fn finish(&mut self) {
        self.flush();
        while let Some(outlet) = self.blocked_on() {
            let mut fds = [PollFd::from_borrowed_fd(outlet, PollFlags::OUT)];
            let left = self.deadline(true).unwrap_or(0);
            let left = clock::timespec(left.saturating_sub(clock::boot_ns()));
            // If there is no room in time, the next attempt gives up.
            let _ready = poll(&mut fds, Some(&left));
            self.flush();
        }
        self.close();
        let lost = self.dropped_lines.saturating_add(count(&self.backlog));
        if lost > 0 {
            self.voice
                .say(format_args!("{lost} lines could not be written"));
        }
    }
}

impl Stop {
    fn reason(&self) -> String {
        match self {
            Self::Held => "the processor is waited for".to_owned(),
            Self::Blocked => "nobody reads the pipe".to_owned(),
            Self::Failed(e) => e.to_string(),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::WouldBlock => Self::Blocked,
            _ => Self::Failed(e),
        }
    }
}

/// When a `current` that begins now will be too old.
fn age_deadline(config: &Config) -> Option<u64> {
    let age_ns = config.age_max_s.saturating_mul(1_000_000_000);
    (age_ns > 0).then(|| clock::boot_ns().saturating_add(age_ns))
}

fn is_too_large(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::FileTooLarge
}

fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
