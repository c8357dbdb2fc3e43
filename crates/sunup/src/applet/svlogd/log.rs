//! One log directory: its config, and how lines are rendered. `writer` puts the result
//! into files.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use model::format::svlogd_config::Config;
use model::format::tai64n::Tai64n;
use model::lines::split;
use rustix::process::WaitStatus;

use super::SPEC;
use super::Settings;
use super::render::{Render, Rendered};
use super::store::Store;
use super::voice::Voice;
use super::writer::{PIPE_PATIENCE_NS, Writer};
use crate::sys::spawn;
use crate::{personality, say};

/// Rendered lines are written in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// A directory of the command line.
pub struct Log {
    voice: Voice,
    writer: Writer,
    /// `None` if lines are written as they come.
    render: Option<Render>,
}

impl Log {
    /// A log that is not open yet.
    pub fn new(path: &Path, verbose: bool) -> Self {
        let voice = Voice::new(path, verbose);
        Self {
            writer: Writer::new(voice.clone()),
            voice,
            render: None,
        }
    }

    /// Opens the directory, also again after [`Log::close`]. If that fails, reports it, and
    /// the directory stays closed.
    pub fn open(&mut self, settings: &Settings) {
        if let Err(e) = self.try_open(settings) {
            self.voice
                .say(format_args!("{e}; this log is ignored until HUP"));
            self.writer.leave_out();
        }
    }

    fn try_open(&mut self, settings: &Settings) -> io::Result<()> {
        let store = Store::open(self.voice.path())?;
        let config = self.read_config(&store);
        let is_plain = settings.stamp.is_none() && config.is_plain();
        self.render =
            (!is_plain).then(|| Render::new(settings.stamp, settings.line_max, config.clone()));
        self.writer.open(store, config, settings.line_max)
    }

    fn read_config(&self, store: &Store) -> Config {
        let text = match store.config() {
            Ok(text) => text,
            Err(e) => {
                self.voice
                    .say(format_args!("read config: {e}; the defaults hold"));
                return Config::default();
            }
        };
        let (config, mistakes) = Config::decode(&text);
        for mistake in mistakes {
            self.voice.say(format_args!(
                "config:{}: {}; the line is ignored",
                mistake.line, mistake.reason
            ));
        }
        if personality::is_busybox() {
            // busybox knows no p, u and U.
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
        self.writer.is_open()
    }

    /// Takes a block of lines. `continues`: the block begins inside a line. The first
    /// line arrived at `first`, the others at `time`.
    pub fn take(&mut self, block: &[u8], continues: bool, first: Tai64n, time: Tai64n) {
        if !self.writer.is_open() {
            return;
        }
        let Some(render) = &mut self.render else {
            return self.writer.write(block);
        };
        let mut out = Rendered::default();
        let mut arrived = first;
        for (i, line) in split(block).enumerate() {
            if i == 0 && continues {
                render.rest(line, &mut out);
            } else {
                render.line(line, arrived, &mut out);
            }
            arrived = time;
            if out.log.len().max(out.alerts.len()) > PIECE_BYTES {
                put_out(&mut self.writer, &mut out);
            }
        }
        put_out(&mut self.writer, &mut out);
    }

    /// ALRM: rotates unless `current` is empty.
    pub fn force_rotation(&mut self) {
        self.writer.force_rotation();
    }

    /// Does what is due by time.
    pub fn tick(&mut self, ending: bool) {
        self.writer.tick(ending);
    }

    /// Takes the end of a child. Returns whether the child was this log's.
    pub fn reaped(&mut self, pid: spawn::Pid, status: WaitStatus, ending: bool) -> bool {
        self.writer.reaped(pid, status, ending)
    }

    /// When [`Log::tick`] is needed next, in nanoseconds of the boot clock.
    pub fn deadline(&self, ending: bool) -> Option<u64> {
        self.writer.deadline(ending)
    }

    /// The descriptor that must have room before [`Log::tick`] can go on.
    pub fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        self.writer.blocked_on()
    }

    /// Whether svlogd must stop reading for now.
    pub fn holds(&self) -> bool {
        self.writer.holds()
    }

    /// Whether svlogd has nothing left to do here before it ends.
    pub fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// A second TERM: ends the processor.
    pub fn abandon(&mut self) {
        self.writer.abandon();
    }

    /// Writes what can be written, marks `current` as whole, and unlocks the directory.
    pub fn close(&mut self) {
        self.writer.close();
    }

    /// Closes the log for good, and reports what is lost.
    pub fn finish(&mut self) {
        self.writer.finish();
    }
}

fn put_out(writer: &mut Writer, out: &mut Rendered) {
    if !out.alerts.is_empty() {
        say::offer_lines(SPEC.name, &out.alerts, PIPE_PATIENCE_NS);
    }
    writer.write(&out.log);
    out.alerts.clear();
    out.log.clear();
}
