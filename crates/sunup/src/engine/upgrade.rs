//! USR2: another program goes on in this process, and no service notices
//! (`docs/decisions/0014-upgrade.md`).
//!
//! The program is looked for by the path that this one was started by. It is tested
//! first, as a child that is asked for its version: a program that cannot even do that
//! would end the supervision. Then it is executed in place, and everything that is open
//! for the services stays open ([`super::heritage`]).

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use model::service::Pid;
use model::time::Instant;
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};

use super::Engine;
use super::heritage::{VARIABLE, Will};
use super::scandir::ScanDir;
use super::title::Title;
use crate::say;
use crate::sys::{arguments, clock, env, signal, spawn};

/// How long the program may take to tell its version (ms).
const TRIAL_MS: u64 = 5000;
/// How long to wait for directories that are being filled (ms).
const SETTLING_MS: u64 = 5000;
/// Exit code of a test that has itself reported the problem.
const SAID: u8 = 127;

/// The upgrade: how to execute the program, and how far it is.
pub struct Upgrade {
    called: Called,
    stage: Option<Stage>,
}

/// How this program was called.
struct Called {
    path: Option<CString>,
    argv: Vec<CString>,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The program is being tested, until this moment at most.
    Trial(Pid, Instant),
    /// It will be executed as soon as nothing prevents it, or at this moment.
    Due(Instant),
}

impl Upgrade {
    /// No upgrade is under way. Call this before the title overwrites the arguments.
    pub fn new() -> Self {
        Self {
            called: Called::now(),
            stage: None,
        }
    }
}

impl Called {
    fn now() -> Self {
        Self {
            path: path().and_then(|path| CString::new(path.into_vec()).ok()),
            argv: arguments::words(),
        }
    }

    fn shown(&self) -> String {
        let path = self.path.as_deref().unwrap_or_default();
        path.to_bytes().escape_ascii().to_string()
    }
}

/// The path by which the kernel found this program. It may be a link, whose name matters
/// (`personality`). If this path does not stay valid, the kernel knows that of the file.
fn path() -> Option<OsString> {
    let told = Path::new(std::ffi::OsStr::from_bytes(env::exec_path()));
    let fleeting = ["/proc", "/dev/fd"].iter().any(|dir| told.starts_with(dir));
    if told.as_os_str().is_empty() || fleeting {
        return fs::read_link("/proc/self/exe").ok().map(Into::into);
    }
    std::path::absolute(told).ok().map(Into::into)
}

impl Engine {
    /// On USR2: tests the program, unless the supervision ends.
    pub(super) fn begin_upgrade(&mut self) {
        if self.core.is_ending() || self.upgrade.stage.is_some() {
            return;
        }
        match self.try_program() {
            Ok(pid) => {
                let until = clock::now().plus_ms(TRIAL_MS);
                self.upgrade.stage = Some(Stage::Trial(pid as Pid, until));
            }
            Err(e) => self.no_upgrade(&format!("start {}: {e}", self.upgrade.called.shown())),
        }
    }

    fn no_upgrade(&self, why: &str) {
        say::offer(
            self.who,
            format_args!("upgrade: {why}; the present program goes on"),
        );
    }

    fn try_program(&self) -> io::Result<spawn::Pid> {
        let name = self.upgrade.called.argv.first();
        let (Some(path), Some(name)) = (&self.upgrade.called.path, name) else {
            return Err(io::Error::other("its path is not known"));
        };
        let argv = [name.clone(), c"--version".to_owned()];
        spawn::fork(|| {
            self.launcher.give_files_limit_back();
            let null = rustix::fs::open("/dev/null", OFlags::WRONLY, Mode::empty());
            // Without it, the version is seen by somebody.
            let _ = null.and_then(rustix::stdio::dup2_stdout);
            let e = spawn::exec(path, &argv, None);
            self.no_upgrade(&format!("start {}: {e}", self.upgrade.called.shown()));
            SAID
        })
    }

    /// A child that belongs to no service ended; perhaps it was the test.
    pub(super) fn trial_ended(&mut self, pid: Pid, status: i32) {
        if !matches!(self.upgrade.stage, Some(Stage::Trial(trial, _)) if trial == pid) {
            return;
        }
        self.upgrade.stage = (status == 0).then(|| Stage::Due(clock::now().plus_ms(SETTLING_MS)));
        if status != 0 && status != i32::from(SAID) << 8 {
            let how = match status & 0x7f {
                0 => format!("exit code {}", status >> 8),
                signal => format!("ended by signal {signal}"),
            };
            self.no_upgrade(&format!("{} --version: {how}", self.upgrade.called.shown()));
        }
    }

    /// When [`Engine::upgrade_if_due`] is to be called at the latest.
    pub(super) fn upgrade_deadline(&self) -> Option<Instant> {
        match self.upgrade.stage? {
            Stage::Trial(_, until) => Some(until),
            // The end of a script wakes the loop by itself.
            Stage::Due(latest) => (!self.is_telling()).then_some(latest),
        }
    }

    /// Executes the program, if it is time; returns if that fails. Every action is done,
    /// and the state files are written.
    pub(super) fn upgrade_if_due(&mut self) {
        let now = clock::now();
        match self.upgrade.stage {
            Some(Stage::Trial(pid, until)) if until <= now => {
                // Its end reports that; once is enough.
                drop(signal::kill(pid, signal::SIGKILL));
                self.upgrade.stage = Some(Stage::Trial(pid, Instant(u64::MAX)));
            }
            None | Some(Stage::Trial(..)) => {}
            Some(Stage::Due(_)) if self.core.is_ending() => self.upgrade.stage = None,
            Some(Stage::Due(latest)) => {
                let settles = self.scan_dir.as_ref().is_some_and(ScanDir::is_settling);
                if !self.is_telling() && (!settles || latest <= now) {
                    self.upgrade.stage = None;
                    self.settle_starts(None);
                    if let Err(e) = self.exec_program() {
                        self.no_upgrade(&format!("start {}: {e}", self.upgrade.called.shown()));
                    }
                }
            }
        }
    }

    fn exec_program(&self) -> io::Result<()> {
        let Some(path) = &self.upgrade.called.path else {
            return Ok(());
        };
        let mut will = Will::new();
        will.tell(&self.core.handover());
        for (id, unit) in &self.units {
            will.unit(*id, unit);
        }
        if let Some(title) = &self.title {
            will.title(title.descriptor());
        }
        if let Some(files) = self.launcher.files_limit() {
            will.files(files);
        }
        let description = will.seal()?;
        will.kept.push(description.as_fd());
        let mut argv = self.upgrade.called.argv.clone();
        // The title keeps its present text.
        if let (Some(last), Some(title)) = (argv.last_mut(), &self.title) {
            *last = CString::new(Title::text(title))?;
        }
        env::set(VARIABLE, description.as_raw_fd().to_string());
        let kept = keep(&will.kept, FdFlags::empty());
        let e = kept.map_or_else(Into::into, |()| spawn::exec(path, &argv, None));
        env::remove(VARIABLE);
        keep(&will.kept, FdFlags::CLOEXEC)?;
        Err(e)
    }
}

fn keep(fds: &[BorrowedFd], flags: FdFlags) -> rustix::io::Result<()> {
    fds.iter().try_for_each(|fd| fcntl_setfd(fd, flags))
}
