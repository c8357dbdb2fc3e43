//! Decides when a log is rotated, what old logs are called, and which are removed.
//!
//! A log directory holds `current` and old logs. The name of an old log is `@`, a TAI64N
//! label, and `.s` (finished) or `.u` (not processed yet). `current` is rotated at the first
//! newline after which there is room for at most `line_max` bytes below `size_max`. If a line
//! is too long for that, `current` is rotated inside the line, at exactly `size_max` bytes.
//! This module sees only bytes and numbers.
//!
//! With a processor, finished logs and waiting logs are counted separately. So a waiting log
//! is not removed because there are many finished ones. [`Shelf`] decides which log is the
//! oldest.

use crate::sorted::sort_by_key;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::format::tai64n::Tai64n;
use crate::lines::find;

/// When `current` is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many bytes `current` may hold; 0: no limit.
    pub size_max: u64,
    /// A newline is the place to rotate if it is so close to `size_max`, in bytes.
    pub line_max: u64,
}

/// What to do next with bytes that must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write so many of them, at least one.
    Write(usize),
    /// Write so many of them, then rotate.
    WriteAndRotate(usize),
    /// Rotate first.
    Rotate,
}

impl Limit {
    /// The next step for `bytes` (at least one) if `current` holds `size` bytes.
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
        // If the limit is below line_max, it is kept inside lines.
        let Some(near) = self.size_max.checked_sub(self.line_max) else {
            return Step::Write(bytes.len());
        };
        // The first newline that ends at `near` or later.
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

/// The stage of an old log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `.u`: it waits for its processor, or a crash left it.
    Unprocessed,
    /// `.t`: the output of a processor that has not ended. It is no old log itself.
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

    /// The name of a log that is rotated at `time`.
    pub fn new(time: Tai64n, stage: Stage) -> Self {
        let mut name = [b'.'; Self::BYTES];
        let label = [b'@'].into_iter().chain(time.hex());
        for (slot, byte) in name.iter_mut().zip(label) {
            *slot = byte;
        }
        Self(name).with(stage)
    }

    /// Reads the name of a file. `None`: it is no old log.
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

    /// The name of the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name of the file, for messages.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Which logs a limit counts and may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All logs: there is no processor.
    Any,
    /// Finished logs.
    Finished,
    /// Logs that wait for a processor.
    Waiting,
}

impl Kind {
    fn holds(self, log: &OldLog) -> bool {
        match self {
            Self::Any => !log.is(Stage::Partial),
            Self::Finished => log.is(Stage::Safe),
            Self::Waiting => log.is(Stage::Unprocessed),
        }
    }
}

/// The order in which old logs were written.
///
/// A name holds the time of the clock, and a clock can be set back: a machine whose clock
/// does not run while it is off starts in 1970 at each boot. So a name that is later than now
/// is from before that, and comes first. The logs that this process rotated come last, in
/// the order of their rotation, whatever the clock did meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Their labels, as names of finished logs.
    rotated: VecDeque<OldLog>,
}

impl Shelf {
    /// How many rotations are remembered. Earlier logs are ordered by their names.
    const ROTATED_MAX: usize = 1000;

    /// Remembers a log that was just rotated.
    pub fn put(&mut self, log: OldLog) {
        if self.rotated.len() >= Self::ROTATED_MAX {
            self.rotated.pop_front();
        }
        self.rotated.push_back(log.with(Stage::Safe));
    }

    /// The logs of this kind, the oldest first.
    pub fn in_order(&self, logs: &[OldLog], kind: Kind, now: Tai64n) -> Vec<OldLog> {
        let now = OldLog::new(now, Stage::Safe);
        let mut logs: Vec<OldLog> = logs.iter().filter(|l| kind.holds(l)).copied().collect();
        sort_by_key(&mut logs, |log| {
            let label = log.with(Stage::Safe);
            let place = self.rotated.iter().rposition(|rotated| *rotated == label);
            (place, label <= now, *log)
        });
        logs
    }

    /// The oldest log of this kind, if there are more than `keep`. Each log that is added
    /// removes at most one, so a lower limit does not remove many logs at once (svlogd(8)
    /// promises that). `spare` stays, because it is being processed.
    pub fn surplus(
        &self,
        logs: &[OldLog],
        kind: Kind,
        keep: u64,
        spare: Option<OldLog>,
        now: Tai64n,
    ) -> Option<OldLog> {
        let ordered = self.in_order(logs, kind, now);
        if ordered.len() as u64 <= keep {
            return None;
        }
        ordered.into_iter().find(|log| Some(*log) != spare)
    }
}

const RETRY_FIRST_NS: u64 = 1_000_000_000;
const RETRY_MAX_NS: u64 = 60_000_000_000;

/// The pause after so many failures of a processor in a row: 1 s, doubled each time, at
/// most 60 s.
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

    /// However the bytes are split, the files have the same sizes.
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
        let shelf = Shelf::default();
        let now = Tai64n::from_unix(9, 0);
        let logs = [
            log(3, Stage::Safe),
            log(1, Stage::Unprocessed),
            log(2, Stage::Safe),
            log(0, Stage::Partial),
        ];
        let surplus = |kind, keep, spare| shelf.surplus(&logs, kind, keep, spare, now);
        let waiting = Some(log(1, Stage::Unprocessed));
        assert_eq!(surplus(Kind::Any, 3, None), None);
        assert_eq!(surplus(Kind::Any, 2, None), waiting);
        assert_eq!(surplus(Kind::Any, 0, waiting), Some(log(2, Stage::Safe)));
        assert_eq!(surplus(Kind::Finished, 2, None), None);
        assert_eq!(surplus(Kind::Finished, 1, None), Some(log(2, Stage::Safe)));
        assert_eq!(surplus(Kind::Waiting, 1, None), None);
        assert_eq!(surplus(Kind::Waiting, 0, None), waiting);
        assert_eq!(surplus(Kind::Waiting, 0, waiting), None);
        assert_eq!(
            shelf.in_order(&logs, Kind::Waiting, now),
            [log(1, Stage::Unprocessed)]
        );
    }

    #[test]
    fn names_of_the_future_were_written_first() {
        let shelf = Shelf::default();
        let logs = [3, 7, 1, 5].map(|s| log(s, Stage::Safe));
        for (now, order) in [
            (9, [1, 3, 5, 7]),
            (7, [1, 3, 5, 7]),
            (4, [5, 7, 1, 3]),
            (0, [1, 3, 5, 7]),
        ] {
            let now = Tai64n::from_unix(now, 1);
            let order = order.map(|s| log(s, Stage::Safe));
            assert_eq!(shelf.in_order(&logs, Kind::Any, now), order);
        }
    }

    /// The logs of a directory, in the order in which they were really written.
    #[derive(Clone, Default)]
    struct Life {
        /// The oldest first. The flag: the present process rotated it.
        logs: Vec<(OldLog, bool)>,
        shelf: Shelf,
    }

    impl Life {
        fn names(&self) -> Vec<OldLog> {
            self.logs.iter().map(|(log, _)| *log).collect()
        }

        /// Rotates for the nth time, at the time `now` of the clock, and removes the surplus.
        fn rotate(&mut self, now: i64, nth: u32, keep: u64) {
            let name = OldLog::new(Tai64n::from_unix(now, nth), Stage::Safe);
            self.logs.push((name, true));
            self.shelf.put(name);
            // The clock may be a little later than the name.
            let clock = Tai64n::from_unix(now, 500);
            let gone = self
                .shelf
                .surplus(&self.names(), Kind::Any, keep, None, clock);
            assert_eq!(gone.is_some(), self.logs.len() as u64 > keep);
            let Some(gone) = gone else { return };
            let at = self.logs.iter().position(|(log, _)| *log == gone).unwrap();
            let (_, own) = self.logs.remove(at);
            assert_ne!(gone, name, "the log that was just rotated");
            // If a log of this process is removed, no older log is left.
            let older = self.logs.get(..at).unwrap();
            assert!(!own || older.is_empty(), "{older:?}");
        }

        fn restart(&mut self) {
            self.shelf = Shelf::default();
            self.logs.iter_mut().for_each(|(_, own)| *own = false);
        }
    }

    /// Every history of five moments. At each moment, the clock has one of three times, and
    /// the process may be a new one.
    #[test]
    fn whatever_the_clock_does_the_newest_stay() {
        for keep in 1..=3 {
            for history in 0..6_u32.pow(5) {
                let mut life = Life::default();
                let mut rest = history;
                let mut clock_went_back = false;
                let mut last = 0;
                for nth in 0..5 {
                    let (restarts, now) = (rest % 2 == 1, i64::from(rest / 2 % 3));
                    rest /= 6;
                    if restarts {
                        life.restart();
                    }
                    clock_went_back |= now < last;
                    last = now;
                    life.rotate(now, nth, keep);
                    if !clock_went_back {
                        let order = life.names();
                        assert!(order.is_sorted(), "{history}: {order:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut shelf = Shelf::default();
        let rotations = Shelf::ROTATED_MAX as i64 * 3;
        for second in 0..rotations {
            shelf.put(log(second, Stage::Unprocessed));
        }
        assert_eq!(shelf.rotated.len(), Shelf::ROTATED_MAX);
        // A forgotten log is older than a remembered one.
        let logs = [rotations - 1, 3].map(|s| log(s, Stage::Safe));
        let order = shelf.in_order(&logs, Kind::Any, Tai64n::from_unix(0, 0));
        assert_eq!(order, [logs[1], logs[0]]);
    }

    #[test]
    fn retries_slow_down() {
        let seconds: Vec<u64> = (0..9).map(|f| retry_after_ns(f) / 1_000_000_000).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_after_ns(u32::MAX), RETRY_MAX_NS);
    }
}
