//! From rendered bytes to files: writing, rotating, and what to do when that
//! cannot be done.
//!
//! Normally bytes are written at once. Otherwise they wait in a backlog: for a
//! processor that does not keep up (then svlogd stops reading, too), or because
//! the disk is full (then svlogd goes on reading, drops what the bounded backlog
//! cannot hold, and says how much that was). So a full disk never stops the
//! service.

use std::io;

use model::lines::count;
use model::rotate::{OldLog, Stage, Step, surplus};

use super::SPEC;
use super::log::{Log, Stuck, age_deadline, say};
use crate::sys::clock;

/// Bytes that wait for a disk that is full.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024;
/// After a failed write, the next one is tried so much later.
const RETRY_NS: u64 = 1_000_000_000;

/// Why not all was written.
enum Stop {
    Held,
    Failed(io::Error),
}

impl Log {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        if open.stuck.is_some() {
            return self.wait(bytes);
        }
        let (written, stop) = self.put(bytes);
        self.settle(bytes.get(written..).unwrap_or_default(), stop);
    }

    /// Keeps what could not be written, and notes why.
    fn settle(&mut self, rest: &[u8], stop: Option<Stop>) {
        let Some(open) = &mut self.open else { return };
        let was_stuck = open.stuck.take().is_some();
        open.stuck = match stop {
            None => None,
            Some(Stop::Held) => Some(Stuck::Held),
            Some(Stop::Failed(e)) => {
                if !was_stuck {
                    say(
                        &self.path,
                        format_args!(
                            "write: {e}; keeping up to {BACKLOG_BYTES_MAX} bytes in memory and trying again each second"
                        ),
                    );
                }
                let retry_at = clock::boot_ns().saturating_add(RETRY_NS);
                Some(Stuck::Failed { retry_at })
            }
        };
        self.wait(rest);
    }

    /// Writes and rotates as long as it goes; says how many bytes were written.
    fn put(&mut self, bytes: &[u8]) -> (usize, Option<Stop>) {
        let mut written = 0;
        loop {
            let rest = bytes.get(written..).unwrap_or_default();
            match self.put_step(rest) {
                Ok(Some(n)) => written += n,
                Ok(None) => return (written, None),
                Err(Stop::Failed(e)) if is_full(&e) && self.make_room() => {}
                Err(stop) => return (written, Some(stop)),
            }
        }
    }

    /// One rotation or one write of at least one byte; `None` when all is done.
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
            written = open.store.write(part).map_err(Stop::Failed)?;
        }
        open.rotation_due = then_rotate && written == part;
        Ok(Some(written))
    }

    fn rotate(&mut self) -> Result<(), Stop> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.rotate_at = age_deadline(&open.config);
        let stage = match open.config.processor {
            Some(_) if self.processor.holds(open.config.keep_max) => return Err(Stop::Held),
            Some(_) => Stage::Unprocessed,
            None => Stage::Safe,
        };
        let rotated = open.store.rotate(stage).map_err(Stop::Failed)?;
        open.rotation_due = false;
        let Some(log) = rotated else {
            self.say("current was removed by somebody; a new one is begun");
            return Ok(());
        };
        if stage == Stage::Unprocessed {
            self.processor.push(log);
        }
        self.tell(format_args!("rotated to {}", log.as_str()));
        let keep = self.open.as_ref().map_or(0, |o| o.config.keep_max);
        if keep > 0 {
            self.remove_surplus(keep);
        }
        Ok(())
    }

    /// Frees space on a full disk, as far as `N` allows.
    fn make_room(&mut self) -> bool {
        let keep = self.open.as_ref().and_then(|o| o.config.keep_min);
        keep.is_some_and(|keep| self.remove_surplus(keep))
    }

    /// Removes the oldest log if there are more than `keep`.
    fn remove_surplus(&mut self, keep: u64) -> bool {
        let Some(open) = &self.open else { return false };
        let removed = open.store.old_logs().and_then(|logs| {
            let oldest = surplus(&logs, keep, self.processor.running());
            oldest
                .map(|log| open.store.remove(log).map(|()| log))
                .transpose()
        });
        match removed {
            Ok(Some(log)) => {
                self.removed(log);
                true
            }
            Ok(None) => false,
            Err(e) => {
                self.say(e);
                false
            }
        }
    }

    fn removed(&mut self, log: OldLog) {
        if self.processor.forget(log) {
            self.say(format_args!("{} was removed unprocessed", log.as_str()));
        } else {
            self.tell(format_args!("removed {}", log.as_str()));
        }
    }

    /// Tries to write the backlog.
    pub(super) fn flush(&mut self) {
        let Some(open) = &mut self.open else { return };
        let backlog = std::mem::take(&mut self.backlog);
        let was_failing = matches!(open.stuck, Some(Stuck::Failed { .. }));
        let (written, stop) = self.put(&backlog);
        self.settle(backlog.get(written..).unwrap_or_default(), stop);
        if !was_failing || self.is_stuck() {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped_lines);
        self.say(format_args!("writing again; {dropped} lines were dropped"));
        if dropped > 0 {
            let note = format!("{}: {dropped} lines were dropped here\n", SPEC.name);
            self.write(note.as_bytes());
        }
    }

    /// Puts bytes into the backlog. A held log takes all, for nothing more is
    /// read; a full disk's backlog is bounded, and has one gap at most.
    fn wait(&mut self, bytes: &[u8]) {
        let full_disk =
            matches!(&self.open, Some(o) if matches!(o.stuck, Some(Stuck::Failed { .. })));
        let room = match full_disk {
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
}

fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
