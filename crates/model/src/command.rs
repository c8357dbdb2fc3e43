//! The bytes of `supervise/control` (service-directory(5)), one table both ways.

use crate::signal::Signal;

/// A signal that a control byte sends, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sig {
    /// STOP.
    Pause,
    /// CONT.
    Cont,
    /// HUP.
    Hup,
    /// ALRM.
    Alarm,
    /// INT.
    Interrupt,
    /// QUIT.
    Quit,
    /// USR1.
    Usr1,
    /// USR2.
    Usr2,
    /// TERM.
    Term,
    /// KILL.
    Kill,
}

impl Sig {
    /// Every signal, in the table's order.
    pub const ALL: [Self; 10] = [
        Self::Pause,
        Self::Cont,
        Self::Hup,
        Self::Alarm,
        Self::Interrupt,
        Self::Quit,
        Self::Usr1,
        Self::Usr2,
        Self::Term,
        Self::Kill,
    ];

    /// The control byte, which is also the name of its script in `./control`.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Pause => b'p',
            Self::Cont => b'c',
            Self::Hup => b'h',
            Self::Alarm => b'a',
            Self::Interrupt => b'i',
            Self::Quit => b'q',
            Self::Usr1 => b'1',
            Self::Usr2 => b'2',
            Self::Term => b't',
            Self::Kill => b'k',
        }
    }

    /// The signal.
    pub const fn signal(self) -> Signal {
        match self {
            Self::Pause => Signal::STOP,
            Self::Cont => Signal::CONT,
            Self::Hup => Signal::HUP,
            Self::Alarm => Signal::ALRM,
            Self::Interrupt => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
            Self::Term => Signal::TERM,
            Self::Kill => Signal::KILL,
        }
    }
}

/// What one control byte asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `u`: start, and restart when it ends.
    Up,
    /// `f`: as `u`, and start now, whatever the start waits for.
    StartNow,
    /// `d`: stop, and leave it down.
    Down,
    /// `o`: start, and leave it down when it ends.
    Once,
    /// `x`: stop, and end the supervision.
    Exit,
    /// `z`: forget that it failed.
    Reset,
    /// `R`: the run is ready.
    Ready,
    /// Any other letter: send a signal.
    Signal(Sig),
}

impl Command {
    /// The command of a control byte; runsv ignores every other byte, and so do we.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'u' => Self::Up,
            b'f' => Self::StartNow,
            b'd' => Self::Down,
            b'o' => Self::Once,
            b'x' => Self::Exit,
            b'z' => Self::Reset,
            b'R' => Self::Ready,
            _ => Self::Signal(Sig::ALL.into_iter().find(|s| s.letter() == byte)?),
        })
    }

    /// The control byte of a command.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Up => b'u',
            Self::StartNow => b'f',
            Self::Down => b'd',
            Self::Once => b'o',
            Self::Exit => b'x',
            Self::Reset => b'z',
            Self::Ready => b'R',
            Self::Signal(sig) => sig.letter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_256_bytes() {
        let known = b"ufdoxzRpchaiq12tk";
        for byte in 0..=255 {
            let command = Command::from_byte(byte);
            assert_eq!(command.is_some(), known.contains(&byte), "{byte}");
            assert!(command.is_none_or(|c| c.byte() == byte));
        }
    }
}
