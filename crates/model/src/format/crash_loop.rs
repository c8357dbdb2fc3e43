//! `supervise/crash-loop`. The file exists while a service with a file `backoff` is in a
//! crash loop. It is one line of four numbers: how many short lives there were in a row; the
//! two arguments that `./finish` got after the last one (runsv(8)); and when the next start
//! is due, in nanoseconds of the boot clock, or 0 while that start is under way.

use alloc::format;
use alloc::string::String;

use crate::time::Instant;

/// The longest line that is written, in bytes.
pub const BYTES_MAX: usize = 64;

/// The decoded line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// Short lives in a row.
    pub lives: u32,
    /// The exit code or -1, and the low byte of the wait status.
    pub ended: (i32, i32),
    /// When the next start is due. `None`: it is under way.
    pub next: Option<Instant>,
}

impl CrashLoop {
    /// The line.
    pub fn encode(&self) -> String {
        let next = self.next.map_or(0, |at| at.0);
        let (code, status) = self.ended;
        format!("{} {code} {status} {next}\n", self.lives)
    }

    /// Reads the line. `None`: it is no complete line of this form.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let line = core::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let mut fields = line.split(' ');
        let lives = fields.next()?.parse().ok()?;
        let ended = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let next = fields.next()?.parse().ok()?;
        fields.next().is_none().then_some(Self {
            lives,
            ended,
            next: (next != 0).then_some(Instant(next)),
        })
    }

    /// What `sv` adds to a status at the moment `now`.
    pub fn remark(&self, now: Instant) -> String {
        let left_ms = self.next.map_or(0, |next| next.ms_since(now));
        match left_ms.div_ceil(1000) {
            0 => ", crash loop".into(),
            seconds => format!(", crash loop, next start in {seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: CrashLoop = CrashLoop {
        lives: 7,
        ended: (-1, 139),
        next: Some(Instant(12_000_000_001)),
    };

    #[test]
    fn golden_and_round_trip() {
        assert_eq!(GOLDEN.encode(), "7 -1 139 12000000001\n");
        let longest = CrashLoop {
            lives: u32::MAX,
            ended: (i32::MIN, i32::MIN),
            next: Some(Instant(u64::MAX)),
        };
        let trying = CrashLoop {
            next: None,
            ..GOLDEN
        };
        for shown in [GOLDEN, longest, trying] {
            let line = shown.encode();
            assert!(line.len() <= BYTES_MAX);
            assert_eq!(CrashLoop::decode(line.as_bytes()), Some(shown));
            for cut in 0..line.len() {
                assert_eq!(CrashLoop::decode(&line.as_bytes()[..cut]), None);
            }
        }
        for bad in [
            "",
            "\n",
            "1 2 3\n",
            "1 2 3 4 5\n",
            "1 2 3 x\n",
            "1 2 3 4\n\n",
        ] {
            assert_eq!(CrashLoop::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        let remark = |ms: u64| GOLDEN.remark(Instant(12_000_000_001 - ms * 1_000_000));
        assert_eq!(remark(12_000), ", crash loop, next start in 12s");
        assert_eq!(remark(11_001), ", crash loop, next start in 12s");
        assert_eq!(remark(1), ", crash loop, next start in 1s");
        assert_eq!(remark(0), ", crash loop");
        assert_eq!(GOLDEN.remark(Instant(u64::MAX)), ", crash loop");
    }
}
