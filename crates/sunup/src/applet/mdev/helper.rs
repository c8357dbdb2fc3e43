//! mdev as the kernel's hotplug helper (/proc/sys/kernel/hotplug): it handles one event,
//! which is in the environment.
//!
//! The kernel starts one helper for each event, many at the same time. If the file
//! /dev/mdev.seq exists, it holds the number (SEQNUM) of the event whose turn it is. A
//! helper waits for its turn, for 2 s at most. If /dev/mdev.log exists, messages go there.
//!
//! The kernel gives MAJOR, MINOR and SUBSYSTEM. A script that calls mdev may leave them out,
//! as with busybox. Then mdev reads them from the directory of the device in sysfs.

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

use super::{SPEC, usage_error};
use crate::devices::{Mdev, Voice};
use crate::sys::{clock, file};

/// How long a helper waits for earlier events.
const WAIT_NS_MAX: u64 = 2_000_000_000;

/// The file `dev` of a device holds `MAJOR:MINOR` and a newline.
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

/// Adds what the event lacks, from the directory of the device.
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

/// Opens a file of /dev that is used only if it exists.
fn open(name: &str, flags: OFlags, voice: Voice) -> Option<File> {
    match file::open(Path::new(name), flags) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            voice.say(format_args!("{name}: open: {e}; going on without it"));
            None
        }
        opened => opened.ok(),
    }
}

/// The turn of this event. After the event, the turn goes to the next one.
struct Turn {
    file: File,
    number: u32,
}

impl Turn {
    /// Waits until all events before `number` are handled. `None`: events are not counted,
    /// or a later event has its turn already.
    fn wait(number: u32, voice: Voice) -> Option<Self> {
        let file = open(SEQUENCE, OFlags::RDWR, voice)?;
        let turn = Self { file, number };
        let end = clock::boot_ns().saturating_add(WAIT_NS_MAX);
        // Watch first, then look. So no change is missed.
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).ok()?;
        inotify::add_watch(&watch, SEQUENCE, inotify::WatchFlags::MODIFY).ok()?;
        loop {
            match turn.current() {
                // The file is new: begin to count with this event.
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

    /// The number in the file. `None`: the file is empty.
    fn current(&self) -> io::Result<Option<u32>> {
        let mut text = [0; 16];
        let bytes = self.file.read_at(&mut text, 0)?;
        let text = text.get(..bytes).unwrap_or_default().trim_ascii();
        Ok(decimal(text))
    }

    /// Writes a number. Returns whether it could; reports if it could not.
    fn write(&self, number: u32, voice: Voice) -> bool {
        // The numbers grow, so the new text covers all of the old one.
        let written = self.file.write_all_at(number.to_string().as_bytes(), 0);
        written
            .inspect_err(|e| voice.say(format_args!("{SEQUENCE}: write: {e}")))
            .is_ok()
    }

    fn pass(self, voice: Voice) {
        self.write(self.number.saturating_add(1), voice);
    }
}
