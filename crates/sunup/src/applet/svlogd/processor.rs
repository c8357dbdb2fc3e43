//! Runs a shell command on rotated logs, one after another, in the background.
//!
//! The command reads `@LABEL.u` from descriptor 0 and writes `@LABEL.t` to 1. From 4
//! (`state`) it may read what its last successful run wrote to 5 (`newstate`). When it
//! succeeds, a child makes `.t` safe on the disk; then `.t` is renamed to `.s`, and `.u` is
//! removed. When it fails, svlogd tries again after growing pauses. When svlogd ends, a
//! `.u` that is not processed stays for the next start.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::process::Pid;
use model::rotate::{OldLog, Stage, retry_after_ns};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::process::WaitStatus;

use super::store::{Store, attempt, make_safe, open_file};
use crate::sys::{clock, signal, spawn};

/// The queue of one log directory.
#[derive(Default)]
pub struct Processor {
    queue: VecDeque<OldLog>,
    job: Option<Job>,
    failures: u32,
    retry_at: u64,
}

/// A running processor, or the child that makes its output safe.
struct Job {
    pid: spawn::Pid,
    log: OldLog,
    dir: OwnedFd,
    since: u64,
    syncs: bool,
}

/// What came of a process of this queue.
pub enum Outcome {
    /// The command has succeeded. Its output is not safe on the disk yet.
    Syncing,
    /// The log is processed.
    Done(OldLog),
    /// The command failed, and why. It is tried again after so many seconds.
    Failed(OldLog, String, u64),
}

impl Processor {
    /// Replaces the queue, when the directory was opened anew.
    pub fn load(&mut self, logs: Vec<OldLog>) {
        let running = self.running();
        self.queue = logs.into_iter().filter(|l| Some(*l) != running).collect();
    }

    /// Adds a log that was just rotated.
    pub fn push(&mut self, log: OldLog) {
        self.queue.push_back(log);
    }

    /// Takes a removed log out of the queue. Returns whether it was there.
    pub fn forget(&mut self, log: OldLog) -> bool {
        let before = self.queue.len();
        self.queue.retain(|l| *l != log);
        self.queue.len() < before
    }

    /// The log being processed.
    pub fn running(&self) -> Option<OldLog> {
        self.job.as_ref().map(|j| j.log)
    }

    /// Whether nothing runs, and nothing will be started. When svlogd is `ending`, it does
    /// not start a command again that failed.
    pub fn is_idle(&self, ending: bool) -> bool {
        self.job.is_none() && (self.queue.is_empty() || (ending && self.failures > 0))
    }

    /// Whether the last attempt failed.
    pub fn fails(&self) -> bool {
        self.failures > 0
    }

    /// Logs that are not processed.
    pub fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.job.is_some())
    }

    /// When the running one was started, in nanoseconds of the boot clock.
    pub fn since(&self) -> Option<u64> {
        self.job.as_ref().map(|job| job.since)
    }

    /// When the next start is due.
    pub fn deadline(&self) -> Option<u64> {
        (self.job.is_none() && !self.queue.is_empty()).then_some(self.retry_at)
    }

    /// Starts the command on the next log if it is time.
    pub fn advance(&mut self, dir: BorrowedFd, command: &[u8]) -> Option<Outcome> {
        let now = clock::boot_ns();
        if self.job.is_some() || now < self.retry_at {
            return None;
        }
        let log = self.queue.pop_front()?;
        let input = match open_file(dir, log.as_bytes(), OFlags::RDONLY, Mode::empty()) {
            Ok(input) => input,
            // Somebody removed the log.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => return Some(self.failed(log, format!("open {}: {e}", log.as_str()))),
        };
        match start(dir, log, &input, command) {
            Ok(job) => {
                self.job = Some(job);
                None
            }
            Err(e) => {
                let partial = log.with(Stage::Partial);
                let _ = fs::unlinkat(dir, partial.as_bytes(), AtFlags::empty());
                Some(self.failed(log, e))
            }
        }
    }

    /// Takes the end of a process. `None`: the process is not one of this queue.
    pub fn reaped(
        &mut self,
        pid: spawn::Pid,
        status: WaitStatus,
        store: Option<&mut Store>,
    ) -> Option<Outcome> {
        let job = self.job.take_if(|j| j.pid == pid)?;
        let result = match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) if !job.syncs => match sync_output(&job, store) {
                Ok(Some(pid)) => {
                    let (syncs, since) = (true, clock::boot_ns());
                    self.job = Some(Job {
                        pid,
                        since,
                        syncs,
                        ..job
                    });
                    return Some(Outcome::Syncing);
                }
                Ok(None) => finish(&job),
                Err(e) => Err(format!("sync its output: {e}")),
            },
            (Some(0), _) => finish(&job),
            (Some(_), _) if job.syncs => Err("its output could not be synced".to_owned()),
            (Some(code), _) => Err(format!("exit code {code}")),
            (None, Some(signal)) => Err(format!("killed by signal {signal}")),
            (None, None) => Err("ended oddly".to_owned()),
        };
        Some(match result {
            Ok(()) => {
                self.failures = 0;
                self.retry_at = 0;
                Outcome::Done(job.log.with(Stage::Safe))
            }
            Err(why) => {
                let partial = job.log.with(Stage::Partial);
                let _ = fs::unlinkat(&job.dir, partial.as_bytes(), AtFlags::empty());
                self.failed(job.log, why)
            }
        })
    }

    fn failed(&mut self, log: OldLog, why: impl Display) -> Outcome {
        self.queue.push_front(log);
        self.failures = self.failures.saturating_add(1);
        let wait = retry_after_ns(self.failures);
        self.retry_at = clock::boot_ns().saturating_add(wait);
        Outcome::Failed(log, why.to_string(), wait / 1_000_000_000)
    }

    /// Ends the running command, because svlogd got a second TERM.
    pub fn abandon(&mut self) {
        if let Some(job) = &self.job {
            // It may have ended already.
            drop(signal::kill(job.pid as Pid, signal::SIGTERM));
        }
    }
}

fn start(dir: BorrowedFd, log: OldLog, input: &OwnedFd, command: &[u8]) -> io::Result<Job> {
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let partial = log.with(Stage::Partial);
    let files = [
        (partial.as_str(), write, 1),
        ("state", OFlags::RDONLY | OFlags::CREATE, 4),
        ("newstate", write, 5),
    ];
    let mut places = vec![(out_of_the_way(input)?, 0)];
    for (name, flags, to) in files {
        let mode = Mode::from_raw_mode(0o644);
        let file = attempt(
            &format!("open {name}"),
            open_file(dir, name.as_bytes(), flags, mode),
        )?;
        places.push((out_of_the_way(&file)?, to));
    }
    let command = CString::new(command)?;
    let argv = [c"sh".to_owned(), c"-c".to_owned(), command];
    let dir = dir.try_clone_to_owned()?;
    let forked = spawn::fork(|| {
        let ready = rustix::process::fchdir(&dir).is_ok()
            && places
                .iter()
                .all(|(f, to)| spawn::place(f.as_fd(), *to).is_ok());
        if ready {
            drop(spawn::exec_in_path(c"sh", &argv));
        }
        127
    });
    Ok(Job {
        pid: attempt("start", forked)?,
        log,
        dir,
        since: clock::boot_ns(),
        syncs: false,
    })
}

/// A copy whose number is none of those that the command expects.
fn out_of_the_way(file: &OwnedFd) -> io::Result<OwnedFd> {
    fs::fcntl_setfl(file, OFlags::empty())?;
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 10)?)
}

/// Starts a child that makes the output safe. `None`: no child could be started, so the
/// output was made safe here.
fn sync_output(job: &Job, store: Option<&mut Store>) -> io::Result<Option<spawn::Pid>> {
    let partial = job.log.with(Stage::Partial);
    let dir = job.dir.as_fd();
    let forked = spawn::fork(|| {
        if let Some(store) = store {
            store.unlock();
        }
        u8::from(make_safe(dir, partial).is_err())
    });
    match forked {
        Ok(pid) => Ok(Some(pid)),
        Err(_) => make_safe(dir, partial).map(|()| None),
    }
}

/// Keeps what a successful command wrote. Only then may its input be removed.
fn finish(job: &Job) -> Result<(), String> {
    let dir = job.dir.as_fd();
    let [partial, safe] = [Stage::Partial, Stage::Safe].map(|stage| job.log.with(stage));
    let kept = fs::renameat(dir, partial.as_bytes(), dir, safe.as_bytes())
        .and_then(|()| fs::unlinkat(dir, job.log.as_bytes(), AtFlags::empty()))
        .and_then(|()| fs::renameat(dir, "newstate", dir, "state"));
    kept.map_err(|e| format!("keep its output: {}", io::Error::from(e)))
}
