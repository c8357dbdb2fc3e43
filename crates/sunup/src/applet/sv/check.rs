//! `./check`: the service's own word on whether it is available.
//!
//! It runs beside the waiting, in the service directory, and its exit code 0 means yes.
//! If it says no, it is run again after a while, because no event says when its answer
//! changes. It leads a process group, so that a check that hangs can be ended with all
//! that it started. Standard input and output are /dev/null, so that only sv's own output
//! appears.

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::path::Path;

use model::process::Pid;
use rustix::fs::{Access, access, stat};
use rustix::io::Errno;
use rustix::process::{WaitOptions, set_parent_process_death_signal, setpgid, waitpid};

use super::reason::reason;
use crate::say;
use crate::sys::signal::SIGKILL;
use crate::sys::{clock, signal, spawn};

const PATH: &CStr = c"./check";
/// The first gap between two runs, and the longest; each is twice the one before.
const GAP_NS_FIRST: u64 = 25_000_000;
const GAP_NS_MAX: u64 = 400_000_000;

/// The checking of one service.
pub struct Check {
    state: State,
    gap_ns: u64,
    /// A problem with the script was reported, which happens once.
    warned: bool,
}

/// What the service says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// That it is available.
    Available,
    /// Nothing: there is no `./check`, or it cannot be run.
    None,
    /// Nothing yet.
    NotYet,
}

enum State {
    /// To be run when its time (boot clock, ns) has come.
    Due(u64),
    Running(spawn::Pid),
}

impl Check {
    /// Nothing runs yet.
    pub const fn new() -> Self {
        Self {
            state: State::Due(0),
            gap_ns: GAP_NS_FIRST,
            warned: false,
        }
    }

    /// What `./check` says now. Never waits.
    pub fn ask(&mut self, dir: &Path) -> Word {
        match self.state {
            State::Running(pid) => self.heard(pid),
            State::Due(at_ns) if clock::boot_ns() < at_ns => Word::NotYet,
            State::Due(_) => self.start(dir),
        }
    }

    /// When to look again (boot clock, ns), if the end of a process does not wake sv
    /// before.
    pub fn again_at_ns(&self) -> Option<u64> {
        match self.state {
            State::Due(at_ns) if at_ns > 0 => Some(at_ns),
            _ => None,
        }
    }

    /// Whether the script runs now.
    pub const fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Kills a run that is no longer needed.
    pub fn stop(&mut self) {
        if let State::Running(pid) = self.state {
            // The group may not exist yet, so the process is named, too. Errors: already gone.
            drop(signal::kill_group(pid as Pid, SIGKILL));
            drop(signal::kill(pid as Pid, SIGKILL));
            let _ = waitpid(pid_of(pid), WaitOptions::empty());
        }
        self.state = State::Due(0);
    }

    /// The result of the run, if it has ended.
    fn heard(&mut self, pid: spawn::Pid) -> Word {
        match waitpid(pid_of(pid), WaitOptions::NOHANG) {
            Ok(None) | Err(Errno::INTR) => {}
            Ok(Some((_, status))) if status.exit_status() == Some(0) => {
                self.state = State::Due(0);
                return Word::Available;
            }
            Ok(Some(_)) | Err(_) => self.later(),
        }
        Word::NotYet
    }

    fn later(&mut self) {
        self.state = State::Due(clock::boot_ns().saturating_add(self.gap_ns));
        self.gap_ns = (self.gap_ns * 2).min(GAP_NS_MAX);
    }

    /// Starts `./check`.
    fn start(&mut self, dir: &Path) -> Word {
        let path = dir.join("check");
        match stat(&path) {
            Err(Errno::NOENT) => return Word::None,
            Err(e) => {
                self.warn("stat", &path, e);
                self.later();
                return Word::NotYet;
            }
            Ok(_) => {}
        }
        if let Err(e) = access(&path, Access::EXEC_OK) {
            self.warn("run", &path, e);
            return Word::None;
        }
        match spawn::fork(|| run(dir, &path)) {
            Ok(pid) => self.state = State::Running(pid),
            Err(_) => self.later(),
        }
        Word::NotYet
    }

    fn warn(&mut self, attempt: &str, path: &Path, e: Errno) {
        if !self.warned {
            self.warned = true;
            warn(attempt, path, e);
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.stop();
    }
}

fn warn(attempt: &str, path: &Path, e: Errno) {
    let what = format!("unable to {attempt} {}: {}", path.display(), reason(e));
    say::line("warning", what);
}

fn pid_of(pid: spawn::Pid) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid)
}

/// In the child: becomes the check. If the check cannot be run, the service does not fail
/// for that, as in runit.
fn run(dir: &Path, path: &Path) -> u8 {
    if let Err(e) = prepare(dir) {
        warn("run", path, e);
        return 0;
    }
    let error = spawn::exec(PATH, &[CString::from(PATH)], None);
    let e = Errno::from_io_error(&error).unwrap_or(Errno::NOEXEC);
    warn("run", path, e);
    0
}

fn prepare(dir: &Path) -> Result<(), Errno> {
    setpgid(None, None)?;
    // With sv itself gone, nobody would end a check that hangs.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::process::chdir(dir)?;
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
    }
    Ok(())
}
