//! What the descriptors in the epoll set are, as the numbers that the kernel keeps with them.

use model::service::Role;
use model::supervisor::{Id, UnitId};

/// What a ready descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Signals.
    Signals,
    /// Changes of the scan directory.
    ScanDir,
    /// Text for the title.
    Title,
    /// PID 1's word of exit statuses.
    Exits,
    /// A program was loaded.
    Loads,
    /// Control bytes.
    Control(Id),
    /// The process of a service has ended.
    Pidfd(Id),
    /// The run of a unit says that it is ready.
    NotifyPipe(UnitId),
    /// The service of a unit has sent messages.
    NotifySocket(UnitId),
}

impl Token {
    /// Its number in the epoll set.
    pub fn encode(self) -> u64 {
        let id = |id: Id, kind: u64| id.unit << 3 | u64::from(id.role == Role::Log) << 2 | kind;
        match self {
            Self::Signals => 0,
            Self::ScanDir => 1,
            Self::Title => 2,
            Self::Exits => 3,
            Self::Loads => u64::MAX,
            Self::Control(of) => id(of, 0),
            Self::Pidfd(of) => id(of, 1),
            Self::NotifyPipe(unit) => unit << 3 | 2,
            Self::NotifySocket(unit) => unit << 3 | 3,
        }
    }

    /// What a number stands for.
    pub fn decode(bits: u64) -> Self {
        let role = if bits & 4 == 0 { Role::Main } else { Role::Log };
        let id = Id {
            unit: bits >> 3,
            role,
        };
        match bits {
            0 => Self::Signals,
            1 => Self::ScanDir,
            2 => Self::Title,
            3 => Self::Exits,
            u64::MAX => Self::Loads,
            _ => match bits & 3 {
                0 => Self::Control(id),
                1 => Self::Pidfd(id),
                2 => Self::NotifyPipe(id.unit),
                _ => Self::NotifySocket(id.unit),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        let ids = [Role::Main, Role::Log].map(|role| Id { unit: 77, role });
        let tokens = ids
            .into_iter()
            .flat_map(|id| [Token::Control(id), Token::Pidfd(id)]);
        let tokens = tokens.chain([Token::NotifyPipe(77), Token::NotifySocket(77)]);
        for token in tokens.chain([Token::Signals, Token::ScanDir, Token::Title, Token::Exits]) {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
