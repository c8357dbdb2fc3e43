//! A process as the supervisor knows it: its number, and how it ended.

/// A process id.
pub type Pid = u32;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// The raw wait status of waitpid(2).
    Status(i32),
    /// It was not our child, and nobody could say.
    Unknown,
}

impl Exit {
    /// The two arguments of `./finish` (runsv(8)): exit code or -1, and the low
    /// byte of the wait status. An unknown end counts as abnormal, by no signal.
    pub const fn finish_args(self) -> (i32, i32) {
        match self {
            Self::Status(raw) => match raw & 0x7f {
                0 => ((raw >> 8) & 0xff, raw & 0xff),
                _ => (-1, raw & 0xff),
            },
            Self::Unknown => (-1, 0),
        }
    }
}
