//! `supervise/done`: a oneshot has been done, in this boot. One line, `BOOT_ID
//! PID_NAMESPACE TAI64N`: where that was, as in `lock`, and when.

use alloc::format;
use alloc::string::String;

use super::Words;
use crate::format::adopt::World;
use crate::format::tai64n::Tai64n;

/// A boot id that is longer is none.
const BOOT_ID_BYTES_MAX: usize = 64;

/// The decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// In which boot and pid namespace.
    pub world: World,
    /// When.
    pub at: Tai64n,
}

impl Done {
    /// The line.
    pub fn encode(&self) -> String {
        let World {
            boot_id,
            pid_namespace,
        } = &self.world;
        format!("{boot_id} {pid_namespace} {}\n", self.at)
    }

    /// Reads the line.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let mut words = Words::of(line)?;
        let boot_id = words
            .word()
            .filter(|id| (1..=BOOT_ID_BYTES_MAX).contains(&id.len()))?;
        let done = Self {
            world: World {
                boot_id: boot_id.into(),
                pid_namespace: words.number()?,
            },
            at: words.label()?,
        };
        words.end().map(|()| done)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, goes_there_and_back};
    use super::*;

    #[test]
    fn golden_and_round_trip() {
        let done = |boot_id: &str, pid_namespace| Done {
            world: World {
                boot_id: boot_id.into(),
                pid_namespace,
            },
            at: AT,
        };
        let golden = done("1f0c7c43-4bd0-4f9a-a1c7-2f5f9e5a9a10", 4_026_531_836);
        let line = "1f0c7c43-4bd0-4f9a-a1c7-2f5f9e5a9a10 4026531836 @400000006553f10a00000005\n";
        assert_eq!(golden.encode(), line);
        goes_there_and_back(&golden, line, Done::decode);
        let longest = done(&"b".repeat(BOOT_ID_BYTES_MAX), u64::MAX);
        goes_there_and_back(&longest, &longest.encode(), Done::decode);
        let longer = done(&"b".repeat(BOOT_ID_BYTES_MAX + 1), 1);
        assert_eq!(Done::decode(longer.encode().as_bytes()), None);
        let nowhere = " 4026531836 @400000006553f10a00000005\n";
        assert_eq!(Done::decode(nowhere.as_bytes()), None);
    }
}
