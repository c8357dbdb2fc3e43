//! A terminal line for tests: we are at the keyboard, the program under test at the other end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::common::{patience, yield_until};

/// See the module.
pub struct Line {
    keyboard: File,
    pub path: PathBuf,
    /// Held open, so that the line is not hung up when a program closes it.
    pub other_end: OwnedFd,
    shown: Vec<u8>,
}

impl Line {
    pub fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other_end = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        Self {
            keyboard: keyboard.into(),
            path,
            other_end,
            shown: Vec::new(),
        }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The name under /dev.
    pub fn name(&self) -> &str {
        self.path().strip_prefix("/dev/").unwrap()
    }

    pub fn type_in(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Waits until the screen has shown `text` since the last call; answers all of that.
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + patience();
        loop {
            let shown = String::from_utf8_lossy(&self.shown).replace('\r', "");
            if shown.contains(text) {
                self.shown.clear();
                return shown;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {text:?} on the line, but {shown:?}");
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: 0,
            };
            if poll(
                &mut [PollFd::new(&self.keyboard, PollFlags::IN)],
                Some(&timeout),
            )
            .unwrap()
                > 0
            {
                let mut buffer = [0; 4096];
                let n = self.keyboard.read(&mut buffer).unwrap();
                self.shown.extend(&buffer[..n]);
            }
        }
    }

    /// Whether what is typed is shown, whole lines are read, and keys send signals.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.other_end).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON)
    }

    /// Waits until what is typed is not shown.
    pub fn until_hidden(&self) {
        let is_hidden = || {
            let modes = tcgetattr(&self.other_end).unwrap().local_modes;
            (!modes.contains(LocalModes::ECHO)).then_some(())
        };
        yield_until(is_hidden);
    }
}
