//! Makes rotated logs safe on the disk, in a child: the disk may take long, and the
//! service is not to wait for it. Only then a log is marked as whole, and gets a name
//! that says so. One child at a time takes all that have come together meanwhile.

use std::os::fd::BorrowedFd;

use model::rotate::OldLog;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::store::{Store, make_safe};
use super::voice::Voice;
use crate::sys::{clock, spawn};

/// Logs for one child: their number must fit into an exit code.
const LOGS_MAX: usize = 100;

/// The queue of one log directory.
#[derive(Default)]
pub struct Syncer {
    queue: Vec<OldLog>,
    job: Option<Job>,
}

struct Job {
    pid: spawn::Pid,
    logs: Vec<OldLog>,
    since: u64,
}

/// A log that was dealt with.
pub struct Synced {
    /// Which.
    pub log: OldLog,
    /// Whether it is safe; if not, that was said.
    pub is_safe: bool,
}

impl Syncer {
    /// Adds a log that was just rotated.
    pub fn push(&mut self, log: OldLog) {
        self.queue.push(log);
    }

    /// Takes a removed log out of the queue; says whether it was there.
    pub fn forget(&mut self, log: OldLog) -> bool {
        let before = self.queue.len();
        self.queue.retain(|l| *l != log);
        self.queue.len() < before
    }

    /// Logs that are not safe yet.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.job.as_ref().map_or(0, |job| job.logs.len())
    }

    /// Since when the disk is waited for, in nanoseconds of the boot clock.
    pub fn since(&self) -> Option<u64> {
        self.job.as_ref().map(|job| job.since)
    }

    /// Starts a child if there is something to do. Where that is not possible, it is
    /// done here and now.
    pub fn advance(&mut self, store: &mut Store, voice: &Voice) -> Vec<Synced> {
        if self.job.is_some() || self.queue.is_empty() {
            return Vec::new();
        }
        let count = self.queue.len().min(LOGS_MAX);
        let logs: Vec<OldLog> = self.queue.drain(..count).collect();
        let forked = spawn::fork(|| {
            store.unlock();
            in_child(store.dir(), &logs, voice)
        });
        if let Ok(pid) = forked {
            let since = clock::boot_ns();
            self.job = Some(Job { pid, logs, since });
            Vec::new()
        } else {
            let logs = logs.into_iter();
            logs.map(|log| sync(store.dir(), log, voice)).collect()
        }
    }

    /// Takes the end of a process; `None` if it is not this one's.
    pub fn reaped(&mut self, pid: spawn::Pid, status: WaitStatus) -> Option<Vec<Synced>> {
        let job = self.job.take_if(|job| job.pid == pid)?;
        let mut logs = job.logs;
        // All up to the one that could not be made safe; 0: all.
        let failed = match status.exit_status().map(usize::try_from) {
            Some(Ok(0)) => None,
            Some(Ok(number)) => Some(number.min(logs.len())),
            _ => Some(1),
        };
        let rest = logs.split_off(failed.unwrap_or(logs.len()));
        self.queue.splice(..0, rest);
        let count = logs.len();
        let synced = logs.into_iter().zip(1..).map(|(log, number)| Synced {
            log,
            is_safe: failed.is_none() || number < count,
        });
        Some(synced.collect())
    }

    /// Does here and now all that is left to do.
    pub fn finish(&mut self, dir: BorrowedFd, voice: &Voice) -> Vec<Synced> {
        let mut done = Vec::new();
        if let Some(job) = self.job.take() {
            // Twice does no harm, and is quick.
            let _ended = waitpid(Pid::from_raw(job.pid), WaitOptions::empty());
            done.extend(job.logs.into_iter().map(|log| sync(dir, log, voice)));
        }
        done.extend(self.queue.drain(..).map(|log| sync(dir, log, voice)));
        done
    }
}

/// The exit code is the number of the first that failed.
fn in_child(dir: BorrowedFd, logs: &[OldLog], voice: &Voice) -> u8 {
    let failed = logs.iter().position(|log| !sync(dir, *log, voice).is_safe);
    failed.map_or(0, |at| u8::try_from(at + 1).unwrap_or(u8::MAX))
}

fn sync(dir: BorrowedFd, log: OldLog, voice: &Voice) -> Synced {
    let is_safe = match make_safe(dir, log) {
        Ok(()) => true,
        // It was removed meanwhile.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => {
            voice.say(format_args!("sync {0}: {e}; it stays {0}", log.as_str()));
            false
        }
    };
    Synced { log, is_safe }
}
