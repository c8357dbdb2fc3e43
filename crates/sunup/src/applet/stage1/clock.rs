//! The time: the kernel sets its clock at boot by that of the board where it can
//! (CONFIG_RTC_HCTOSYS). Where it could not, for want of a driver, the clock shows 1970.

use std::path::Path;

use model::stage1::{PLAUSIBLE_S, unix_seconds};
use rustix::fs::OFlags;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::teller::Teller;
use crate::sys::file;
use crate::sys::rtc;

const RTC: &str = "/dev/rtc0";

/// Sets the clock by that of the board, which shows UTC, if it was never set.
pub fn set(teller: &mut Teller) {
    if clock_gettime(ClockId::Realtime).tv_sec >= PLAUSIBLE_S {
        return;
    }
    let read = file::open(Path::new(RTC), OFlags::RDONLY).and_then(|file| rtc::read(&file));
    let (date, time) = match read {
        Ok(moment) => moment,
        Err(e) => return teller.fail_unless_missing(RTC, &e),
    };
    // A battery that is empty is no news, and its time is no better than ours.
    let Some(seconds) = unix_seconds(date, time).filter(|seconds| *seconds >= PLAUSIBLE_S) else {
        return teller.detail(format_args!("{RTC}: was never set"));
    };
    let now = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    if let Err(e) = clock_settime(ClockId::Realtime, now) {
        teller.fail(format_args!("{RTC}: set the clock: {e}"));
    }
}
