//! The local time, by TZ and /etc/localtime: for texts that people read.
//!
//! The C library's answer is not asked for: it would bring along its scanf, and where its
//! times have 32 bits, its last moment is in 2038.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use model::format::issue::LocalTime;
use model::format::time_zone::{BYTES_MAX, offset_s, offset_s_by_rule};
use rustix::time::{ClockId, clock_gettime};

use super::file;

/// The local time zone, and where the files of others are.
const LOCAL: &str = "/etc/localtime";
const OTHERS: &str = "/usr/share/zoneinfo";

/// Now, in the local time zone; in UTC if that is not known.
pub fn now() -> LocalTime {
    let zone = std::env::var_os("TZ").map(OsString::into_vec);
    at(clock_gettime(ClockId::Realtime).tv_sec, zone.as_deref())
}

/// A moment (seconds since 1970) in a time zone that is named as TZ names one, or in the local one.
fn at(seconds: i64, zone: Option<&[u8]>) -> LocalTime {
    let offset = match zone.map(|zone| zone.strip_prefix(b":").unwrap_or(zone)) {
        None => by_file(Path::new(LOCAL), seconds),
        Some(b"") => None,
        Some(zone) => by_file(&Path::new(OTHERS).join(OsStr::from_bytes(zone)), seconds)
            .or_else(|| offset_s_by_rule(zone, seconds)),
    };
    LocalTime::after_1970(seconds.saturating_add(offset.unwrap_or(0)))
}

fn by_file(path: &Path, seconds: i64) -> Option<i64> {
    offset_s(&file::read(path, BYTES_MAX).ok()?, seconds)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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
