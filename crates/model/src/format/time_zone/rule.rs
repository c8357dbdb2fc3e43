//! The rule of a time zone as text, as TZ has it in POSIX: `CET-1CEST,M3.5.0,M10.5.0/3`.
//!
//! Names have no meaning here. Offsets are to the west, hours of a change may be -167 to 167.

use crate::format::stamp::{DAY_SECONDS, date_of, day_of};

const HOUR_SECONDS: i64 = 3600;
/// When summer time begins and ends if the text does not say.
const USUAL: &[u8] = b",M3.2.0,M11.1.0";

/// A day of each year.
enum Day {
    /// From 1; 29 February has no number.
    Julian(i64),
    /// From 0.
    OfYear(i64),
    /// Month, week (5: the last one), and weekday (0 is Sunday).
    OfMonth(i64, i64, i64),
}

/// A change of the local time: the day, and the seconds after its midnight.
struct Change(Day, i64);

impl Change {
    /// When it is in that year, in seconds since 1970 of the time before it.
    fn in_year(&self, year: i64) -> i64 {
        let first = day_of(year, 1, 1);
        let is_leap = day_of(year, 3, 1) - first == 60;
        let day = match self.0 {
            Day::Julian(day) => first + day - 1 + i64::from(is_leap && day > 59),
            Day::OfYear(day) => first + day,
            Day::OfMonth(month, week, weekday) => {
                let start = day_of(year, month, 1);
                let next = if month == 12 {
                    day_of(year + 1, 1, 1)
                } else {
                    day_of(year, month + 1, 1)
                };
                // 1 January 1970 was a Thursday.
                let day = start + (weekday - (start + 4)).rem_euclid(7) + 7 * (week - 1);
                if day < next { day } else { day - 7 }
            }
        };
        day.saturating_mul(DAY_SECONDS).saturating_add(self.1)
    }
}

/// The difference of the local time to UTC, in seconds to the east, at a moment (seconds since
/// 1970); `None`: this is no such rule.
pub fn offset_s(text: &[u8], at: i64) -> Option<i64> {
    let mut text = Text(text);
    text.name()?;
    let standard = -text.time(24)?;
    if text.0.is_empty() {
        return Some(standard);
    }
    text.name()?;
    let summer = if matches!(text.0.first(), None | Some(b',')) {
        standard + HOUR_SECONDS
    } else {
        -text.time(24)?
    };
    if text.0.is_empty() {
        text.0 = USUAL;
    }
    let (begin, end) = (text.change()?, text.change()?);
    if !text.0.is_empty() {
        return None;
    }
    let (year, ..) = date_of(at.saturating_add(standard).div_euclid(DAY_SECONDS));
    let begin = begin.in_year(year).saturating_sub(standard);
    let end = end.in_year(year).saturating_sub(summer);
    let is_summer = if begin < end {
        (begin..end).contains(&at)
    } else {
        !(end..begin).contains(&at)
    };
    Some(if is_summer { summer } else { standard })
}

/// What is left of the text.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Three letters or more, or anything in angle brackets.
    fn name(&mut self) -> Option<()> {
        let bytes = if self.0.first() == Some(&b'<') {
            self.0.iter().position(|b| *b == b'>')? + 1
        } else {
            let letters = self.0.iter().take_while(|b| b.is_ascii_alphabetic());
            Some(letters.count()).filter(|count| *count >= 3)?
        };
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn number(&mut self, most: i64) -> Option<i64> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let number = i64::from(crate::format::decimal(digits)?);
        (number <= most).then_some(number)
    }

    /// `[+-]hh[:mm[:ss]]`, in seconds.
    fn time(&mut self, hours_max: i64) -> Option<i64> {
        let is_negative = self.0.first() == Some(&b'-');
        if is_negative || self.0.first() == Some(&b'+') {
            self.0 = self.0.get(1..)?;
        }
        let mut seconds = self.number(hours_max)? * HOUR_SECONDS;
        for unit in [60, 1] {
            if self.skip(b':').is_none() {
                break;
            }
            seconds += self.number(59)? * unit;
        }
        Some(if is_negative { -seconds } else { seconds })
    }

    /// `,day[/time]`
    fn change(&mut self) -> Option<Change> {
        self.skip(b',')?;
        let day = if self.skip(b'J').is_some() {
            Day::Julian(self.number(365).filter(|day| *day > 0)?)
        } else if self.skip(b'M').is_some() {
            let month = self.number(12).filter(|month| *month > 0)?;
            self.skip(b'.')?;
            let week = self.number(5).filter(|week| *week > 0)?;
            self.skip(b'.')?;
            Day::OfMonth(month, week, self.number(6)?)
        } else {
            Day::OfYear(self.number(365)?)
        };
        let time = match self.skip(b'/') {
            Some(()) => self.time(167)?,
            None => 2 * HOUR_SECONDS,
        };
        Some(Change(day, time))
    }
}
