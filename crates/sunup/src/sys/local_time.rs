//! The local time, by TZ and /etc/localtime: for texts that people read.

use std::mem::MaybeUninit;

use model::format::issue::LocalTime;
use rustix::time::{ClockId, clock_gettime};

/// Now, in the local time zone; 1 January 1970 if the clock is out of all range.
pub fn now() -> LocalTime {
    let seconds = clock_gettime(ClockId::Realtime).tv_sec as libc::time_t;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; `parts` is read only when it was filled.
    let parts = unsafe {
        if libc::localtime_r(&raw const seconds, parts.as_mut_ptr()).is_null() {
            return LocalTime {
                year: 1970,
                day: 1,
                weekday: 4,
                ..LocalTime::default()
            };
        }
        parts.assume_init()
    };
    LocalTime {
        year: i64::from(parts.tm_year).saturating_add(1900),
        month: parts.tm_mon as u8,
        day: parts.tm_mday as u8,
        weekday: parts.tm_wday as u8,
        hour: parts.tm_hour as u8,
        minute: parts.tm_min as u8,
        second: parts.tm_sec as u8,
    }
}
