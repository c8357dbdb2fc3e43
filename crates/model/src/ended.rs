//! How a process ended.

use core::fmt::{self, Display};

/// How a process ended, as its parent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// It exited with this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

impl Ended {
    /// Of the raw status that waitpid(2) gives for a process that has ended.
    pub const fn of_status(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Code((raw >> 8) as u8),
            signal => Self::Signal(signal as u8),
        }
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ended;

    /// The layout is the kernel's: the code in the second byte, the signal in the
    /// low seven bits, and the eighth says that there is a core dump.
    #[test]
    fn statuses_are_read_as_the_kernel_writes_them() {
        for byte in 0..=255_u8 {
            let code = i32::from(byte) << 8;
            assert_eq!(Ended::of_status(code), Ended::Code(byte));
            let signal = byte & 0x7f;
            if signal != 0 {
                assert_eq!(Ended::of_status(byte.into()), Ended::Signal(signal));
            }
        }
    }
}
