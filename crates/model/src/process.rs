//! A process: its number, how it ended, and why.

use core::fmt::{self, Display};

/// A process id.
pub type Pid = u32;

/// What a service's process runs while the service is wanted up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// `./setup`, before `./run` or in its place.
    Setup,
    /// `./run`.
    Run,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
    /// As `Signal`, and it left a core dump.
    Dumped(u8),
    /// It was not our child, and nobody could say.
    Unknown,
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It ended by itself, or could not be executed.
    Itself,
    /// A command ended it, so its end says nothing.
    Command,
    /// It was not ready in its time.
    Timeout,
    /// `./setup` failed, so there was no run.
    Setup,
    /// A oneshot that was done is to be down, or to begin again.
    Undone,
}

impl Exit {
    /// Of the raw status that waitpid(2) gives for a process that has ended.
    pub const fn of_status(raw: i32) -> Self {
        match (raw & 0x7f, raw & 0x80) {
            (0, _) => Self::Code((raw >> 8) as u8),
            (signal, 0) => Self::Signal(signal as u8),
            (signal, _) => Self::Dumped(signal as u8),
        }
    }

    /// The raw status, if it is known.
    pub fn status(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(i32::from(code) << 8),
            Self::Signal(signal) => Some(signal.into()),
            Self::Dumped(signal) => Some(i32::from(signal) | 0x80),
            Self::Unknown => None,
        }
    }

    /// The signal that killed it, if one did.
    pub const fn signal(self) -> Option<u8> {
        match self {
            Self::Signal(signal) | Self::Dumped(signal) => Some(signal),
            Self::Code(_) | Self::Unknown => None,
        }
    }

    /// The two arguments of `./finish` (runsv(8)): exit code or -1, and the low
    /// byte of the wait status. An unknown end counts as abnormal, by no signal.
    pub fn finish_args(self) -> (i32, i32) {
        match self {
            Self::Code(code) => (code.into(), 0),
            other => (-1, other.status().unwrap_or(0)),
        }
    }
}

impl Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.signal()) {
            (Self::Code(code), _) => write!(f, "exited {code}"),
            (_, Some(signal)) => write!(f, "was killed by signal {signal}"),
            (_, None) => f.write_str("ended in a way that nobody saw"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    /// The layout is the kernel's: the code in the second byte, the signal in the
    /// low seven bits, and the eighth says that there is a core dump.
    #[test]
    fn statuses_are_read_as_the_kernel_writes_them() {
        for byte in 0..=255_u8 {
            let code = i32::from(byte) << 8;
            assert_eq!(Exit::of_status(code), Exit::Code(byte));
            assert_eq!(Exit::Code(byte).status(), Some(code));
            assert_eq!(Exit::Code(byte).finish_args(), (byte.into(), 0));
            let signal = byte & 0x7f;
            if signal != 0 {
                let killed = Exit::of_status(byte.into());
                assert_eq!(killed.signal(), Some(signal));
                assert_eq!(killed.status(), Some(byte.into()));
                assert_eq!(killed.finish_args(), (-1, byte.into()));
            }
        }
        assert_eq!(Exit::Unknown.finish_args(), (-1, 0));
    }
}
