//! A file of a time zone (TZif, RFC 9636; /etc/localtime), and the text that TZ may hold.
//!
//! The file lists moments at which the local time changes, with the difference to UTC from
//! then on. After the last one the text at its end holds. There are no leap seconds, as in
//! the clock itself.

mod rule;

pub use rule::offset_s as offset_s_by_rule;

/// A file that is longer is none. The longest of today has 4 KiB.
pub const BYTES_MAX: usize = 64 * 1024;

const MAGIC: &[u8] = b"TZif";
/// Bytes of a header between the version and the counts.
const RESERVED_BYTES: usize = 15;
/// Bytes of a kind of local time: its difference to UTC, whether it is summer time, its name.
const KIND_BYTES: usize = 6;

/// What is left of the file.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_each(&mut self, count: usize, bytes: usize) -> Option<&'a [u8]> {
        self.take(count.checked_mul(bytes)?)
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(signed(self.take(4)?)?).ok()
    }
}

/// A number with the highest byte first, of four bytes or eight.
fn signed(bytes: &[u8]) -> Option<i64> {
    let four = || Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?)));
    four().or_else(|| Some(i64::from_be_bytes(bytes.try_into().ok()?)))
}

/// One of the two blocks of a file: the first has times of four bytes, the second, with the
/// same content and more of it, times of eight.
struct Block<'a> {
    version: u8,
    time_bytes: usize,
    /// When the local time changes, in ascending order.
    times: &'a [u8],
    /// The kind of local time from then on.
    which: &'a [u8],
    kinds: &'a [u8],
}

impl<'a> Block<'a> {
    fn take(rest: &mut Rest<'a>, time_bytes: usize) -> Option<Self> {
        let is_zone = rest.take(MAGIC.len())? == MAGIC;
        let version = *rest.take(1)?.first()?;
        rest.take(RESERVED_BYTES)?;
        let [utc, standard, leaps] = [rest.number()?, rest.number()?, rest.number()?];
        let [times, kinds, letters] = [rest.number()?, rest.number()?, rest.number()?];
        let block = Self {
            version,
            time_bytes,
            times: rest.take_each(times, time_bytes)?,
            which: rest.take(times)?,
            kinds: rest.take_each(kinds, KIND_BYTES)?,
        };
        rest.take(letters)?;
        rest.take_each(leaps, time_bytes + 4)?;
        rest.take(standard)?;
        rest.take(utc)?;
        is_zone.then_some(block)
    }

    /// The difference to UTC at a moment, by the list; and whether the list ends before it.
    fn offset_s(&self, at: i64) -> Option<(i64, bool)> {
        let times = self.times.chunks_exact(self.time_bytes);
        let count = times.len();
        let passed = times.take_while(|time| signed(time).is_some_and(|time| time <= at));
        let passed = passed.count();
        let kind = match passed.checked_sub(1) {
            Some(last) => usize::from(*self.which.get(last)?),
            None => 0,
        };
        let kind = self.kinds.chunks_exact(KIND_BYTES).nth(kind)?;
        Some((signed(kind.get(..4)?)?, passed == count))
    }
}

/// The difference of the local time to UTC, in seconds to the east, at a moment (seconds since
/// 1970); `None`: this is no such file.
pub fn offset_s(file: &[u8], at: i64) -> Option<i64> {
    let mut rest = Rest(file);
    let short = Block::take(&mut rest, 4)?;
    if short.version == 0 {
        return Some(short.offset_s(at)?.0);
    }
    let (offset, is_over) = Block::take(&mut rest, 8)?.offset_s(at)?;
    let text = rest.0.strip_prefix(b"\n").and_then(|text| {
        let end = text.iter().position(|b| *b == b'\n')?;
        text.get(..end)
    });
    let by_rule = text.and_then(|text| offset_s_by_rule(text, at));
    Some(by_rule.filter(|_| is_over).unwrap_or(offset))
}

#[cfg(test)]
mod tests;
