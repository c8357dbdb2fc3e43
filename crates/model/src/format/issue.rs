//! /etc/issue: text with escapes that describe the machine and the line.
//!
//! `\x` and `%x` mean the same. A letter without a meaning stands for itself. `\\` is a
//! backslash, and `%%` a percent sign.

use alloc::vec::Vec;

use super::stamp::{DAY_SECONDS, date_of};

/// What the escapes stand for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Operating system, `\s`.
    pub system: &'a [u8],
    /// Host name, `\n` or `\h`.
    pub node: &'a [u8],
    /// Release of the kernel, `\r`.
    pub release: &'a [u8],
    /// Version of the kernel, `\v`.
    pub version: &'a [u8],
    /// Machine, `\m`.
    pub machine: &'a [u8],
    /// NIS domain, `\o` or `\D`.
    pub domain: &'a [u8],
    /// Path of the terminal, `\l`.
    pub line: &'a [u8],
    /// The local time, `\d` and `\t`.
    pub now: LocalTime,
}

/// A moment in the local time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, such as 2026.
    pub year: i64,
    /// 0 is January.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
}

impl LocalTime {
    /// The moment that many seconds after 1 January 1970, of the local time.
    pub fn after_1970(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY_SECONDS);
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        let (year, month, day) = date_of(days);
        Self {
            year,
            month: (month - 1) as u8,
            day: day as u8,
            // 1 January 1970 was a Thursday.
            weekday: days.saturating_add(4).rem_euclid(7) as u8,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The text with its escapes replaced.
pub fn expand(text: &[u8], facts: &Facts) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' | b'%' => match bytes.next() {
                Some(letter) => escape(*letter, facts, &mut out),
                None => out.push(*byte),
            },
            _ => out.push(*byte),
        }
    }
    out
}

fn escape(letter: u8, facts: &Facts, out: &mut Vec<u8>) {
    let now = facts.now;
    match letter {
        b's' => out.extend(facts.system),
        b'n' | b'h' => out.extend(facts.node),
        b'r' => out.extend(facts.release),
        b'v' => out.extend(facts.version),
        b'm' => out.extend(facts.machine),
        b'o' | b'D' => out.extend(facts.domain),
        b'l' => out.extend(facts.line),
        b'd' => {
            let name = |list: &[&'static str], i: u8| list.get(usize::from(i)).copied();
            let day = name(&DAYS, now.weekday).unwrap_or("?");
            let month = name(&MONTHS, now.month).unwrap_or("?");
            out.extend(alloc::format!("{day}, {:02} {month} {}", now.day, now.year).bytes());
        }
        b't' => out
            .extend(alloc::format!("{:02}:{:02}:{:02}", now.hour, now.minute, now.second).bytes()),
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        system: b"Linux",
        node: b"box",
        release: b"6.1",
        version: b"#1",
        machine: b"x86_64",
        domain: b"(none)",
        line: b"/dev/ttyS0",
        now: LocalTime {
            year: 2026,
            month: 10,
            day: 2,
            weekday: 1,
            hour: 3,
            minute: 4,
            second: 5,
        },
    };

    #[test]
    fn escapes_are_replaced() {
        let text = b"\\s \\n \\h \\r \\v \\m \\o \\D \\l|\\d|\\t|%n %% \\\\ \\q\n\\";
        assert_eq!(
            expand(text, &FACTS).escape_ascii().to_string(),
            "Linux box box 6.1 #1 x86_64 (none) (none) /dev/ttyS0\
             |Monday, 02 November 2026|03:04:05|box % \\\\ q\\n\\\\"
        );
    }

    #[test]
    fn a_time_out_of_range_is_no_panic() {
        let facts = Facts {
            now: LocalTime {
                month: 12,
                weekday: 7,
                ..FACTS.now
            },
            ..FACTS
        };
        assert_eq!(expand(b"%d", &facts), b"?, 02 ? 2026");
    }

    use alloc::string::ToString;
}
