//! The stamps that `svlogd -t`, `-tt` and `-ttt` put before a line.
//!
//! `-t` gives `@` and a TAI64N label in hexadecimal. The others give UTC with five digits
//! after the second: `2026-11-22_13:04:56.85524`, with `_` or `T` between date and time. A
//! space follows each stamp. Fractions are cut, not rounded. There are no leap seconds, as
//! in the clock itself.

use alloc::vec::Vec;

use super::tai64n::Tai64n;

/// The form of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// `@400000003b9aca0a1dcd6500`.
    Tai,
    /// UTC, with this byte between date and time.
    Utc(u8),
}

/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

impl Stamp {
    /// Appends the stamp and a space.
    pub fn encode(self, time: Tai64n, out: &mut Vec<u8>) {
        match self {
            Self::Tai => {
                out.push(b'@');
                out.extend_from_slice(&time.hex());
            }
            Self::Utc(between) => encode_utc(time, between, out),
        }
        out.push(b' ');
    }
}

fn encode_utc(time: Tai64n, between: u8, out: &mut Vec<u8>) {
    let seconds = time.unix_seconds();
    let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    if year < 0 {
        out.push(b'-');
    }
    decimal(year.unsigned_abs(), 4, out);
    out.push(b'-');
    decimal(month, 2, out);
    out.push(b'-');
    decimal(day, 2, out);
    out.push(between);
    decimal((of_day / 3600).unsigned_abs(), 2, out);
    out.push(b':');
    decimal((of_day / 60 % 60).unsigned_abs(), 2, out);
    out.push(b':');
    decimal((of_day % 60).unsigned_abs(), 2, out);
    out.push(b'.');
    decimal(u64::from(time.nanos() / 10_000), 5, out);
}

/// The time of a stamp at the beginning of a line, and the length of the stamp with the
/// blank after it. `None`: there is none. A line may be nothing but a stamp.
pub fn decode(line: &[u8]) -> Option<(Tai64n, usize)> {
    let (time, len) = match line.split_first()? {
        (b'@', rest) => (Tai64n::from_hex(rest.get(..24)?)?, 25),
        _ => (decode_utc(line.get(..UTC_BYTES)?)?, UTC_BYTES),
    };
    let is_time = time.nanos() < 1_000_000_000;
    match line.get(len) {
        Some(b' ') => is_time.then_some((time, len + 1)),
        None | Some(b'\n') => is_time.then_some((time, len)),
        Some(_) => None,
    }
}

/// The length of a stamp of UTC in a year of four digits.
const UTC_BYTES: usize = 25;

fn decode_utc(stamp: &[u8]) -> Option<Tai64n> {
    let number = |from: usize, to: usize| {
        let digits = stamp.get(from..to)?.iter();
        digits.copied().try_fold(0_i64, |n, digit| {
            digit
                .is_ascii_digit()
                .then(|| n * 10 + i64::from(digit - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':'), (19, b'.')];
    let is_stamp = marks.iter().all(|(at, mark)| stamp.get(*at) == Some(mark));
    let is_stamp = is_stamp && matches!(stamp.get(10)?, b'_' | b'T');
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = is_time && hour < 24 && minute < 60 && second < 60;
    let seconds = day_of(number(0, 4)?, month, day) * DAY_SECONDS;
    let nanos = number(20, UTC_BYTES)? * 10_000;
    let of_day = (hour * 60 + minute) * 60 + second;
    (is_stamp && is_time).then(|| Tai64n::from_unix(seconds + of_day, nanos as u32))
}

/// Year, month and day of the day that is so many days after 1970-01-01, in the Gregorian
/// calendar. The calculation counts years from March: then the leap day is the last day of a
/// year, and the lengths of months have a regular pattern.
pub(super) fn date_of(days: i64) -> (i64, u64, u64) {
    let days = days.saturating_add(DAYS_TO_EPOCH);
    let era = days.div_euclid(ERA_DAYS);
    let of_era = days.rem_euclid(ERA_DAYS);
    // Subtract the leap days so far (one in 4 years, none in 100 years, but one in 400); then
    // each year has 365 days.
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, each five months have 153 days.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

/// The reverse: the days from 1970-01-01 to that day.
pub(crate) const fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = if month <= 2 { month + 9 } else { month - 3 };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * from_march + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

/// Appends `n` with at least `width` digits.
fn decimal(mut n: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        if n == 0 && used >= width {
            break;
        }
        *slot = b'0' + (n % 10) as u8;
        n /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn show(stamp: Stamp, seconds: i64, nanos: u32) -> String {
        let mut out = Vec::new();
        stamp.encode(Tai64n::from_unix(seconds, nanos), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_three_forms() {
        let (s, n) = (1_000_000_000, 123_456_789);
        assert_eq!(show(Stamp::Tai, s, n), "@400000003b9aca0a075bcd15 ");
        assert_eq!(show(Stamp::Utc(b'_'), s, n), "2001-09-09_01:46:40.12345 ");
        assert_eq!(show(Stamp::Utc(b'T'), s, n), "2001-09-09T01:46:40.12345 ");
    }

    #[test]
    fn stamps_are_read_back() {
        for stamp in [Stamp::Tai, Stamp::Utc(b'_'), Stamp::Utc(b'T')] {
            for (seconds, nanos) in [
                (1_000_000_000, 123_450_000),
                (0, 0),
                (951_782_400, 999_990_000),
            ] {
                let time = Tai64n::from_unix(seconds, nanos);
                let shown = show(stamp, seconds, nanos);
                let found = decode((shown.clone() + "text").as_bytes());
                assert_eq!(found, Some((time, shown.len())), "{shown}");
                let bare = shown.trim_end();
                assert_eq!(decode(bare.as_bytes()), Some((time, bare.len())));
                for cut in 0..bare.len() {
                    assert_eq!(decode(&bare.as_bytes()[..cut]), None);
                }
            }
        }
        for bad in [
            "2001-09-09 01:46:40.12345 x",
            "2001-09-09_01:46:40.123456 x",
            "2001-09-09T01:46:40.12345Z x",
            "2001-13-09_01:46:40.12345 x",
            "2001-09-09_24:46:40.12345 x",
            "2001-09-09_01:46:60.12345 x",
            "2001-09-0a_01:46:40.12345 x",
            "@400000003b9aca0affffffff x",
            "@400000003b9aca0a075bcd15x",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }

    /// The values are from `date -u -d @N`.
    #[test]
    fn known_dates() {
        let utc = |s| show(Stamp::Utc(b' '), s, 0);
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (68_169_600, "1972-02-29 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (2_147_483_648, "2038-01-19 03:14:08"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (253_402_300_799, "9999-12-31 23:59:59"),
            (253_402_300_800, "10000-01-01 00:00:00"),
        ] {
            assert_eq!(utc(seconds), alloc::format!("{want}.00000 "));
        }
    }

    /// From 1970 to 9999, each day follows the day before by the rules of the calendar.
    #[test]
    fn every_day_is_the_next_one() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0.. {
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(day_of(year, month as i64, day as i64), days);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            if year == 10_000 {
                break;
            }
        }
    }

    #[test]
    fn extremes_do_not_panic() {
        let mut out = Vec::new();
        for bytes in [[0; 12], [255; 12], [127; 12]] {
            Stamp::Utc(b'_').encode(Tai64n::decode(bytes), &mut out);
        }
        assert!(!out.is_empty());
    }
}
