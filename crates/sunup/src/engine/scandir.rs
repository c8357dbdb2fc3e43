//! The scan directory: what is in it, and a descriptor that tells of changes.
//!
//! inotify watches the directory and, since its path may lead through symbolic
//! links that are switched (/service -> current -> ...), the place of each link
//! and of the directory itself. A directory that is *made* there (not linked or
//! moved in) is probably still being filled: it counts once nothing has happened
//! in it for a moment, so that a `down` file or `log` that comes second is not
//! missed. Without inotify the directory is looked at every five seconds, as
//! runsvdir does.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::scan::{Identity, Name, is_service_name};
use model::time::Instant;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::adopt::now;

/// A new directory counts when it has been quiet for this long (ms).
const QUIET_MS: u64 = 100;
/// It counts after this time (ms) in any case.
const SETTLING_MS_MAX: u64 = 5000;
/// Time between two looks where inotify is not to be had (ms).
const POLL_MS: u64 = 5000;
/// Longest chain of symbolic links, as in the kernel.
const LINKS_MAX: usize = 40;
/// Directories that may be settling at a time; further ones count at once.
const SETTLING_MAX: usize = 1024;

/// See the module.
pub struct ScanDir {
    path: PathBuf,
    /// The directory that is watched: its path without links, and itself, for
    /// another may take its path.
    watched: Option<(PathBuf, Identity)>,
    inotify: Option<OwnedFd>,
    watches: HashMap<i32, Watch>,
    settling: BTreeMap<Name, Settling>,
}

enum Watch {
    /// The scan directory.
    Entries,
    /// A directory in which these names matter.
    Place(Vec<Name>),
    /// A directory that is being filled.
    Settling(Name),
}

struct Settling {
    until: Instant,
    /// A directory that is written to all the time counts at last.
    latest: Instant,
    watch: Option<i32>,
}

impl ScanDir {
    /// The directory must exist now; later it may go and come back.
    pub fn new(dir: &[u8]) -> io::Result<Self> {
        let path = std::path::absolute(OsStr::from_bytes(dir))?;
        fs::read_dir(&path)?;
        Ok(Self {
            path,
            watched: None,
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok(),
            watches: HashMap::new(),
            settling: BTreeMap::new(),
        })
    }

    /// What to wait for; `None` without inotify.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// The path of an entry.
    pub fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// The entries that are services: names that lead to directories and have settled.
    pub fn entries(&mut self) -> Result<Vec<(Name, Identity)>, String> {
        // Watch first, then look: what changes in between is an event.
        self.watch_path();
        self.settle(now());
        let complaint = |e: io::Error| format!("read {}: {e}; trying again", self.path.display());
        let dir = fs::read_dir(&self.path).map_err(complaint)?;
        let mut entries = Vec::new();
        for entry in dir {
            let name = entry.map_err(complaint)?.file_name();
            let name = name.as_bytes();
            if !is_service_name(name) || self.settling.contains_key(name) {
                continue;
            }
            if let Ok(identity) = identity(&self.path_of(name)) {
                entries.push((name.to_vec(), identity));
            }
        }
        Ok(entries)
    }

    /// When to look again without an event.
    pub fn next_look(&self) -> Option<Instant> {
        if self.inotify.is_none() {
            return Some(now().plus_ms(POLL_MS));
        }
        self.settling.values().map(|s| s.until).min()
    }

    /// Takes what inotify has to tell; true if it calls for a look.
    pub fn take_events(&mut self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        let mut events = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event
                .file_name()
                .map(|n| n.to_bytes().to_vec())
                .unwrap_or_default();
            events.push((event.wd(), event.events(), name));
            // The rest stays readable and wakes the loop again.
            if reader.is_buffer_empty() && events.len() > 64 {
                break;
            }
        }
        let mut look = false;
        for (watch, flags, name) in events {
            look |= self.take_event(watch, flags, name);
        }
        look
    }

    fn take_event(&mut self, watch: i32, flags: ReadFlags, name: Name) -> bool {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true;
        }
        match self.watches.get(&watch) {
            None => false,
            Some(Watch::Place(names)) => names.contains(&name),
            Some(Watch::Settling(name)) => {
                if let Some(settling) = self.settling.get_mut(name) {
                    settling.until = now().plus_ms(QUIET_MS).min(settling.latest);
                }
                false
            }
            Some(Watch::Entries) => {
                if flags.contains(ReadFlags::IGNORED) {
                    self.watched = None;
                }
                let made = flags.contains(ReadFlags::CREATE | ReadFlags::ISDIR);
                if made && is_service_name(&name) && self.settling.len() < SETTLING_MAX {
                    self.begin_settling(name);
                }
                true
            }
        }
    }

    fn begin_settling(&mut self, name: Name) {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        let watch = self.add_watch(&self.path_of(&name), flags);
        if let Some(watch) = watch {
            self.watches.insert(watch, Watch::Settling(name.clone()));
        }
        let until = now().plus_ms(QUIET_MS);
        let latest = now().plus_ms(SETTLING_MS_MAX);
        self.settling.insert(
            name,
            Settling {
                until,
                latest,
                watch,
            },
        );
    }

    /// Ends the wait for directories that have been quiet.
    fn settle(&mut self, now: Instant) {
        let quiet = self.settling.extract_if(.., |_, s| s.until <= now);
        for (_, Settling { watch, .. }) in quiet {
            if let (Some(watch), Some(inotify)) = (watch, &self.inotify) {
                self.watches.remove(&watch);
                // The directory may be gone already, and the watch with it.
                let _gone = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// Watches the directory that the path leads to now, and the way to it.
    fn watch_path(&mut self) {
        let real = fs::canonicalize(&self.path)
            .and_then(|path| identity(&path).map(|identity| (path, identity)))
            .ok();
        if self.inotify.is_none() || (real.is_some() && real == self.watched) {
            return;
        }
        let path_watches: Vec<i32> = self
            .watches
            .extract_if(|_, w| !matches!(w, Watch::Settling(_)))
            .map(|(watch, _)| watch)
            .collect();
        for watch in path_watches {
            if let Some(inotify) = &self.inotify {
                let _gone = inotify::remove_watch(inotify, watch);
            }
        }
        let names =
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        for (place, name) in steps(&self.path) {
            if let Some(watch) = self.add_watch(&place, names | WatchFlags::ONLYDIR) {
                // One directory has one watch, however many names matter in it.
                let entry = self.watches.entry(watch).or_insert(Watch::Place(vec![]));
                if let Watch::Place(names) = entry {
                    names.push(name);
                }
            }
        }
        if let Some((real, _)) = &real
            && let Some(watch) = self.add_watch(real, names | WatchFlags::ONLYDIR)
        {
            self.watches.insert(watch, Watch::Entries);
        }
        self.watched = real;
    }

    fn add_watch(&self, path: &Path, flags: WatchFlags) -> Option<i32> {
        inotify::add_watch(self.inotify.as_ref()?, path, flags).ok()
    }
}

/// What a path leads to, if it is a directory.
fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Identity {
        dev: found.dev(),
        ino: found.ino(),
    })
}

/// The last component of a path and of each link that it leads through, with
/// the directory it stands in.
fn steps(path: &Path) -> Vec<(PathBuf, Name)> {
    let mut steps = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let (Some(place), Some(name)) = (path.parent(), path.file_name()) else {
            break;
        };
        steps.push((place.to_owned(), name.as_bytes().to_vec()));
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = place.join(target);
    }
    steps
}
