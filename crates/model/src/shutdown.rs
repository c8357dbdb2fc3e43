//! shutdown(8): when the machine goes down, what is said before, and the record of it.
//!
//! A process of its own keeps the time ([`crate::shutdown::Schedule`] is its record). It
//! warns at the [`MARKS`], keeps users from logging in for the last [`NOLOGIN_S`], and asks PID
//! 1 at the end. Here is what is pure about that: texts and numbers.

use alloc::format;
use alloc::string::String;
use core::str;

use crate::format::decimal;
use crate::pid1::End;
use crate::process::Pid;

/// Minutes before the end at which everybody is warned, besides at the start.
pub const MARKS: [u64; 10] = [60, 30, 15, 10, 5, 4, 3, 2, 1, 0];
/// From so many seconds before the end on, nobody may log in.
pub const NOLOGIN_S: u64 = 300;
/// The longest time that may be asked for: a year, in minutes.
const MINUTES_MAX: u32 = 366 * 24 * 60;

/// When it is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In so many minutes; 0 is now.
    In(u32),
    /// When a clock shows it the next time.
    At {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
}

impl When {
    /// Reads `now`, `+MINUTES`, `MINUTES`, or `HOUR:MINUTE`.
    pub fn decode(text: &[u8]) -> Option<Self> {
        if text == b"now" {
            return Some(Self::In(0));
        }
        let colon = text.iter().position(|b| *b == b':');
        let Some((hour, minute)) = colon.and_then(|at| text.split_at_checked(at)) else {
            let minutes = decimal(text.strip_prefix(b"+").unwrap_or(text))?;
            return (minutes <= MINUTES_MAX).then_some(Self::In(minutes));
        };
        let number = |digits: &[u8], limit: u32| {
            let number = decimal(digits).filter(|n| *n < limit && digits.len() <= 2)?;
            u8::try_from(number).ok()
        };
        Some(Self::At {
            hour: number(hour, 24)?,
            minute: number(minute.get(1..)?, 60)?,
        })
    }
}

/// What the process that keeps the time tells others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Who keeps the time.
    pub pid: Pid,
    /// How it ends.
    pub end: End,
    /// When, in seconds since 1970.
    pub at_s: i64,
}

const FIRST_LINE: &str = "sunup-shutdown 1";

impl Schedule {
    /// Two lines of text.
    pub fn encode(&self) -> String {
        let Self { pid, end, at_s } = self;
        format!("{FIRST_LINE}\n{pid} {} {at_s}\n", end.name())
    }

    /// Reads them back. What is there may be anything.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let mut words = text.strip_prefix(FIRST_LINE)?.split_whitespace();
        let pid = decimal(words.next()?.as_bytes())?;
        i32::try_from(pid).ok().filter(|pid| *pid > 1)?;
        Some(Self {
            pid,
            end: End::of_name(words.next()?)?,
            at_s: words.next()?.parse().ok()?,
        })
    }
}

/// How many seconds before the end the next thing is to do, when `left` are left: the next
/// warning, or the time from which on nobody may log in.
pub fn next_mark(left_s: u64) -> u64 {
    let marks = MARKS.iter().map(|minutes| minutes * 60);
    marks.filter(|mark| *mark < left_s).max().unwrap_or(0)
}

/// What everybody is told when so many seconds are left.
pub fn warning(end: End, left_s: u64) -> String {
    let what = match end {
        End::Halt => "system halt",
        End::Poweroff => "power-off",
        End::Reboot => "reboot",
        End::Kexec => "reboot by kexec",
    };
    let start = format!("The system is going down for {what}");
    match left_s.div_ceil(60) {
        0 => start + " NOW!",
        1 => start + " in 1 minute!",
        minutes @ 2..120 => format!("{start} in {minutes} minutes!"),
        minutes => format!("{start} in {} h {:02} min!", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn times_as_people_type_them() {
        let at = |hour, minute| Some(When::At { hour, minute });
        for (text, when) in [
            ("now", Some(When::In(0))),
            ("+0", Some(When::In(0))),
            ("+5", Some(When::In(5))),
            ("90", Some(When::In(90))),
            ("23:59", at(23, 59)),
            ("7:05", at(7, 5)),
            ("0:0", at(0, 0)),
        ] {
            assert_eq!(When::decode(text.as_bytes()), when, "{text}");
        }
        for bad in [
            "",
            "+",
            "++1",
            "-1",
            "+-1",
            "24:00",
            "12:60",
            "12:",
            ":30",
            "1:2:3",
            "001:00",
            "tomorrow",
            "NOW",
            "+5m",
            "527041",
            "99999999999",
            " 5",
            "5 ",
        ] {
            assert_eq!(When::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_record_reads_back_and_garbage_is_none() {
        for end in End::ALL {
            let schedule = Schedule {
                pid: 77,
                end,
                at_s: -5,
            };
            let text = schedule.encode();
            assert_eq!(Schedule::decode(text.as_bytes()), Some(schedule));
        }
        for bad in [
            "",
            "sunup-shutdown 1\n",
            "sunup-shutdown 1\n1 halt 5\n",
            "sunup-shutdown 1\n-7 halt 5\n",
            "sunup-shutdown 1\n4294967295 halt 5\n",
            "sunup-shutdown 1\n77 stop 5\n",
            "sunup-shutdown 1\n77 halt x\n",
            "77 halt 5\n",
        ] {
            assert_eq!(Schedule::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn marks_come_in_order_and_the_last_is_the_end() {
        let mut left = 2 * 3600;
        let mut marks = Vec::new();
        while left > 0 {
            let next = next_mark(left);
            assert!(next < left);
            marks.push(next);
            left = next;
        }
        let minutes = MARKS.map(|m| m * 60);
        assert_eq!(marks, minutes);
        assert!(marks.contains(&NOLOGIN_S));
        assert_eq!(next_mark(61), 60);
        assert_eq!(next_mark(60), 0);
    }

    #[test]
    fn warnings_are_plain() {
        let texts = [0, 1, 60, 61, 7199, 7200].map(|left| warning(End::Reboot, left));
        let ends = [
            " NOW!",
            " in 1 minute!",
            " in 1 minute!",
            " in 2 minutes!",
            " in 2 h 00 min!",
            " in 2 h 00 min!",
        ];
        for (text, end) in texts.iter().zip(ends) {
            assert_eq!(
                *text,
                "The system is going down for reboot".to_string() + end
            );
        }
    }
}
