//! The local time, by TZ and /etc/localtime: for texts that people read.
//!
//! The C library's answer is not asked for: it would bring along its scanf, and where its
//! times have 32 bits, its last moment is in 2038.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use model::format::issue::LocalTime;
use model::format::time_zone::{self, BYTES_MAX, offset_s_by_rule};
use rustix::time::{ClockId, clock_gettime};

use super::file;

/// The local time zone, and where the files of others are.
const LOCAL: &str = "/etc/localtime";
const OTHERS: &str = "/usr/share/zoneinfo";

/// Now, in the local time zone; in UTC if that is not known.
pub fn now() -> LocalTime {
    of(unix_now())
}

/// A moment in seconds since 1970, as [`now`].
pub fn of(seconds: i64) -> LocalTime {
    let zone = std::env::var_os("TZ").map(OsString::into_vec);
    at(seconds, zone.as_deref())
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec
}

/// When a clock shows this the next time after `now`, in seconds since 1970; also where
/// the clocks are changed until then.
pub fn next(hour: u8, minute: u8, now: i64, shown: impl Fn(i64) -> LocalTime) -> i64 {
    const DAY: i64 = 86_400;
    let of_day = |h: u8, m: u8, s: u8| (i64::from(h) * 60 + i64::from(m)) * 60 + i64::from(s);
    let seconds_to = |at: i64| {
        let is = shown(at);
        of_day(hour, minute, 0) - of_day(is.hour, is.minute, is.second)
    };
    let ahead = match seconds_to(now).rem_euclid(DAY) {
        0 => DAY,
        seconds => seconds,
    };
    let at = now.saturating_add(ahead);
    // Half a day at most, backwards or forwards.
    let change = (seconds_to(at) + DAY / 2).rem_euclid(DAY) - DAY / 2;
    at.saturating_add(change)
}

/// How many seconds the local time is ahead of UTC at a moment; 0 if that is not known.
pub fn offset_s(seconds: i64) -> i64 {
    let zone = std::env::var_os("TZ").map(OsString::into_vec);
    offset_in(seconds, zone.as_deref())
}

/// A moment (seconds since 1970) in a time zone that is named as TZ names one, or in the local one.
fn at(seconds: i64, zone: Option<&[u8]>) -> LocalTime {
    LocalTime::after_1970(seconds.saturating_add(offset_in(seconds, zone)))
}

fn offset_in(seconds: i64, zone: Option<&[u8]>) -> i64 {
    let offset = match zone.map(|zone| zone.strip_prefix(b":").unwrap_or(zone)) {
        None => by_file(Path::new(LOCAL), seconds),
        Some(b"") => None,
        Some(zone) => by_file(&Path::new(OTHERS).join(OsStr::from_bytes(zone)), seconds)
            .or_else(|| offset_s_by_rule(zone, seconds)),
    };
    offset.unwrap_or(0)
}

fn by_file(path: &Path, seconds: i64) -> Option<i64> {
    time_zone::offset_s(&file::read(path, BYTES_MAX).ok()?, seconds)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn the_next_time_that_a_clock_shows() {
        let zone = Some(&b"CET-1CEST,M3.5.0,M10.5.0/3"[..]);
        let shown = |seconds| super::at(seconds, zone);
        let next = |hour, minute, now| super::next(hour, minute, now, shown) - now;
        // 2026-11-29 12:00:30 in Berlin.
        let noon = 1_795_950_030;
        assert_eq!((shown(noon).hour, shown(noon).minute), (12, 0));
        assert_eq!(next(12, 1, noon), 30);
        assert_eq!(next(11, 59, noon), 86_400 - 90);
        assert_eq!(next(12, 0, noon), 86_400 - 30);
        assert_eq!(next(12, 0, noon - 30), 86_400);
        // Clocks go from 3:00 to 2:00 in the night before 2026-10-25.
        let evening = 1_792_872_000;
        assert_eq!((shown(evening).day, shown(evening).hour), (24, 22));
        assert_eq!(next(7, 0, evening), 10 * 3600);
        assert_eq!(next(1, 0, evening), 3 * 3600);
    }

    /// As date(1) has it; a zone that is not installed is UTC for both.
    #[test]
    fn zones() {
        let zones = [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "America/Nuuk",
            "Africa/Casablanca",
            "Pacific/Apia",
            ":Europe/Dublin",
            "UTC",
            "",
            "No/Where",
            "<-03>3:30",
        ];
        let moments = [-2_000_000_000, -1, 0, 449_593_200, 1_325_240_000];
        let later = [1_767_225_600, 1_783_000_000, 2_200_000_000, 4_118_000_400];
        for zone in zones {
            for seconds in moments.into_iter().chain(later) {
                let at = format!("@{seconds}");
                let ask = ["-d", &at, "+%Y %-m %-d %w %-H %-M %-S"];
                let date = Command::new("date").env("TZ", zone).args(ask).output();
                let t = super::at(seconds, Some(zone.as_bytes()));
                let ours = format!(
                    "{} {} {} {} {} {} {}\n",
                    t.year,
                    t.month + 1,
                    t.day,
                    t.weekday,
                    t.hour,
                    t.minute,
                    t.second
                );
                let date = String::from_utf8(date.unwrap().stdout).unwrap();
                assert_eq!(ours, date, "{zone} {seconds}");
            }
        }
        // Whatever the local zone is.
        let shown = super::at(0, None);
        assert!((1969..=1970).contains(&shown.year));
    }
}
