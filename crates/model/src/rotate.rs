//! When a log is rotated, what old logs are called and which of them go.
//!
//! A log directory holds `current` and old logs, `@` + TAI64N label + `.s`
//! (finished) or `.u` (not processed yet). `current` is rotated at the newline
//! that brings it within `line_max` bytes of `size_max`, and, where a line is
//! too long for that, inside the line at `size_max` exactly. These decisions see
//! bytes and numbers only.

use alloc::vec::Vec;

use crate::format::tai64n::Tai64n;
use crate::lines::find;

/// When `current` is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that `current` may hold; 0 for no limit.
    pub size_max: u64,
    /// So close to `size_max`, in bytes, a newline is the place to rotate.
    pub line_max: u64,
}

/// What to do with bytes that are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write so many of them; more than none.
    Write(usize),
    /// Write so many of them, then rotate.
    WriteAndRotate(usize),
    /// Rotate first.
    Rotate,
}

impl Limit {
    /// The next step for `bytes`, of which there is at least one, when
    /// `current` holds `size` bytes.
    pub fn step(self, size: u64, bytes: &[u8]) -> Step {
        if self.size_max == 0 {
            return Step::Write(bytes.len());
        }
        let room = self.size_max.saturating_sub(size);
        if room == 0 {
            return Step::Rotate;
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        // A limit below line_max is kept inside lines.
        let Some(near) = self.size_max.checked_sub(self.line_max) else {
            return Step::Write(bytes.len());
        };
        // The first newline whose end lies at `near` or behind it.
        let from = near.saturating_sub(size).saturating_sub(1);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        match bytes.get(from..).and_then(|window| find(b'\n', window)) {
            Some(at) => Step::WriteAndRotate(from + at + 1),
            None => Step::Write(bytes.len()),
        }
    }
}

/// The name of an old log: `@`, 24 hexadecimal digits, `.`, `s` or `u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldLog([u8; OldLog::BYTES]);

/// What became of an old log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `.u`: waits for its processor, or was left by a crash.
    Unprocessed,
    /// `.t`: output of a processor that has not ended; not an old log itself.
    Partial,
    /// `.s`: finished.
    Safe,
}

impl Stage {
    const fn letter(self) -> u8 {
        match self {
            Self::Unprocessed => b'u',
            Self::Partial => b't',
            Self::Safe => b's',
        }
    }
}

impl OldLog {
    const BYTES: usize = 27;

    /// The name for a log rotated at `time`.
    pub fn new(time: Tai64n, stage: Stage) -> Self {
        let mut name = [b'.'; Self::BYTES];
        let label = [b'@'].into_iter().chain(time.hex());
        for (slot, byte) in name.iter_mut().zip(label) {
            *slot = byte;
        }
        Self(name).with(stage)
    }

    /// Reads the name of a file; `None` for any other file.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let name: [u8; Self::BYTES] = name.try_into().ok()?;
        let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        match &name {
            [b'@', label @ .., b'.', b's' | b'u' | b't'] if label.iter().all(hex) => {
                Some(Self(name))
            }
            _ => None,
        }
    }

    /// The same log at another stage.
    #[must_use]
    pub fn with(mut self, stage: Stage) -> Self {
        let [.., last] = &mut self.0;
        *last = stage.letter();
        self
    }

    /// Whether the log is at this stage.
    pub fn is(&self, stage: Stage) -> bool {
        self.0.last() == Some(&stage.letter())
    }

    /// The file's name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The file's name, for messages.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The oldest log, if there are more than `keep`: one rotation adds one log, so
/// it removes one, and a lowered limit takes nothing away at once (svlogd(8)
/// promises that). `spare` is being processed and stays.
pub fn surplus(logs: &[OldLog], keep: u64, spare: Option<OldLog>) -> Option<OldLog> {
    let count = logs.iter().filter(|l| !l.is(Stage::Partial)).count();
    if count as u64 <= keep {
        return None;
    }
    let removable = logs
        .iter()
        .filter(|l| !l.is(Stage::Partial) && Some(**l) != spare);
    removable.min().copied()
}

/// Logs that wait for a processor, oldest first.
pub fn unprocessed(logs: &[OldLog]) -> Vec<OldLog> {
    let mut waiting: Vec<OldLog> = logs
        .iter()
        .filter(|l| l.is(Stage::Unprocessed))
        .copied()
        .collect();
    waiting.sort_unstable();
    waiting
}

const RETRY_FIRST_NS: u64 = 1_000_000_000;
const RETRY_MAX_NS: u64 = 60_000_000_000;

/// How long to wait after so many failures of a processor in a row: 1 s,
/// doubled each time, 60 s at most.
pub fn retry_after_ns(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(10);
    (RETRY_FIRST_NS << doublings).min(RETRY_MAX_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const LIMIT: Limit = Limit {
        size_max: 100,
        line_max: 20,
    };

    #[test]
    fn without_a_limit_everything_is_written() {
        let none = Limit {
            size_max: 0,
            ..LIMIT
        };
        assert_eq!(none.step(u64::MAX, b"a\nb\n"), Step::Write(4));
    }

    #[test]
    fn far_from_the_limit_newlines_do_not_count() {
        assert_eq!(LIMIT.step(0, b"a\nb\n"), Step::Write(4));
        assert_eq!(LIMIT.step(77, b"a\n"), Step::Write(2));
    }

    #[test]
    fn the_first_newline_near_the_limit_rotates() {
        assert_eq!(LIMIT.step(77, b"ab\nc\n"), Step::WriteAndRotate(3));
        assert_eq!(LIMIT.step(77, b"\n\n\n\n"), Step::WriteAndRotate(3));
        assert_eq!(LIMIT.step(90, b"ab\nc\n"), Step::WriteAndRotate(3));
        let block = [&[b'x'; 49][..], b"\n"].concat().repeat(3);
        assert_eq!(LIMIT.step(0, &block), Step::WriteAndRotate(100));
    }

    #[test]
    fn a_long_line_is_cut_at_the_limit() {
        assert_eq!(LIMIT.step(10, &[b'x'; 200]), Step::Write(90));
        assert_eq!(LIMIT.step(100, b"x"), Step::Rotate);
        assert_eq!(LIMIT.step(5000, b"\n"), Step::Rotate);
    }

    #[test]
    fn a_limit_below_the_line_length_is_kept_inside_lines() {
        let small = Limit {
            size_max: 50,
            line_max: 100,
        };
        assert_eq!(small.step(0, b"a\nb\n"), Step::Write(4));
        assert_eq!(small.step(48, b"a\nb\n"), Step::Write(2));
        assert_eq!(small.step(49, b"a\nb\n"), Step::Write(1));
    }

    /// Any split of the bytes gives files of the same sizes.
    #[test]
    fn splits_do_not_matter() {
        let mut seed = 7_u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..200 {
            let limit = Limit {
                size_max: 20 + random(100) as u64,
                line_max: 1 + random(60) as u64,
            };
            let text: Vec<u8> = (0..2000)
                .map(|_| if random(25) == 0 { b'\n' } else { b'x' })
                .collect();
            let whole = sizes(limit, &[&text]);
            let mut parts = vec![];
            let mut rest = &text[..];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(1 + random(rest.len().min(150)));
                parts.push(part);
                rest = behind;
            }
            assert_eq!(sizes(limit, &parts), whole);
            assert!(whole.iter().all(|s| *s <= limit.size_max));
            assert_eq!(whole.iter().sum::<u64>(), 2000);
        }
    }

    fn sizes(limit: Limit, parts: &[&[u8]]) -> Vec<u64> {
        let mut files = vec![0];
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let size = files.last_mut().unwrap();
                let (written, rotate) = match limit.step(*size, rest) {
                    Step::Write(n) => (n, false),
                    Step::WriteAndRotate(n) => (n, true),
                    Step::Rotate => (0, true),
                };
                *size += written as u64;
                rest = &rest[written..];
                if rotate {
                    files.push(0);
                }
            }
        }
        files
    }

    fn log(seconds: i64, stage: Stage) -> OldLog {
        OldLog::new(Tai64n::from_unix(seconds, 1), stage)
    }

    #[test]
    fn names_round_trip() {
        let name = log(1_000_000_000, Stage::Safe);
        assert_eq!(name.as_str(), "@400000003b9aca0a00000001.s");
        assert_eq!(OldLog::parse(name.as_bytes()), Some(name));
        assert!(name.with(Stage::Unprocessed).is(Stage::Unprocessed));
        assert_eq!(
            name.with(Stage::Partial).as_str(),
            "@400000003b9aca0a00000001.t"
        );
        for other in [
            "current",
            "@400000003b9aca0a00000001.x",
            "@400000003b9aca0a0000000G.s",
            "@400000003b9aca0a00000001",
            "x400000003b9aca0a00000001.s",
        ] {
            assert_eq!(OldLog::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn one_log_goes_at_a_time_and_the_oldest_first() {
        let logs = [
            log(3, Stage::Safe),
            log(1, Stage::Unprocessed),
            log(2, Stage::Safe),
            log(0, Stage::Partial),
        ];
        assert_eq!(surplus(&logs, 3, None), None);
        assert_eq!(surplus(&logs, 2, None), Some(log(1, Stage::Unprocessed)));
        let spare = Some(log(1, Stage::Unprocessed));
        assert_eq!(surplus(&logs, 0, spare), Some(log(2, Stage::Safe)));
        assert_eq!(surplus(&logs[1..2], 0, spare), None);
        assert_eq!(unprocessed(&logs), [log(1, Stage::Unprocessed)]);
    }

    #[test]
    fn retries_slow_down() {
        let seconds: Vec<u64> = (0..9).map(|f| retry_after_ns(f) / 1_000_000_000).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_after_ns(u32::MAX), RETRY_MAX_NS);
    }
}
