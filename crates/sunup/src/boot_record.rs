//! Writes the record of the boot, /run/sunup/boot (`model::format::boot_record`,
//! `docs/decisions/0019-boot-record.md`).
//!
//! Process 1, `stage1` and the machine's supervisor append to it, each what it has done
//! itself. Lines are gathered and written together; when is up to the caller. A boot never
//! fails for its record: where it cannot be written, nothing is said, and soon nothing is
//! gathered. It ends five minutes after a writer's first line or last step, as soon as the
//! supervisor has noted that all is up, or when the file has its full length.

use std::os::fd::OwnedFd;

use model::format::boot_record::{
    BEGIN, BYTES_MAX, FULL, HEADER, INIT, Line, PATH, Record, UP, What, idle_ns,
};
use model::process::Pid;
use model::time::Instant;
use rustix::fs::{OFlags, fstat, unlink};

use crate::sys::{clock, run_file};

/// How long (ns) something may come after the first line, or after the last step.
const LASTS_NS: u64 = 300_000_000_000;
/// So much is kept while there is no place for it: process 1 begins before /run is mounted.
const PENDING_BYTES_MAX: usize = 8 * 1024;
/// The room that is left for the last line.
const LAST_LINE_BYTES: usize = 64;
/// Whether a record is over stands in its last bytes.
const TAIL_BYTES: usize = 4 * 1024;
/// The least time between two looks at how the processors idled (ns).
const SAMPLE_NS: u64 = 20_000_000;

/// Appends to the record.
pub struct Writer {
    /// What is not written yet.
    pending: Vec<u8>,
    stage: Stage,
    /// Later lines do not belong to the boot; set by the first line.
    until: Option<Instant>,
    sampled: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was written yet; a record that is over is replaced, or left alone.
    New { replaces: bool },
    /// It writes.
    On,
    /// It writes no more.
    Over,
}

impl Writer {
    /// That of process 1, whose first moment this is.
    pub fn first(is_machine: bool) -> Self {
        let mut writer = Self::new(Stage::New { replaces: true });
        writer.note(if is_machine { INIT } else { BEGIN });
        writer
    }

    /// That of somebody who joins in. Where the record is over, nothing is added.
    pub const fn join() -> Self {
        Self::new(Stage::New { replaces: false })
    }

    /// One that writes nothing.
    pub const fn none() -> Self {
        Self::new(Stage::Over)
    }

    const fn new(stage: Stage) -> Self {
        Self {
            pending: Vec::new(),
            stage,
            until: None,
            sampled: Instant(0),
        }
    }

    /// Whether nothing is written any more.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// How many bytes wait to be written.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A step of stage 1 that ended at `until`, and why it failed, if it did.
    pub fn step(&mut self, since: Instant, name: &[u8], until: Instant, failure: Option<&[u8]>) {
        self.until = None;
        self.add(
            since,
            What::Step {
                name,
                until,
                failure,
            },
        );
    }

    /// The first start of a service; pid 0: there was no process.
    pub fn start(&mut self, at: Instant, name: &[u8], pid: Pid) {
        self.add(at, What::Start(name, pid));
    }

    /// A service is ready for the first time.
    pub fn ready(&mut self, at: Instant, name: &[u8]) {
        self.add(at, What::Ready(name));
    }

    /// Everything that is wanted was up once: the record is over.
    pub fn up(&mut self) {
        self.note(UP);
        // The last look shows all of the boot.
        self.sampled = Instant(0);
        self.write();
        self.end();
    }

    fn note(&mut self, name: &[u8]) {
        self.add(clock::now(), What::Note(name));
    }

    fn add(&mut self, at: Instant, what: What<&[u8]>) {
        let line = Line { at, what };
        let end = line.end();
        let until = *self.until.get_or_insert(Instant(end.0 + LASTS_NS));
        if self.pending.len() > PENDING_BYTES_MAX {
            self.write();
        }
        if end > until || self.pending.len() > PENDING_BYTES_MAX {
            self.write();
            self.end();
        }
        if !self.is_over() {
            line.encode(&mut self.pending);
        }
    }

    fn end(&mut self) {
        self.pending = Vec::new();
        self.stage = Stage::Over;
    }

    /// Writes what waits, if there is a place for it.
    pub fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Some(file) = run_file::open(PATH, OFlags::RDWR | OFlags::APPEND) else {
            return;
        };
        if self.append(file).is_none() {
            self.end();
        }
        self.pending.clear();
    }

    fn append(&mut self, mut file: OwnedFd) -> Option<()> {
        if let Stage::New { replaces } = self.stage
            && is_over(&file)
        {
            if !replaces {
                return None;
            }
            unlink(PATH).ok()?;
            file = run_file::open(PATH, OFlags::RDWR | OFlags::APPEND)?;
        }
        self.stage = Stage::On;
        self.sample();
        let size = usize::try_from(fstat(&file).ok()?.st_size).ok()?;
        let header = if size == 0 { HEADER } else { b"" };
        let bytes = [header, &self.pending].concat();
        let is_full = size + bytes.len() > BYTES_MAX - LAST_LINE_BYTES;
        if is_full {
            let (at, what) = (clock::now(), What::Note(FULL));
            self.pending.clear();
            Line { at, what }.encode(&mut self.pending);
        }
        let bytes = if is_full { &self.pending } else { &bytes };
        let is_whole = rustix::io::write(&file, bytes) == Ok(bytes.len());
        (is_whole && !is_full).then_some(())
    }

    /// Adds how the processors idled.
    fn sample(&mut self) {
        let at = clock::now();
        if at.0.saturating_sub(self.sampled.0) < SAMPLE_NS {
            return;
        }
        self.sampled = at;
        let idle = std::fs::read("/proc/uptime").ok();
        let cpus = rustix::thread::sched_getaffinity(None).map(|set| set.count());
        if let (Some(idle), Ok(cpus)) = (idle.as_deref().and_then(idle_ns), cpus) {
            let what: What<&[u8]> = What::Idle(cpus, idle);
            Line { at, what }.encode(&mut self.pending);
        }
    }
}

/// Whether a record is over: it says so, or nothing was added for a long time.
fn is_over(file: &OwnedFd) -> bool {
    let size = fstat(file).map_or(0, |stat| stat.st_size as u64);
    let mut tail = vec![0; TAIL_BYTES];
    let from = size.saturating_sub(TAIL_BYTES as u64);
    let length = rustix::io::pread(file, &mut tail, from).unwrap_or(0);
    let tail = Record::decode_lines(tail.get(..length).unwrap_or_default());
    let newest = tail.newest().map_or(0, |at| at.0);
    tail.has_note(UP)
        || tail.has_note(FULL)
        || size > 0 && newest.saturating_add(LASTS_NS) < clock::boot_ns()
}
