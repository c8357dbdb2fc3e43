//! Devices that are not there yet: PID 1 watches the directories in which they will appear, but
//! only while somebody waits for one ([`model::pid1::Life::waits_for_a_device`]).
//!
//! Events say no more than that something has happened; who waits looks himself.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::time::Timespec;

use crate::sys::signal::SignalFd;

static WATCH: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// How often a directory may appear while its parent is looked at.
const TRIES: usize = 32;

/// Whether the device at `path` is missing and its appearance will be noticed. Without
/// inotify it would not be: then nobody can wait for it.
pub fn awaits(path: &Path) -> bool {
    let Ok(mut watch) = WATCH.try_lock() else {
        return false;
    };
    for _ in 0..TRIES {
        if path.exists() {
            return false;
        }
        let Some(dir) = deepest(path) else {
            return false;
        };
        if !add(&mut watch, dir) {
            return false;
        }
        // What appeared before the watch was there has no event.
        if !path.exists() && deepest(path) == Some(dir) {
            return true;
        }
    }
    false
}

/// The deepest directory on the way to `path` that is there.
fn deepest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|dir| dir.is_dir())
}

fn add(watch: &mut Option<OwnedFd>, dir: &Path) -> bool {
    if watch.is_none() {
        *watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
    }
    let events = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    watch
        .as_ref()
        .is_some_and(|watch| inotify::add_watch(watch, dir, events).is_ok())
}

/// Nobody waits for a device any more.
pub fn forget() {
    if let Ok(mut watch) = WATCH.try_lock() {
        *watch = None;
    }
}

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// A signal, or nothing in particular.
    Signal,
    /// Something appeared.
    Device,
    /// The time is over.
    Timeout,
}

/// Waits for a signal, for a device if somebody waits for one, or until the time is over.
pub fn wait(signals: &SignalFd, timeout: Option<&Timespec>) -> Waited {
    let watch = WATCH.try_lock();
    let watch = watch.as_ref().ok().and_then(|watch| watch.as_ref());
    let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
    fds.extend(watch.map(|watch| PollFd::new(watch, PollFlags::IN)));
    let ready = poll(&mut fds, timeout);
    let is_device = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
    match watch {
        Some(watch) if is_device => {
            empty(watch);
            Waited::Device
        }
        _ if ready == Ok(0) => Waited::Timeout,
        _ => Waited::Signal,
    }
}

/// Takes what the watch has to tell: so much that it is empty, or will be soon.
fn empty(watch: impl AsFd) {
    let mut events = [0; 4096];
    for _ in 0..16 {
        if !matches!(rustix::io::read(&watch, &mut events), Ok(1..)) {
            break;
        }
    }
}
