//! One event from the environment: mdev as the kernel's hotplug helper
//! (/proc/sys/kernel/hotplug).
//!
//! The kernel starts helpers side by side, one for each event. Where the file
//! /dev/mdev.seq exists it holds the number (SEQNUM) of the event whose turn it
//! is, and a helper waits for its turn, for 2 s at most. Where /dev/mdev.log
//! exists, messages go there.
//!
//! The kernel tells MAJOR, MINOR and SUBSYSTEM. A script that calls mdev, as one can
//! with busybox's, may leave them out: they are read from the device's directory in
//! sysfs then.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::format::decimal;
use model::format::uevent::{Number, Uevent};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, inotify};

use super::{Mdev, SPEC, Voice, usage_error};
use crate::sys::{clock, file};

/// How long a helper waits for the events before its own.
const WAIT_NS_MAX: u64 = 2_000_000_000;

/// A device's `dev` file holds `MAJOR:MINOR` and a newline.
const NUMBER_BYTES_MAX: usize = 32;

const SEQUENCE: &str = "mdev.seq";
const LOG: &str = "mdev.log";

pub fn run(voice: Voice) -> u8 {
    let variables: Vec<_> = std::env::vars_os().collect();
    let pairs = variables.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    let mut event = Uevent::from_environment(pairs);
    let (Some(action), Some(path)) = (event.get(b"ACTION"), event.get(b"DEVPATH")) else {
        return usage_error(
            &SPEC,
            "a hotplug helper needs ACTION and DEVPATH in its environment",
        );
    };
    let directory = [b"/sys", path].concat();
    let number = event.get(b"SEQNUM").unwrap_or_default();
    if let Some(log) = open(LOG, OFlags::WRONLY | OFlags::APPEND, voice) {
        let _no_log = rustix::stdio::dup2_stderr(&log);
        voice.say(format_args!(
            "{} {} {}",
            number.escape_ascii(),
            action.escape_ascii(),
            path.escape_ascii()
        ));
    }
    let turn = decimal(number).and_then(|number| Turn::wait(number, voice));
    complete(&mut event, Path::new(OsStr::from_bytes(&directory)));
    Mdev::new(voice).handle(&event, |command| command.run(voice));
    if let Some(turn) = turn {
        turn.pass(voice);
    }
    0
}

/// Adds what the event does not say and the device's directory does.
fn complete(event: &mut Uevent, directory: &Path) {
    if event.number().is_none()
        && let Ok(text) = file::open(&directory.join("dev"), OFlags::RDONLY)
            .and_then(|file| file::head(file, NUMBER_BYTES_MAX))
        && let Some(number) = Number::decode(text.trim_ascii())
    {
        event.set(b"MAJOR", number.major.to_string().as_bytes());
        event.set(b"MINOR", number.minor.to_string().as_bytes());
    }
    if event.get(b"SUBSYSTEM").is_none()
        && let Ok(target) = std::fs::read_link(directory.join("subsystem"))
        && let Some(name) = target.file_name()
    {
        event.set(b"SUBSYSTEM", name.as_bytes());
    }
}

/// A file of /dev that is used if it is there.
fn open(name: &str, flags: OFlags, voice: Voice) -> Option<File> {
    match file::open(Path::new(name), flags) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            voice.say(format_args!("{name}: open: {e}; going on without it"));
            None
        }
        opened => opened.ok(),
    }
}

/// This event's turn, to be passed on when it is handled.
struct Turn {
    file: File,
    number: u32,
}

impl Turn {
    /// Waits until all events before `number` are handled. `None` if nobody
    /// counts, or a later event is being handled already.
    fn wait(number: u32, voice: Voice) -> Option<Self> {
        let file = open(SEQUENCE, OFlags::RDWR, voice)?;
        let turn = Self { file, number };
        let end = clock::boot_ns().saturating_add(WAIT_NS_MAX);
        // Watch first, then look: a change between the two is not lost.
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).ok()?;
        inotify::add_watch(&watch, SEQUENCE, inotify::WatchFlags::MODIFY).ok()?;
        loop {
            match turn.current() {
                // A fresh file: counting starts here.
                Ok(None) => {
                    return turn.write(number, voice).then_some(turn);
                }
                Ok(Some(current)) if current == number => return Some(turn),
                Ok(Some(current)) if current > number => return None,
                Ok(Some(_)) => {}
                Err(e) => {
                    voice.say(format_args!("{SEQUENCE}: read: {e}"));
                    return None;
                }
            }
            let left = end.saturating_sub(clock::boot_ns());
            let mut fds = [PollFd::new(&watch, PollFlags::IN)];
            if left == 0 || poll(&mut fds, Some(&clock::timespec(left))) == Ok(0) {
                voice.say(format_args!(
                    "{SEQUENCE}: event {number} waited 2 s for those before it; going on without them"
                ));
                return Some(turn);
            }
            let _drained = rustix::io::read(&watch, &mut [0_u8; 4096]);
        }
    }

    /// The number in the file; `None` if it is empty.
    fn current(&self) -> io::Result<Option<u32>> {
        let mut text = [0; 16];
        let bytes = self.file.read_at(&mut text, 0)?;
        let text = text.get(..bytes).unwrap_or_default().trim_ascii();
        Ok(decimal(text))
    }

    /// Whether it could be written; if not, that is said.
    fn write(&self, number: u32, voice: Voice) -> bool {
        // Numbers only grow, so nothing of the old text remains.
        let written = self.file.write_all_at(number.to_string().as_bytes(), 0);
        written
            .inspect_err(|e| voice.say(format_args!("{SEQUENCE}: write: {e}")))
            .is_ok()
    }

    fn pass(self, voice: Voice) {
        self.write(self.number.saturating_add(1), voice);
    }
}
