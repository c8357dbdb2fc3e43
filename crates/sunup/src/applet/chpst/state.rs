//! The state that the command line asks for, and how it is set.

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, IntoRawFd};

use model::chpst::{Account, Identity, Limit};
use model::format::account::{self, Fault, User};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, chdir, chroot, getrlimit, setrlimit, setsid};
use rustix::stdio::{stderr, stdin, stdout};

use super::environment;
use super::wrong::{Wrong, path, wrong};
use crate::accounts::{self, GROUP, PASSWD};
use crate::sys::credentials;
use crate::sys::path_search::{self, Change};
use crate::{personality, say};

/// The state cannot be set, or the program cannot be started (runit's exit code).
const FAILED: u8 = 111;
/// The program does not exist, or cannot be started (busybox's exit codes).
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// What to change; by default, nothing.
#[derive(Default)]
pub struct State<'a> {
    /// Lead a new session.
    pub new_session: bool,
    /// A directory of variables.
    pub variables_dir: Option<&'a [u8]>,
    /// The root directory.
    pub root: Option<&'a [u8]>,
    /// The working directory.
    pub dir: Option<&'a [u8]>,
    /// Added to the nice level.
    pub nice: i32,
    /// The account whose numbers go into UID and GID.
    pub shown_account: Option<Who<'a>>,
    /// The account to become.
    pub account: Option<Who<'a>>,
    /// A lock to hold.
    pub lock: Option<Lock<'a>>,
    /// Soft limits. If there are several for one resource, the last one counts.
    pub limits: Vec<(Resource, Limit)>,
    /// Which of standard input, output and error to close.
    pub close: [bool; 3],
    /// The name that the program gets as `argv[0]`.
    pub argv0: Option<&'a [u8]>,
    /// Report also what does not stop chpst.
    pub verbose: bool,
}

/// An account, or what is wrong with it. A wrong account is no usage error: the state
/// cannot be set.
pub type Who<'a> = Result<Account<'a>, Wrong>;

/// A file to lock.
pub struct Lock<'a> {
    /// The file. If it is missing, it is made.
    pub path: &'a [u8],
    /// Wait for the lock.
    pub wait: bool,
    /// If the lock cannot be had, end with success and without a message.
    pub silent: bool,
}

/// Why the program does not run.
enum Stop {
    Failed(Wrong),
    /// The state is set, but the program cannot be started.
    NotStarted(Wrong, ErrorKind),
    /// Somebody else holds the lock, and that is no failure.
    NotOurTurn,
}

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        Self::Failed(wrong)
    }
}

impl State<'_> {
    /// Sets the state and becomes the program. Returns the exit code if that fails.
    pub fn become_program(&self, who: &str, program: &[&[u8]]) -> u8 {
        match self.attempt(who, program) {
            Stop::NotOurTurn => 0,
            Stop::Failed(wrong) => {
                say::line(who, wrong);
                personality::failure(who, FAILED)
            }
            Stop::NotStarted(wrong, reason) => {
                say::line(who, wrong);
                let busybox = match reason {
                    ErrorKind::NotFound => NOT_FOUND,
                    _ => NOT_EXECUTABLE,
                };
                personality::pick(FAILED, busybox)
            }
        }
    }

    fn attempt(&self, who: &str, program: &[&[u8]]) -> Stop {
        let changes = match self.change(who) {
            Ok(changes) => changes,
            Err(stop) => return stop,
        };
        // Prepare all of this before the limits apply.
        let (Some(name), mut argv) = (
            program.first().and_then(|name| CString::new(*name).ok()),
            c_strings(program),
        ) else {
            return Stop::Failed("no program to run".to_owned());
        };
        if let (Some(argv0), Some(first)) = (self.argv0, argv.first_mut()) {
            *first = CString::new(argv0).unwrap_or_default();
        }
        let env = path_search::environment(&changes);
        if let Err(wrong) = self.close().and_then(|()| self.limit()) {
            return Stop::Failed(wrong);
        }
        let error = path_search::exec(&name, &argv, &env);
        let reason = error.kind();
        Stop::NotStarted(wrong(name.to_bytes(), "start", error), reason)
    }

    /// Sets all but the limits, which would hamper chpst itself. Returns the variables.
    fn change(&self, who: &str) -> Result<Vec<Change>, Stop> {
        if self.new_session
            && let Err(error) = setsid()
            && self.verbose
        {
            // The process leads a session already, which is what was asked for.
            say::line(who, format_args!("start a session: {error}"));
        }
        let mut changes = match self.variables_dir {
            Some(dir) => environment::read(dir, |odd| say::line(who, odd))?,
            None => Vec::new(),
        };
        self.move_in()?;
        if self.nice != 0 {
            rustix::process::nice(self.nice)
                .map_err(|e| format!("add {} to the nice level: {e}", self.nice))?;
        }
        if let Some(account) = &self.shown_account {
            let identity = look_up(account)?;
            changes.push((b"UID".to_vec(), Some(identity.uid.to_string().into())));
            changes.push((b"GID".to_vec(), Some(identity.gid.to_string().into())));
        }
        if let Some(account) = &self.account {
            assume(&look_up(account)?)?;
        }
        if let Some(lock) = &self.lock {
            lock.take()?;
        }
        Ok(changes)
    }

    /// Changes the root directory, and then the working directory.
    fn move_in(&self) -> Result<(), Wrong> {
        if let Some(root) = self.root {
            chdir(path(root)).map_err(|e| wrong(root, "change to this directory", e))?;
            chroot(".").map_err(|e| wrong(root, "make this the root directory", e))?;
        }
        if let Some(dir) = self.dir {
            chdir(path(dir)).map_err(|e| wrong(dir, "change to this directory", e))?;
        }
        Ok(())
    }

    /// Has exec close the descriptors, so that a failed exec can still be reported.
    fn close(&self) -> Result<(), Wrong> {
        let stdio: [BorrowedFd; 3] = [stdin(), stdout(), stderr()];
        for (fd, close) in stdio.into_iter().zip(self.close) {
            if close {
                fcntl_setfd(fd, FdFlags::CLOEXEC)
                    .map_err(|e| format!("close a descriptor: {e}"))?;
            }
        }
        Ok(())
    }

    fn limit(&self) -> Result<(), Wrong> {
        for (resource, limit) in &self.limits {
            let hard = getrlimit(*resource).maximum;
            let both = Rlimit {
                current: limit.under(hard),
                maximum: hard,
            };
            setrlimit(*resource, both).map_err(|e| format!("limit {resource:?}: {e}"))?;
        }
        Ok(())
    }
}

fn c_strings(list: &[&[u8]]) -> Vec<CString> {
    // Arguments hold no NUL, so none is lost here.
    list.iter()
        .filter_map(|item| CString::new(*item).ok())
        .collect()
}

fn assume(identity: &Identity) -> Result<(), Wrong> {
    credentials::assume(identity.uid, identity.gid, &identity.groups)
        .map_err(|(step, error)| format!("become user {}: {step}: {error}", identity.uid))
}

fn look_up(who: &Who) -> Result<Identity, Wrong> {
    let (name, group_names) = match who {
        Err(wrong) => return Err(wrong.clone()),
        Ok(Account::Numbers(identity)) => return Ok(identity.clone()),
        Ok(Account::Named { user, groups }) => (user, groups),
    };
    let passwd = read(PASSWD)?;
    let user = match number(name) {
        Some(uid) => User {
            uid,
            gid: account::own_group(&passwd, uid).unwrap_or(uid),
        },
        None => found(PASSWD, name, account::user(&passwd, name))?,
    };
    let mut groups = Vec::new();
    if !group_names.is_empty() {
        let file = read(GROUP)?;
        for name in group_names {
            let gid = match number(name) {
                Some(gid) => gid,
                None => found(GROUP, name, account::group(&file, name))?,
            };
            groups.push(gid);
        }
    }
    let gid = groups.first().copied().unwrap_or(user.gid);
    if groups.is_empty() {
        groups.push(gid);
    }
    Ok(Identity {
        uid: user.uid,
        gid,
        groups,
    })
}

/// A name that is a number. busybox takes it as a number, even if an account has the name.
fn number(name: &[u8]) -> Option<u32> {
    account::id(name).filter(|_| personality::is_busybox())
}

fn found<T>(file: &str, name: &[u8], entry: Result<Option<T>, Fault>) -> Result<T, Wrong> {
    match entry {
        Ok(Some(value)) => Ok(value),
        Ok(None) if account::id(name).is_some() => Err(wrong(
            name,
            &format!("look it up in {file}"),
            "not there; numbers take a leading colon, as in :1000:1000",
        )),
        Ok(None) => Err(wrong(name, &format!("look it up in {file}"), "not there")),
        Err(Fault { line, reason }) => Err(format!("{file}:{line}: {reason}")),
    }
}

fn read(path: &str) -> Result<Vec<u8>, Wrong> {
    accounts::read(path).map_err(|e| wrong(path.as_bytes(), "read", e))
}

impl Lock<'_> {
    /// Takes the lock. The program then holds it until it ends.
    fn take(&self) -> Result<(), Stop> {
        let stop = |attempt, error: io::Error| {
            if self.silent {
                return Stop::NotOurTurn;
            }
            Stop::Failed(wrong(self.path, attempt, error))
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path(self.path), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| stop("open the lock", e.into()))?;
        let operation = if self.wait {
            FlockOperation::LockExclusive
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        rustix::io::retry_on_intr(|| flock(&fd, operation)).map_err(|e| {
            let reason = match e {
                Errno::WOULDBLOCK => io::Error::other("another process holds it"),
                e => e.into(),
            };
            stop("lock", reason)
        })?;
        // It stays open for the program.
        let _ = fd.into_raw_fd();
        Ok(())
    }
}
