//! TAI64N labels as daemontools and runit write them.
//!
//! A label is a TAI64 second (`2^62 + 10 +` Unix seconds) and nanoseconds. 10 seconds was the
//! difference between TAI and UTC in 1970. Both tools ignore the leap seconds since then,
//! and so do we (<https://cr.yp.to/libtai/tai64.html>).

use core::fmt::{self, Display, Write};

/// The TAI64 label of the Unix epoch, as in runit.
const UNIX_EPOCH: u64 = (1 << 62) + 10;

/// A moment of the wall clock, only for status files and log lines. Deadlines use the boot
/// clock, and there is no conversion between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tai64n {
    seconds: u64,
    nanos: u32,
}

impl Tai64n {
    /// The label of a Unix time: whole seconds, which may be negative, and nanoseconds.
    pub const fn from_unix(seconds: i64, nanos: u32) -> Self {
        Self {
            seconds: UNIX_EPOCH.wrapping_add_signed(seconds),
            nanos,
        }
    }

    /// Unix time in whole seconds.
    pub const fn unix_seconds(self) -> i64 {
        self.seconds.wrapping_sub(UNIX_EPOCH) as i64
    }

    /// Nanoseconds within the second.
    pub const fn nanos(self) -> u32 {
        self.nanos
    }

    /// The 12 bytes: first seconds, then nanoseconds, both big-endian.
    pub const fn encode(self) -> [u8; 12] {
        let s = self.seconds.to_be_bytes();
        let n = self.nanos.to_be_bytes();
        [
            s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], n[0], n[1], n[2], n[3],
        ]
    }

    /// The inverse of [`Tai64n::encode`].
    pub const fn decode(b: [u8; 12]) -> Self {
        Self {
            seconds: u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            nanos: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    /// The 24 lower-case hexadecimal digits that follow `@` in logs and file names.
    pub fn hex(self) -> [u8; 24] {
        let mut out = [0; 24];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.encode()) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        out
    }

    /// The inverse of [`Tai64n::hex`].
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        (digits.len() == 2 * bytes.len()).then(|| Self::decode(bytes))
    }
}

/// As in logs and file names: the digits after an `@`.
impl Display for Tai64n {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('@')?;
        let mut digits = self.hex().into_iter();
        digits.try_for_each(|digit| f.write_char(char::from(digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Label and time as Debian's `svlogd -t` and `tai64nlocal` give them.
    #[test]
    fn known_label() {
        let t = Tai64n::from_unix(1_000_000_000, 500_000_000);
        assert_eq!(&t.hex(), b"400000003b9aca0a1dcd6500");
        assert_eq!(Tai64n::decode(t.encode()), t);
        assert_eq!((t.unix_seconds(), t.nanos()), (1_000_000_000, 500_000_000));
        assert_eq!(alloc::format!("{t}"), "@400000003b9aca0a1dcd6500");
    }

    #[test]
    fn digits_are_read_back() {
        let t = Tai64n::from_unix(1_000_000_000, 500_000_000);
        let digits = t.hex();
        assert_eq!(Tai64n::from_hex(&digits), Some(t));
        for len in 0..24 {
            assert_eq!(Tai64n::from_hex(&digits[..len]), None);
        }
        for bad in [
            &b"400000003B9aca0a1dcd6500"[..],
            b"400000003b9aca0a1dcd65000",
            b"@@",
        ] {
            assert_eq!(Tai64n::from_hex(bad), None);
        }
    }

    #[test]
    fn before_the_epoch() {
        let t = Tai64n::from_unix(-20, 0);
        assert_eq!(t.unix_seconds(), -20);
        assert!(t < Tai64n::from_unix(0, 0));
    }
}
