//! What happens in service directories: one inotify descriptor for all of them
//! tells when `log` comes or goes.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use model::supervisor::UnitId;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// See the module.
pub struct Homes {
    inotify: OwnedFd,
    units: HashMap<i32, UnitId>,
}

impl Homes {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            units: HashMap::new(),
        })
    }

    /// What to wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches a service directory; the number ends it.
    pub fn watch(&mut self, unit: UnitId, home: &Path) -> io::Result<i32> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.inotify, home, flags)?;
        self.units.insert(watch, unit);
        Ok(watch)
    }

    /// Ends a watch.
    pub fn forget(&mut self, watch: i32) {
        self.units.remove(&watch);
        // The directory may be gone already, and the watch with it.
        let _gone = inotify::remove_watch(&self.inotify, watch);
    }

    /// The units in whose directory something happened to `log`; all of them
    /// when the kernel lost count.
    pub fn changed(&self) -> Vec<UnitId> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut changed = Vec::new();
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changed.extend(self.units.values());
            } else if event.file_name() == Some(c"log") {
                changed.extend(self.units.get(&event.wd()));
            }
            // The rest stays readable and wakes the loop again.
            if reader.is_buffer_empty() {
                break;
            }
        }
        changed
    }
}
