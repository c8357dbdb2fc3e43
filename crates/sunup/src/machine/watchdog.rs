//! The hardware watchdog as PID 1 has it ([`model::watchdog`] decides).
//!
//! Environment: `SUNUP_WATCHDOG`, its time in seconds; without it there is none.
//! `SUNUP_WATCHDOG_DEVICE`, if it is not /dev/watchdog. A PID 1 that executes itself anew hands the
//! open device over: closed in between it would either be disarmed, or could not be opened again.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;

use model::pid1::End;
use model::time::Instant;
use model::watchdog::{Action, Event, Watchdog};
use rustix::io::{FdFlags, fcntl_setfd};

use super::{console, devices};
use crate::sys::{clock, env, inherited, watchdog};

const TIME: &str = "SUNUP_WATCHDOG";
const DEVICE: &str = "SUNUP_WATCHDOG_DEVICE";
/// What a predecessor handed over: descriptor and time.
const HANDOVER: &str = "SUNUP_INIT_WATCHDOG";

struct Dog {
    state: Watchdog,
    device: Option<OwnedFd>,
}

static DOG: Mutex<Dog> = Mutex::new(Dog {
    state: Watchdog::Off,
    device: None,
});

/// Reads the settings, or takes the device over.
pub fn begin() {
    let Ok(mut dog) = DOG.try_lock() else { return };
    if let Some((device, seconds)) = handed_over() {
        dog.device = Some(device);
        dog.state = Watchdog::resume(seconds);
    } else if let Some(text) = std::env::var_os(TIME) {
        match text.to_str().and_then(Watchdog::of_setting) {
            Some(state) => dog.state = state,
            None => console::say(&format!(
                "{TIME}={}: not a number of seconds up to a day; there is no watchdog",
                text.display()
            )),
        }
    }
}

fn handed_over() -> Option<(OwnedFd, u32)> {
    let told = std::env::var(HANDOVER).ok()?;
    env::remove(HANDOVER);
    let (number, seconds) = told.split_once(' ')?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0)?;
    Some((inherited::claim(number.parse().ok()?)?, seconds))
}

/// What follows from a turn of the loop; when the next one is due, if there is no other reason.
pub fn turn(is_up: bool, goes_down: bool) -> Option<Instant> {
    step(Event::Turn { is_up, goes_down });
    DOG.try_lock().ok()?.state.deadline()
}

/// Something appeared where devices are.
pub fn device() {
    step(Event::Device);
}

/// PID 1 is about to end the machine, or to become another program.
pub fn last(end: Option<End>) {
    step(Event::Last(end));
}

/// Whether it waits for its device.
pub fn waits() -> bool {
    DOG.try_lock()
        .is_ok_and(|dog| dog.state.waits_for_the_device())
}

fn step(event: Event) {
    // There is one thread; a lock that is taken means a panic, and nobody is fed then.
    let Ok(mut dog) = DOG.try_lock() else { return };
    let mut event = Some(event);
    while let Some(happened) = event.take() {
        let (next, actions) = dog.state.step(clock::now(), happened);
        dog.state = next;
        for action in actions {
            event = dog.perform(action).or(event);
        }
    }
}

impl Dog {
    fn perform(&mut self, action: Action) -> Option<Event> {
        match (action, &self.device) {
            (Action::Open(seconds), _) => return Some(self.open(seconds)),
            (Action::SetTime(seconds), Some(device)) => {
                let _kept = watchdog::set_time(device, seconds);
            }
            (Action::Feed, Some(device)) => {
                if let Err(e) = watchdog::feed(device) {
                    console::note(&format!("watchdog: {e}"));
                }
            }
            (Action::Disarm, Some(_)) => {
                if let Some(device) = self.device.take() {
                    watchdog::disarm(&device);
                }
            }
            (_, None) => {}
        }
        None
    }

    fn open(&mut self, seconds: u32) -> Event {
        let path = std::env::var_os(DEVICE).map_or_else(|| "/dev/watchdog".into(), PathBuf::from);
        if devices::awaits(&path) {
            console::note(&format!("{} is not there yet", path.display()));
            return Event::NotThere;
        }
        match watchdog::arm(&path) {
            Ok(device) => {
                let has = watchdog::set_time(&device, seconds).unwrap_or(seconds);
                console::note(&format!("{} is armed with {has} s", path.display()));
                self.device = Some(device);
                Event::Opened(has)
            }
            Err(e) => {
                console::say(&format!("{}: {e}; there is no watchdog", path.display()));
                Event::Refused
            }
        }
    }
}

/// The variable for a successor, whom the device is left open for; [`keep`] if there is none.
pub fn hand_over() -> Option<(&'static str, String)> {
    let dog = DOG.try_lock().ok()?;
    let (device, seconds) = (dog.device.as_ref()?, dog.state.armed_s()?);
    let _ = watchdog::feed(device);
    fcntl_setfd(device, FdFlags::empty()).ok()?;
    Some((HANDOVER, format!("{} {seconds}", device.as_raw_fd())))
}

/// The successor could not be executed: no child has the device.
pub fn keep() {
    if let Ok(dog) = DOG.try_lock()
        && let Some(device) = &dog.device
    {
        let _ = fcntl_setfd(device, FdFlags::CLOEXEC);
    }
}
