//! One log directory: lines in, files out.
//!
//! Opening and closing, the config, what lines become, and what time and
//! signals bring; `write` puts the result into files.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use model::format::svlogd_config::Config;
use model::format::tai64n::Tai64n;
use model::lines::{count, split};
use model::rotate::{Limit, unprocessed};
use rustix::process::WaitStatus;

use super::processor::{Outcome, Processor};
use super::render::{Render, Rendered};
use super::store::Store;
use super::{SPEC, Settings};
use crate::sys::{clock, spawn};
use crate::{personality, say};

/// Rendered lines are written in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// A directory of the command line.
pub struct Log {
    pub(super) path: PathBuf,
    verbose: bool,
    pub(super) open: Option<Open>,
    pub(super) processor: Processor,
    /// Lines that could not be written yet; they outlive a HUP.
    pub(super) backlog: Vec<u8>,
    pub(super) dropped_lines: u64,
}

/// What exists while the directory is open.
pub(super) struct Open {
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) limit: Limit,
    render: Render,
    plain: bool,
    /// `current` is to be rotated before anything else is written.
    pub(super) rotation_due: bool,
    /// When `current` gets too old.
    pub(super) rotate_at: Option<u64>,
    pub(super) stuck: Option<Stuck>,
}

/// Why lines wait.
pub(super) enum Stuck {
    /// For the processor.
    Held,
    /// For the disk, until the next attempt.
    Failed { retry_at: u64 },
}

impl Log {
    /// A log that is not open yet.
    pub fn new(path: &Path, verbose: bool) -> Self {
        Self {
            path: path.to_owned(),
            verbose,
            open: None,
            processor: Processor::default(),
            backlog: Vec::new(),
            dropped_lines: 0,
        }
    }

    pub(super) fn say(&self, what: impl Display) {
        say(&self.path, what);
    }

    pub(super) fn tell(&self, what: impl Display) {
        if self.verbose {
            self.say(what);
        }
    }

    /// Opens the directory, again after [`Log::close`]; a failure is reported
    /// and leaves it closed.
    pub fn open(&mut self, settings: &Settings) {
        match self.try_open(settings) {
            Ok(open) => self.open = Some(open),
            Err(e) => {
                self.say(format_args!("{e}; this log is ignored until HUP"));
                self.processor.load(Vec::new());
            }
        }
    }

    fn try_open(&mut self, settings: &Settings) -> io::Result<Open> {
        let mut store = Store::open(&self.path)?;
        let config = self.read_config(&store);
        if let Some(leftover) = store.start(self.processor.running())? {
            self.tell(format_args!(
                "current was not closed: now {}",
                leftover.as_str()
            ));
        }
        let waiting = match config.processor {
            Some(_) => unprocessed(&store.old_logs()?),
            None => Vec::new(),
        };
        self.processor.load(waiting);
        self.tell(format_args!("opened, current has {} bytes", store.size()));
        Ok(Open {
            limit: Limit {
                size_max: config.size_max,
                line_max: settings.line_max as u64,
            },
            render: Render::new(settings.stamp, settings.line_max, &config),
            plain: settings.stamp.is_none() && config.is_plain(),
            rotation_due: false,
            rotate_at: age_deadline(&config),
            stuck: (!self.backlog.is_empty()).then_some(Stuck::Failed { retry_at: 0 }),
            store,
            config,
        })
    }

    fn read_config(&self, store: &Store) -> Config {
        let text = match store.config() {
            Ok(text) => text,
            Err(e) => {
                self.say(format_args!("read config: {e}; the defaults hold"));
                return Config::default();
            }
        };
        let (config, mistakes) = Config::decode(&text);
        for mistake in mistakes {
            self.say(format_args!(
                "config:{}: {}; the line is ignored",
                mistake.line, mistake.reason
            ));
        }
        if personality::is_busybox() {
            // There p, u and U mean nothing.
            return Config {
                prefix: Vec::new(),
                remote: None,
                remote_only: false,
                ..config
            };
        }
        config
    }

    /// Whether the directory is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a block of lines. `continues`: it begins inside a line. The first
    /// line arrived at `first`, the others at `time`.
    pub fn take(&mut self, block: &[u8], continues: bool, first: Tai64n, time: Tai64n) {
        let Some(open) = &mut self.open else { return };
        if open.plain {
            return self.write(block);
        }
        let mut out = Rendered::default();
        let mut arrived = first;
        for (i, line) in split(block).enumerate() {
            let Some(open) = &mut self.open else { return };
            if i == 0 && continues {
                open.render.rest(line, &mut out);
            } else {
                open.render.line(line, arrived, &open.config, &mut out);
            }
            arrived = time;
            if out.log.len().max(out.alerts.len()) > PIECE_BYTES {
                self.put_out(&mut out);
            }
        }
        self.put_out(&mut out);
    }

    fn put_out(&mut self, out: &mut Rendered) {
        say::raw(&out.alerts);
        self.write(&out.log);
        out.alerts.clear();
        out.log.clear();
    }

    /// ALRM: rotates unless `current` is empty.
    pub fn force_rotation(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.rotation_due |= open.store.size() > 0;
        if open.stuck.is_none() {
            self.flush();
        }
    }

    /// Does what time has brought: age, retries, processors.
    pub fn tick(&mut self, ending: bool) {
        let now = clock::boot_ns();
        let Some(open) = &mut self.open else { return };
        if open.rotate_at.is_some_and(|at| at <= now) {
            open.rotate_at = age_deadline(&open.config);
            self.force_rotation();
        }
        self.advance_processor(ending);
        let Some(open) = &mut self.open else { return };
        let try_now = match open.stuck {
            None => false,
            Some(Stuck::Held) => !self.processor.holds(open.config.keep_max),
            Some(Stuck::Failed { retry_at }) => retry_at <= now,
        };
        if try_now {
            self.flush();
            self.advance_processor(ending);
        }
    }

    fn advance_processor(&mut self, ending: bool) {
        let Some(open) = &self.open else { return };
        let Some(command) = &open.config.processor else {
            return;
        };
        if self.processor.is_idle(ending) {
            return;
        }
        let outcome = self.processor.advance(open.store.dir(), command);
        self.report(outcome, ending);
    }

    fn report(&self, outcome: Option<Outcome>, ending: bool) {
        match outcome {
            None => {}
            Some(Outcome::Done(log)) => self.tell(format_args!("processed {}", log.as_str())),
            Some(Outcome::Failed(log, why, _)) if ending => self.say(format_args!(
                "processor: {why}; {} waits for the next start",
                log.as_str()
            )),
            Some(Outcome::Failed(log, why, seconds)) => self.say(format_args!(
                "processor: {why}; {} is tried again in {seconds} s",
                log.as_str()
            )),
        }
    }

    /// Takes the end of a child; says whether it was this log's.
    pub fn reaped(&mut self, pid: spawn::Pid, status: WaitStatus, ending: bool) -> bool {
        let outcome = self.processor.reaped(pid, status);
        let mine = outcome.is_some();
        self.report(outcome, ending);
        mine
    }

    /// When [`Log::tick`] is needed next, in nanoseconds of the boot clock.
    pub fn deadline(&self, ending: bool) -> Option<u64> {
        let open = self.open.as_ref()?;
        let stuck = match open.stuck {
            None => None,
            Some(Stuck::Held) => self.processor.hold_end(),
            Some(Stuck::Failed { retry_at }) => Some(retry_at),
        };
        let idle = self.processor.is_idle(ending);
        let processor = self.processor.deadline().filter(|_| !idle);
        [open.rotate_at, stuck, processor]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether [`Log::sync`] has something to do.
    pub fn is_unsynced(&self) -> bool {
        self.open.as_ref().is_some_and(|o| o.store.is_unsynced())
    }

    /// Waits until rotated logs are safe on the disk.
    pub fn sync(&mut self) {
        if let Some(open) = &mut self.open {
            open.store.sync();
        }
    }

    /// Whether svlogd must not read on.
    pub fn holds(&self) -> bool {
        matches!(&self.open, Some(open) if matches!(open.stuck, Some(Stuck::Held)))
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.open.as_ref().is_some_and(|o| o.stuck.is_some())
    }

    /// Whether nothing is left to be done at the end.
    pub fn is_idle(&self) -> bool {
        !self.holds() && self.processor.is_idle(true)
    }

    /// A second TERM: ends the processor.
    pub fn abandon(&mut self) {
        self.processor.abandon();
    }

    /// Writes what it can, marks `current` as closed cleanly, and unlocks.
    pub fn close(&mut self) {
        self.flush();
        if self.holds()
            && let Some(open) = &mut self.open
        {
            // Rather too large a log than a lost line.
            open.rotation_due = false;
            open.limit.size_max = 0;
            self.flush();
        }
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.store.seal();
        self.tell("closed");
    }

    /// Closes for good, and says what is lost.
    pub fn finish(&mut self) {
        self.close();
        let lost = self.dropped_lines.saturating_add(count(&self.backlog));
        if lost > 0 {
            self.say(format_args!("{lost} lines could not be written"));
        }
    }
}

/// Says something about a log directory.
pub fn say(path: &Path, what: impl Display) {
    say::line(SPEC.name, format_args!("{}: {what}", path.display()));
}

/// When a `current` begun now gets too old.
pub fn age_deadline(config: &Config) -> Option<u64> {
    let age_ns = config.age_max_s.saturating_mul(1_000_000_000);
    (age_ns > 0).then(|| clock::boot_ns().saturating_add(age_ns))
}
