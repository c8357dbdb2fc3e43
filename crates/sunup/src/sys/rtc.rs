//! The clock of the board (rtc(4)).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::signal::check;

/// As the kernel has it (linux/rtc.h).
#[repr(C)]
#[derive(Default)]
struct RtcTime {
    second: i32,
    minute: i32,
    hour: i32,
    day: i32,
    month: i32,
    year: i32,
    unused: [i32; 3],
}

/// Year, month and day from 1, and hour, minute and second.
pub type Moment = ([i64; 3], [i64; 3]);

/// Reads an open clock.
pub fn read(clock: &File) -> io::Result<Moment> {
    let request = libc::_IOR::<RtcTime>(u32::from(b'p'), 9);
    let mut time = RtcTime::default();
    // SAFETY: the request fills a struct rtc_time, whose size is a part of it.
    check(unsafe { libc::ioctl(clock.as_raw_fd(), request, &raw mut time) })?;
    let date = [time.year + 1900, time.month + 1, time.day];
    let of_day = [time.hour, time.minute, time.second];
    Ok((date.map(i64::from), of_day.map(i64::from)))
}
