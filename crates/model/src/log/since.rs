//! From when on lines are wanted: `10s`, `5m`, `1h` or `2d` ago, a time such as `18:00`,
//! a date, or both.

use crate::format::stamp::day_of;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A moment as a user says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many seconds ago.
    Ago(i64),
    /// When a clock last showed this second of the day.
    Clock(i64),
    /// That second, counted from 1970 on, of the local time.
    Local(i64),
}

impl Since {
    /// Reads it. `None`: it is none of these.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(seconds) = ago(text) {
            return Some(Self::Ago(seconds));
        }
        if let Some(of_day) = clock(text) {
            return Some(Self::Clock(of_day));
        }
        let (date, of_day) = match text.iter().position(|byte| b" T_".contains(byte)) {
            Some(at) => (text.get(..at)?, clock(text.get(at + 1..)?)?),
            None => (text, 0),
        };
        Some(Self::Local(day(date)? * DAY + of_day))
    }

    /// The moment, in seconds since 1970, where the local time at a moment is so many
    /// seconds ahead of UTC.
    pub fn moment(self, now: i64, offset_s: impl Fn(i64) -> i64) -> i64 {
        let moment = |local: i64| {
            let near = local.saturating_sub(offset_s(local));
            local.saturating_sub(offset_s(near))
        };
        match self {
            Self::Ago(seconds) => now.saturating_sub(seconds),
            Self::Local(local) => moment(local),
            Self::Clock(of_day) => {
                let today = now.saturating_add(offset_s(now)).div_euclid(DAY) * DAY;
                let at = moment(today.saturating_add(of_day));
                if at <= now {
                    at
                } else {
                    moment(today.saturating_add(of_day).saturating_sub(DAY))
                }
            }
        }
    }
}

fn ago(text: &[u8]) -> Option<i64> {
    let (unit, digits) = text.split_last()?;
    let seconds = match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => DAY,
        _ => return None,
    };
    number(digits, 12)?.checked_mul(seconds)
}

/// Hours and minutes, and perhaps seconds.
fn clock(text: &[u8]) -> Option<i64> {
    let (hour, rest) = split(text, b':')?;
    let (minute, second) = split(rest, b':').unwrap_or((rest, b"0"));
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// Year, month and day, as days since 1970.
fn day(text: &[u8]) -> Option<i64> {
    let (year, rest) = split(text, b'-')?;
    let (month, day) = split(rest, b'-')?;
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then(|| day_of(year, month, day))
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let mark = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..mark)?, text.get(mark + 1..)?))
}

fn number(digits: &[u8], digits_max: usize) -> Option<i64> {
    let is_number = (1..=digits_max).contains(&digits.len());
    let add = |n: i64, digit: &u8| {
        let is_digit = digit.is_ascii_digit();
        is_digit.then(|| n * 10 + i64::from(*digit - b'0'))
    };
    is_number.then(|| digits.iter().try_fold(0, add)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-29 17:30:00 UTC.
    const NOW: i64 = 1_795_973_400;

    fn at(text: &str, offset_s: impl Fn(i64) -> i64) -> i64 {
        Since::parse(text.as_bytes()).unwrap().moment(NOW, offset_s)
    }

    #[test]
    fn each_form() {
        let utc = |text| at(text, |_| 0) - NOW;
        for (text, ago) in [
            ("0s", 0),
            ("10s", 10),
            ("5m", 300),
            ("1h", 3600),
            ("2d", 2 * DAY),
            ("17:30", 0),
            ("17:29:30", 30),
            ("17:31", DAY - 60),
            ("2026-11-29", 17 * 3600 + 1800),
            ("2026-11-29 17:00", 1800),
            ("2026-11-28_17:30:00", DAY),
            ("2026-11-28T17:30", DAY),
        ] {
            assert_eq!(utc(text), -ago, "{text}");
        }
        for bad in [
            "",
            "s",
            "10",
            "10x",
            "-1s",
            "+1s",
            "1.5h",
            "24:00",
            "12:60",
            "12",
            "12:00:00:00",
            ":",
            "2026-13-01",
            "2026-11",
            "2026-11-29 ",
            "2026-11-29 25:00",
            "1:2:",
            "99999999999999999d",
            "9999999999999s",
        ] {
            assert_eq!(Since::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn times_are_local() {
        // An hour ahead since an hour ago, two before.
        let offset = |at: i64| if at < NOW - 3600 { 7200 } else { 3600 };
        assert_eq!(at("18:30", offset), NOW);
        assert_eq!(at("18:00", offset), NOW - 1800);
        assert_eq!(at("17:00", offset), NOW - 3600 - 5400);
        assert_eq!(at("2026-11-28 19:30", offset), NOW - DAY);
        assert_eq!(at("18:31", offset), NOW - DAY - 3540);
        assert_eq!(at("10s", offset), NOW - 10);
    }
}
