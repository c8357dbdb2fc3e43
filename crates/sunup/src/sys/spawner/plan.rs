//! What a child is to become: its program, and what it has of its own.

use std::ffi::CString;
use std::os::fd::{OwnedFd, RawFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::record::Record;

/// In which session and process group the child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// That of the supervisor.
    Inherit,
    /// As `Detached`; and the program leads a process group of its own, which has the number
    /// of its process.
    Group,
    /// A new one, whose leader ends at once. As under runit's `runsvdir -P`, where runsv
    /// is the leader, the program itself is not the leader, and `exec setsid ...` in a
    /// run script does not fork.
    Detached,
}

/// What a child becomes. Everything is prepared before the fork.
pub struct Plan {
    /// Directory to change to first.
    pub cwd: RawFd,
    /// Path of the program, relative to `cwd`.
    pub program: CString,
    /// Arguments, `argv[0]` included.
    pub argv: Vec<CString>,
    /// A descriptor, and which of 0, 1 and 2 it becomes; the others are the supervisor's.
    pub stdio: Option<(RawFd, RawFd)>,
    /// What else it gets.
    pub gift: Gift,
    /// Session and process group.
    pub session: Session,
    /// The limit of open files, if the supervisor raised its own.
    pub files: Option<FilesLimit>,
    /// A file that the child fills with its own identity just before the exec:
    /// text that the caller chose, then the child's pid and its boot-clock time
    /// in nanoseconds.
    pub record: Option<Record>,
}

/// What a child gets beside standard input and output.
#[derive(Debug, Default)]
pub struct Gift {
    /// Descriptors, and the number that each has in the child. Low ones (all below the
    /// highest are copied), and none may have the number that another gets.
    pub fds: Vec<(OwnedFd, RawFd)>,
    /// `NAME=VALUE` each, in place of what this process has by these names.
    pub variables: Vec<CString>,
}

/// Limits of open files, soft and hard.
#[derive(Clone, Copy)]
pub struct FilesLimit(Rlimit);

/// Stands for "no limit", as it does for the kernel.
const UNLIMITED: u64 = u64::MAX;

impl FilesLimit {
    /// Those of this process.
    pub fn now() -> Self {
        Self(getrlimit(Resource::Nofile))
    }

    /// Soft and hard one.
    pub fn numbers(&self) -> (u64, u64) {
        let number = |limit: Option<u64>| limit.unwrap_or(UNLIMITED);
        (number(self.0.current), number(self.0.maximum))
    }

    /// As [`FilesLimit::numbers`] gave them.
    pub fn of(current: u64, maximum: u64) -> Self {
        let limit = |number: u64| (number != UNLIMITED).then_some(number);
        Self(Rlimit {
            current: limit(current),
            maximum: limit(maximum),
        })
    }

    /// Makes them this process' limits. Lowering is always permitted; if anything else
    /// fails, the child keeps its limits.
    pub fn set_again(&self) {
        let _expected = setrlimit(Resource::Nofile, self.0);
    }
}
