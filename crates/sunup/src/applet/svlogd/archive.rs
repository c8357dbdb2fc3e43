//! What happens to rotated logs: svlogd makes them safe, has them processed, and removes
//! the oldest when there are too many. Only one of these can make the service wait: while
//! a processor works, svlogd waits up to a minute before it removes an unprocessed log.

use std::io;

use model::format::svlogd_config::Config;
use model::rotate::{Kind, OldLog, Shelf};
use rustix::process::WaitStatus;

use super::processor::{Outcome, Processor};
use super::store::Store;
use super::syncer::{Synced, Syncer};
use super::voice::Voice;
use crate::sys::{clock, spawn};

/// How long the work on one rotated log may delay the next rotation.
const HOLD_MAX_NS: u64 = 60_000_000_000;

/// The old logs of a directory.
pub struct Archive {
    voice: Voice,
    syncer: Syncer,
    processor: Processor,
    shelf: Shelf,
}

impl Archive {
    /// Without any logs yet.
    pub fn new(voice: Voice) -> Self {
        Self {
            voice,
            syncer: Syncer::default(),
            processor: Processor::default(),
            shelf: Shelf::default(),
        }
    }

    /// Prepares the directory. Logs in it that are not processed yet join the queue.
    pub fn open(&mut self, store: &mut Store, config: &Config) -> io::Result<()> {
        if let Some(leftover) = store.start(self.processor.running())? {
            let name = leftover.as_str();
            self.voice
                .tell(format_args!("current was not closed: now {name}"));
            self.shelf.put(leftover);
        }
        let waiting = match config.processor {
            Some(_) => {
                let logs = store.old_logs()?;
                self.shelf.in_order(&logs, Kind::Waiting, clock::wall())
            }
            None => Vec::new(),
        };
        self.processor.load(waiting);
        Ok(())
    }

    /// Empties the queue, because the directory is not open.
    pub fn clear(&mut self) {
        self.processor.load(Vec::new());
    }

    /// Takes a log that was just rotated. If that is one too many, removes the oldest.
    pub fn push(&mut self, log: OldLog, store: &Store, config: &Config) {
        self.shelf.put(log);
        self.syncer.push(log);
        self.voice.tell(format_args!("rotated to {}", log.as_str()));
        let kind = match config.processor {
            Some(_) => Kind::Waiting,
            None => Kind::Any,
        };
        if config.keep_max > 0 {
            self.remove_surplus(store, kind, config.keep_max);
        }
    }

    /// Frees space on a full disk, as far as `N` allows. Returns whether it could.
    pub fn make_room(&mut self, store: &Store, config: &Config) -> bool {
        let Some(keep) = config.keep_min else {
            return false;
        };
        match config.processor {
            Some(_) => {
                self.remove_surplus(store, Kind::Finished, keep)
                    || self.remove_surplus(store, Kind::Waiting, keep)
            }
            None => self.remove_surplus(store, Kind::Any, keep),
        }
    }

    /// Removes the oldest log of a kind if there are more than `keep`.
    fn remove_surplus(&mut self, store: &Store, kind: Kind, keep: u64) -> bool {
        let (order, spare) = (&self.shelf, self.processor.running());
        let removed = store.old_logs().and_then(|logs| {
            let oldest = order.surplus(&logs, kind, keep, spare, clock::wall());
            oldest
                .map(|log| store.remove(log).map(|()| log))
                .transpose()
        });
        match removed {
            Ok(None) => return false,
            Ok(Some(log)) => {
                self.syncer.forget(log);
                self.processor.forget(log);
                let name = log.as_str();
                if kind == Kind::Waiting {
                    self.voice
                        .say(format_args!("{name} was removed unprocessed"));
                } else {
                    self.voice.tell(format_args!("removed {name}"));
                }
            }
            Err(e) => {
                self.voice.say(e);
                return false;
            }
        }
        true
    }

    /// Whether the next rotation should wait, because with one more log an unprocessed one
    /// would be removed. svlogd does not wait for a processor that fails or hangs.
    pub fn holds(&self, config: &Config) -> bool {
        let waiting = (self.processor.waiting() + self.syncer.waiting()) as u64;
        let hangs = self.hold_end().is_some_and(|end| clock::boot_ns() >= end);
        config.processor.is_some()
            && config.keep_max > 0
            && waiting >= config.keep_max
            && !self.processor.fails()
            && !hangs
    }

    /// When the wait ends at the latest.
    pub fn hold_end(&self) -> Option<u64> {
        let since = [self.processor.since(), self.syncer.since()];
        let first = since.into_iter().flatten().min()?;
        Some(first.saturating_add(HOLD_MAX_NS))
    }

    /// Starts the children that are due.
    pub fn advance(&mut self, store: &mut Store, config: &Config, ending: bool) {
        let synced = self.syncer.advance(store, &self.voice);
        self.settle(synced, store, config);
        let Some(command) = &config.processor else {
            return;
        };
        if !self.processor.is_idle(ending) {
            let outcome = self.processor.advance(store.dir(), command);
            self.report(outcome, ending);
        }
    }

    /// Finishes logs that are safe now, or queues them for the processor.
    fn settle(&mut self, synced: Vec<Synced>, store: &Store, config: &Config) {
        for Synced { log, is_safe } in synced {
            if config.processor.is_some() {
                self.processor.push(log);
            } else if is_safe && let Err(e) = store.finish(log) {
                self.voice.say(e);
            }
        }
    }

    /// Takes the end of a child. Returns whether the child was one of these.
    pub fn reaped(
        &mut self,
        pid: spawn::Pid,
        status: WaitStatus,
        open: Option<(&mut Store, &Config)>,
        ending: bool,
    ) -> bool {
        if let Some(synced) = self.syncer.reaped(pid, status) {
            if let Some((store, config)) = open {
                self.settle(synced, store, config);
            }
            return true;
        }
        let (mut store, config) = open.unzip();
        let lent = store.as_deref_mut();
        let Some(outcome) = self.processor.reaped(pid, status, lent) else {
            return false;
        };
        let is_done = matches!(outcome, Outcome::Done(_));
        self.report(Some(outcome), ending);
        if let (Some(store), Some(config)) = (store, config)
            && is_done
            && config.keep_max > 0
        {
            self.remove_surplus(store, Kind::Finished, config.keep_max);
        }
        true
    }

    fn report(&self, outcome: Option<Outcome>, ending: bool) {
        let voice = &self.voice;
        match outcome {
            None | Some(Outcome::Syncing) => {}
            Some(Outcome::Done(log)) => voice.tell(format_args!("processed {}", log.as_str())),
            Some(Outcome::Failed(log, why, _)) if ending => voice.say(format_args!(
                "processor: {why}; {} waits for the next start",
                log.as_str()
            )),
            Some(Outcome::Failed(log, why, seconds)) => voice.say(format_args!(
                "processor: {why}; {} is tried again in {seconds} s",
                log.as_str()
            )),
        }
    }

    /// When [`Archive::advance`] is needed next, in nanoseconds of the boot clock.
    pub fn deadline(&self, ending: bool) -> Option<u64> {
        let idle = self.processor.is_idle(ending);
        self.processor.deadline().filter(|_| !idle)
    }

    /// Whether svlogd has nothing left to do here before it ends.
    pub fn is_idle(&self) -> bool {
        self.syncer.waiting() == 0 && self.processor.is_idle(true)
    }

    /// A second TERM: ends the processor.
    pub fn abandon(&mut self) {
        self.processor.abandon();
    }

    /// Makes all logs safe before the directory is closed, however long it takes.
    pub fn close(&mut self, store: &Store, config: &Config) {
        let synced = self.syncer.finish(store.dir(), &self.voice);
        self.settle(synced, store, config);
    }
}
