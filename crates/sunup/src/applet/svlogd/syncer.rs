//! Makes rotated logs safe on the disk. A child does that, because the disk may take long
//! and the service must not wait for it. After that, the log is marked as whole, and gets
//! a name that says so. There is one child at a time; it takes all logs that have come
//! since the last one was started.

use std::os::fd::BorrowedFd;

use model::rotate::OldLog;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::store::{Store, make_safe};
use super::voice::Voice;
use crate::sys::{clock, spawn};

/// How many logs one child takes: its exit code tells which one failed.
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

/// The outcome for one log.
pub struct Synced {
    /// Which log.
    pub log: OldLog,
    /// Whether it is safe. If it is not, that was reported.
    pub is_safe: bool,
}

impl Syncer {
    /// Adds a log that was just rotated.
    pub fn push(&mut self, log: OldLog) {
        self.queue.push(log);
    }

    /// Takes a removed log out of the queue. Returns whether it was there.
    pub fn forget(&mut self, log: OldLog) -> bool {
        let before = self.queue.len();
        self.queue.retain(|l| *l != log);
        self.queue.len() < before
    }

    /// Logs that are not safe yet.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.job.as_ref().map_or(0, |job| job.logs.len())
    }

    /// When the wait for the disk began, in nanoseconds of the boot clock.
    pub fn since(&self) -> Option<u64> {
        self.job.as_ref().map(|job| job.since)
    }

    /// Starts a child if there is something to do. If no child can be started, does the
    /// work here.
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

    /// Takes the end of a process. `None`: the process is not this syncer's child.
    pub fn reaped(&mut self, pid: spawn::Pid, status: WaitStatus) -> Option<Vec<Synced>> {
        let job = self.job.take_if(|job| job.pid == pid)?;
        let mut logs = job.logs;
        // The number of the first log that is not safe; 0: all are.
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

    /// Does all remaining work here.
    pub fn finish(&mut self, dir: BorrowedFd, voice: &Voice) -> Vec<Synced> {
        let mut done = Vec::new();
        if let Some(job) = self.job.take() {
            // To sync these again does no harm, and is quick.
            let _ended = waitpid(Pid::from_raw(job.pid), WaitOptions::empty());
            done.extend(job.logs.into_iter().map(|log| sync(dir, log, voice)));
        }
        done.extend(self.queue.drain(..).map(|log| sync(dir, log, voice)));
        done
    }
}

/// What the child does. Its exit code is the number of the first log that failed.
fn in_child(dir: BorrowedFd, logs: &[OldLog], voice: &Voice) -> u8 {
    let failed = logs.iter().position(|log| !sync(dir, *log, voice).is_safe);
    failed.map_or(0, |at| u8::try_from(at + 1).unwrap_or(u8::MAX))
}

fn sync(dir: BorrowedFd, log: OldLog, voice: &Voice) -> Synced {
    let is_safe = match make_safe(dir, log) {
        Ok(()) => true,
        // Somebody removed it meanwhile.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => {
            voice.say(format_args!("sync {0}: {e}; it stays {0}", log.as_str()));
            false
        }
    };
    Synced { log, is_safe }
}
