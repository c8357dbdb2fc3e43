//! The devices that exist already: each /sys/dev/{block,char}/MAJOR:MINOR is a link to the
//! directory of a device.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use model::format::uevent::{Kind, Number, Uevent};
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::Voice;
use crate::sys::file;

/// A `uevent` file has at most one page.
const UEVENT_BYTES_MAX: usize = 4096;

/// A device that existed when [`devices`] looked.
pub struct Present {
    kind: Kind,
    number: Number,
    directory: Rc<OwnedFd>,
    entry: Vec<u8>,
}

/// All devices, block devices first.
pub fn devices() -> io::Result<Vec<Present>> {
    let mut found = Vec::new();
    for (kind, path) in [
        (Kind::Block, "/sys/dev/block"),
        (Kind::Char, "/sys/dev/char"),
    ] {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Rc::new(openat(CWD, path, flags, Mode::empty())?);
        for entry in Dir::read_from(&*directory)? {
            let entry = entry?.file_name().to_bytes().to_vec();
            if let Some(number) = Number::decode(&entry) {
                let directory = Rc::clone(&directory);
                found.push(Present {
                    kind,
                    number,
                    directory,
                    entry,
                });
            }
        }
    }
    Ok(found)
}

impl Present {
    /// The event of the device, as far as sysfs tells. `None`: the device went away
    /// meanwhile. `variables`: whether a rule needs path and subsystem, which cost two more
    /// lookups. If a device cannot be read, this is reported.
    pub fn event(&self, variables: bool, voice: Voice) -> Option<Uevent> {
        let mut event = Uevent::decode_lines(&self.read_uevent(voice)?);
        event.set(b"ACTION", b"add");
        event.set(b"MAJOR", self.number.major.to_string().as_bytes());
        event.set(b"MINOR", self.number.minor.to_string().as_bytes());
        if self.kind == Kind::Block {
            event.set(b"SUBSYSTEM", b"block");
        }
        if variables || event.get(b"DEVNAME").is_none() {
            let path = self.read_link(b"")?;
            let start = path.windows(9).position(|w| w == b"/devices/")?;
            event.set(b"DEVPATH", path.get(start..)?);
            if let Some(subsystem) = self.read_link(b"/subsystem") {
                let name = subsystem.rsplit(|b| *b == b'/').next();
                event.set(b"SUBSYSTEM", name.unwrap_or_default());
            }
        }
        Some(event)
    }

    fn read_uevent(&self, voice: Voice) -> Option<Vec<u8>> {
        let path = [self.entry.as_slice(), b"/uevent"].concat();
        let open = |path| {
            let flags = OFlags::RDONLY;
            file::open_at(&*self.directory, path, flags, Mode::empty())
        };
        let text = open(Path::new(OsStr::from_bytes(&path)))
            .and_then(|fd| file::head(File::from(fd), UEVENT_BYTES_MAX));
        match text {
            Ok(text) => Some(text),
            Err(e) => {
                // The device may go away before its file is opened, or after.
                let gone = [Errno::NOENT, Errno::NODEV].map(Errno::raw_os_error);
                if e.raw_os_error().is_none_or(|e| !gone.contains(&e)) {
                    let kind = match self.kind {
                        Kind::Block => "block",
                        Kind::Char => "char",
                    };
                    let path = path.escape_ascii();
                    voice.say(format_args!("/sys/dev/{kind}/{path}: read: {e}"));
                }
                None
            }
        }
    }

    fn read_link(&self, below: &[u8]) -> Option<Vec<u8>> {
        let path = [self.entry.as_slice(), below].concat();
        let target = readlinkat(&*self.directory, path, Vec::new()).ok()?;
        Some(target.into_bytes())
    }
}
