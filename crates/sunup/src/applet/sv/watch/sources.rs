//! What tells `sv watch` of changes: inotify watches of each `supervise` and of the
//! directories that services appear in, and the fifos that end with a supervisor.
//!
//! A watch comes before the look whose result it keeps fresh. Each event costs the supervisor
//! time, for each who watches. So only one write of each change is an event: that of `status`,
//! which our supervisor writes in place, after all else; runit's renames a new one. A look must
//! be no event itself, here or for another `sv watch`. A service without a supervisor is
//! watched for the opening of its files, too: that is what the next supervisor does last.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::time::Instant;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::stat;
use rustix::io::Errno;

use super::super::client::Service;
use super::super::directories::{locate, scan_directory};
use super::super::wait::raise_descriptor_limit;
use super::named::Named;
use crate::sys::clock;

/// How often to look if the kernel gives no watch (ns).
const LOOK_NS: u64 = 1_000_000_000;
/// So many descriptors may be needed, with luck.
const DESCRIPTORS: usize = 4096;
/// Ready descriptors taken from the kernel at a time.
const EVENTS_MAX: usize = 256;

/// In the epoll set; every other number is a lifeline's.
const INOTIFY: u64 = u64::MAX;
const OUTPUT: u64 = u64::MAX - 1;

/// What happened, as far as the kernel tells.
#[derive(Default)]
pub struct News {
    /// Of services; one may be named again.
    pub names: Vec<Vec<u8>>,
    /// Of entries of the scan directory.
    pub has_entries: bool,
    /// Of anybody.
    pub is_vague: bool,
    /// Events were lost.
    pub is_overflow: bool,
}

/// What is held of a service.
#[derive(Default)]
struct Held {
    /// Reports an error when its supervisor ends.
    lifeline: Option<OwnedFd>,
    /// The watch of its `supervise`,
    watch: Option<i32>,
    /// and of its directory while there is none.
    watch_of_dir: Option<i32>,
    /// Whether there was a supervisor when these were made.
    is_alive: bool,
    /// Whether there is none now, as far as is known: most have one.
    lacks_supervisor: bool,
    /// Where `supervise` is, if not in the service directory.
    room: Option<PathBuf>,
}

/// See the module.
pub struct Sources {
    epoll: Option<OwnedFd>,
    inotify: Option<OwnedFd>,
    /// A watch was refused.
    is_blind: bool,
    services: Named<Held>,
    /// Those from this one on are not held.
    descriptors: usize,
    /// When the last wait ended.
    woke_ns: u64,
    /// Whose a watch is, sorted; services may share a directory.
    owners: Vec<(i32, Vec<u8>)>,
    /// Watches of directories that services are entries of.
    parents: Vec<(PathBuf, i32)>,
    /// The scan directory that is watched, if all of it is.
    scanned: Option<(u64, u64)>,
    is_of_all: bool,
}

impl Sources {
    /// Nothing is watched yet.
    pub fn new(is_of_all: bool) -> Self {
        raise_descriptor_limit(DESCRIPTORS);
        let sources = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).ok(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            is_blind: false,
            services: Named::new(),
            // What the limit is now, without some.
            descriptors: raise_descriptor_limit(0),
            woke_ns: clock::boot_ns(),
            owners: Vec::new(),
            parents: Vec::new(),
            scanned: None,
            is_of_all,
        };
        if let (Some(epoll), Some(inotify)) = (&sources.epoll, &sources.inotify) {
            let data = epoll::EventData::new_u64(INOTIFY);
            let _ = epoll::add(epoll, inotify, data, epoll::EventFlags::IN);
        }
        if let Some(epoll) = &sources.epoll {
            // Only its end is asked for. A file has none.
            let data = epoll::EventData::new_u64(OUTPUT);
            let _ = epoll::add(
                epoll,
                rustix::stdio::stdout(),
                data,
                epoll::EventFlags::empty(),
            );
        }
        sources
    }

    /// Watches a service, before it is looked at. `false`: what it needs has just changed,
    /// so that it has to be watched once more.
    pub fn watch(&mut self, name: &[u8]) -> bool {
        let dir = locate(name);
        if !self.is_of_all {
            self.watch_parent(&dir);
        }
        let held = self.services.of(name);
        let is_alive = !held.lacks_supervisor;
        let is_watched = held.watch.is_some() && held.is_alive == is_alive;
        let supervise = held.room.as_ref().unwrap_or(&dir).join("supervise");
        // It may be another file now.
        let status = self.add(&supervise.join("status"), WatchFlags::MODIFY);
        if let Ok(watch) = status {
            self.own(watch, name);
        }
        if is_watched {
            return true;
        }
        let appears = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let events = if is_alive {
            WatchFlags::MOVED_TO | WatchFlags::ONLYDIR
        } else {
            appears | WatchFlags::OPEN
        };
        let watch = self.add(&supervise, events);
        // What is there and may not be watched does not become so by another try.
        let is_refused = !matches!(watch, Ok(_) | Err(Errno::NOENT));
        let watch = watch.ok();
        let watch_of_dir = match watch {
            Some(_) => None,
            None => self.add(&dir, appears).ok(),
        };
        let is_unwatched = watch.or(watch_of_dir).is_none() && stat(&dir).is_ok();
        self.is_blind |= is_refused || is_unwatched;
        for watch in [watch, watch_of_dir].into_iter().flatten() {
            self.own(watch, name);
        }
        let held = self.services.of(name);
        held.is_alive = is_alive;
        held.watch = watch;
        let before = std::mem::replace(&mut held.watch_of_dir, watch_of_dir);
        if let (Some(watch), None, Some(inotify)) = (before, watch_of_dir, &self.inotify) {
            let _ = inotify::remove_watch(inotify, watch);
        }
        // It may have appeared between the two.
        watch.is_some() || self.is_blind || stat(&supervise).is_err()
    }

    /// Keeps what a look has found of the supervisor. `false`: it has one now and had none, or
    /// the other way, so that it has to be watched otherwise, and looked at again.
    pub fn hold(&mut self, name: &[u8], is_alive: bool, service: Option<Service>) -> bool {
        let held = self.services.of(name);
        held.lacks_supervisor = !is_alive;
        if let Some(service) = &service {
            let (_, path) = service.state();
            let room = (path != service.dir()).then(|| path.to_owned());
            if room != held.room {
                held.room = room;
                held.watch = None;
                return false;
            }
        }
        // The last descriptors are for looking.
        let is_spare = |fd: &OwnedFd| (fd.as_raw_fd() as usize) < self.descriptors;
        let lifeline = service.and_then(Service::into_lifeline).filter(is_spare);
        // Of a supervisor that may not be asked nobody tells the end.
        self.is_blind |= is_alive && lifeline.is_none();
        if held.lifeline.is_some() != lifeline.is_some() {
            if let (Some(fd), Some(epoll)) = (&lifeline, &self.epoll) {
                let data = epoll::EventData::new_u64(token(fd));
                self.is_blind |= epoll::add(epoll, fd, data, epoll::EventFlags::empty()).is_err();
            }
            held.lifeline = lifeline;
        }
        held.is_alive == is_alive
    }

    /// Ends what is held of a service.
    pub fn forget(&mut self, name: &[u8]) {
        self.services.remove(name);
        let mut watches = Vec::new();
        self.owners.retain(|(watch, owner)| {
            let is_others = owner != name;
            watches.extend((!is_others).then_some(*watch));
            is_others
        });
        for watch in watches {
            let is_used = self.owners.iter().any(|(used, _)| *used == watch);
            if let (false, Some(inotify)) = (is_used, &self.inotify) {
                let _ = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// A look failed, perhaps for want of descriptors, which is no event when it ends.
    pub const fn look_again(&mut self) {
        self.is_blind = true;
    }

    fn own(&mut self, watch: i32, name: &[u8]) {
        let owner = (watch, name.to_vec());
        if let Err(at) = self.owners.binary_search(&owner) {
            self.owners.insert(at, owner);
        }
    }

    /// Watches the scan directory, if it is not the one that is watched already.
    pub fn watch_scan_directory(&mut self) {
        let Some(dir) = scan_directory() else { return };
        let found = stat(&dir).ok().map(|found| (found.st_dev, found.st_ino));
        if found != self.scanned {
            self.scanned = found;
            self.parents.clear();
            self.watch_parent(&dir.join("entry"));
        }
    }

    fn watch_parent(&mut self, dir: &Path) {
        let parent = match dir.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return,
        };
        if self.parents.iter().any(|(watched, _)| watched == parent) {
            return;
        }
        let events = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        match self.add(parent, events) {
            Ok(watch) => self.parents.push((parent.to_owned(), watch)),
            Err(_) => self.is_blind = true,
        }
    }

    fn add(&self, path: &Path, events: WatchFlags) -> Result<i32, Errno> {
        let inotify = self.inotify.as_ref().ok_or(Errno::MFILE)?;
        inotify::add_watch(inotify, path, events)
    }

    /// Waits for news, at most until then. `None`: nobody reads standard output any more.
    pub fn wait(&mut self, end: Option<Instant>) -> Option<News> {
        let mut news = News::default();
        // The next looks find out whether it still is so.
        let is_blind =
            std::mem::take(&mut self.is_blind) || self.inotify.is_none() || self.epoll.is_none();
        let now_ns = clock::boot_ns();
        let left_ns = end.map(|end| end.0.saturating_sub(now_ns));
        // To look at thousands takes a while itself.
        let looked_ns = now_ns.saturating_sub(self.woke_ns);
        let look_ns = is_blind.then_some(LOOK_NS.max(looked_ns.saturating_mul(9)));
        let timeout = left_ns
            .into_iter()
            .chain(look_ns)
            .min()
            .map(clock::timespec);
        let mut ready = Vec::with_capacity(EVENTS_MAX);
        match &self.epoll {
            Some(epoll) => {
                let _ = epoll::wait(epoll, spare_capacity(&mut ready), timeout.as_ref());
            }
            None => {
                let _ = rustix::event::poll(&mut [], timeout.as_ref());
            }
        }
        self.woke_ns = clock::boot_ns();
        for event in ready {
            match event.data.u64() {
                INOTIFY => self.read_watches(&mut news),
                OUTPUT => return None,
                lifeline => {
                    let is_its = |held: &Held| held.lifeline.as_ref().map(token) == Some(lifeline);
                    let mut services = self.services.iter_mut();
                    if let Some((name, held)) = services.find(|(_, held)| is_its(held)) {
                        held.lifeline = None;
                        news.names.push(name.to_vec());
                    }
                }
            }
        }
        news.is_vague |= is_blind;
        if self.is_of_all && !news.names.is_empty() && self.is_switched() {
            news.is_vague = true;
        }
        Some(news)
    }

    /// Whether another directory is the scan directory now: a link on the way to it was
    /// switched, and what was in the old one is stopped.
    fn is_switched(&self) -> bool {
        let dir = scan_directory().unwrap_or_default();
        stat(&dir).ok().map(|found| (found.st_dev, found.st_ino)) != self.scanned
    }

    fn read_watches(&mut self, news: &mut News) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let Some(inotify) = &self.inotify else { return };
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        let mut entries: Vec<Vec<u8>> = Vec::new();
        while let Ok(event) = events.next() {
            let kind = event.events();
            let watch = event.wd();
            if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.is_overflow = true;
                news.is_vague = true;
            }
            let first = self.owners.partition_point(|(owned, _)| *owned < watch);
            let owners = self.owners.iter().skip(first);
            for (_, name) in owners.take_while(|(owned, _)| *owned == watch) {
                if news.names.last() != Some(name) {
                    news.names.push(name.clone());
                }
            }
            let is_parents = self.parents.iter().any(|(_, parent)| *parent == watch);
            match event.file_name() {
                Some(name) if is_parents => entries.push(name.to_bytes().to_vec()),
                // The directory itself has gone.
                None if is_parents => {
                    self.parents.retain(|(_, parent)| *parent != watch);
                    self.scanned = None;
                    news.is_vague = true;
                }
                _ => {}
            }
            if kind.contains(ReadFlags::IGNORED) {
                self.owners.retain(|(owned, _)| *owned != watch);
                for (_, held) in self.services.iter_mut() {
                    held.watch = held.watch.filter(|is| *is != watch);
                }
            }
        }
        news.has_entries = !entries.is_empty();
        let is_of = |name: &&Vec<u8>| {
            let dir = locate(name);
            let entry = dir.file_name().map(OsStrExt::as_bytes);
            entry.is_some_and(|entry| entries.iter().any(|is| is == entry))
        };
        let renewed: Vec<_> = self.services.names().filter(is_of).cloned().collect();
        for name in renewed {
            // Its directory may be another one now.
            self.forget(&name);
            news.names.push(name);
        }
    }
}

/// The number of a lifeline in the epoll set.
fn token(lifeline: &OwnedFd) -> u64 {
    lifeline.as_raw_fd() as u64
}
