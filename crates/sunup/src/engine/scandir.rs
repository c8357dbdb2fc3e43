//! The scan directory: what is in it, and a descriptor that tells of changes.
//!
//! inotify watches the directory and, since its path and its entries may lead
//! through symbolic links that are switched (/service -> current -> ...) or whose
//! targets are exchanged, the place of each link and of what it leads to.
//!
//! A directory that is *made* there is probably still being filled: it counts as a
//! service once nothing has happened in it for a moment, so that a `down` file or `log`
//! that comes second is not missed. The same holds for a directory that appeared, or was
//! replaced by another, at the end of a link that stayed and leads to the same path: a
//! package is being reinstalled. A directory that is linked or moved in, or that a
//! switched link leads to, is complete. The observed change decides, not the kind of
//! entry.
//!
//! If something cannot be watched, because there is no inotify or no watch is left,
//! everything is looked at every five seconds, as runit's runsvdir does. That is reported
//! once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::scan::{Identity, Name, is_supervised};
use model::supervisor::{Input, UnitId};
use model::time::Instant;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::say;
use crate::sys::clock;
use paths::{identity, in_place, steps};

mod names;
mod paths;

/// A new directory counts when it has been quiet for this long (ms).
const QUIET_MS: u64 = 100;
/// It counts after this time (ms) in any case.
const SETTLING_MS_MAX: u64 = 5000;
/// Time between two looks if inotify cannot be used (ms).
const POLL_MS: u64 = 5000;
/// Directories that may be settling at a time; further ones count at once.
const SETTLING_MAX: usize = 1024;
/// So many changed names are looked at one by one; if there are more, all entries are.
const NAMES_MAX: usize = 16;

/// What changes which directory a name leads to.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// The directory itself went away.
const GONE: ReadFlags = ReadFlags::MOVE_SELF.union(ReadFlags::IGNORED);

/// See the module.
pub struct ScanDir {
    /// Whose, for messages.
    who: &'static str,
    path: PathBuf,
    /// The directory that is watched: its path without links, and itself, for
    /// another may take its path.
    watched: Option<(PathBuf, Identity)>,
    inotify: Option<OwnedFd>,
    watches: HashMap<i32, Watch>,
    /// The watches of service directories, in which `log` may come and go.
    homes: BTreeMap<i32, UnitId>,
    /// The watches of directories that name other services (`names`).
    names: BTreeSet<(i32, UnitId)>,
    /// The same, by unit.
    named: BTreeSet<(UnitId, i32)>,
    /// The units of which such a directory could not be watched.
    unwatched: BTreeSet<UnitId>,
    /// The watched directories through which the path and the links among the
    /// entries lead.
    places: HashMap<PathBuf, i32>,
    settling: BTreeMap<Name, Settling>,
    /// What the links among the entries led to.
    links: HashMap<Name, Target>,
    /// A watch could not be set since the last look began.
    is_blind: bool,
    /// That was reported.
    said_blind: bool,
    /// The next look comes without an event.
    polls: bool,
    /// Entries that lead nowhere, and were reported as such.
    lost: HashSet<Name>,
    /// Why it could not be read, as it was reported.
    complaint: String,
}

enum Watch {
    /// The scan directory, and the names in it that other entries lead through.
    Entries(HashSet<Name>),
    /// A directory in which these names matter.
    Place(HashSet<Name>),
    /// A directory that is being filled, and the names that lead there.
    Settling(HashSet<Name>),
}

/// What a link led to: the path at its end, and what was there.
struct Target {
    end: PathBuf,
    identity: Option<Identity>,
}

/// What the events amount to.
#[derive(Debug, Default)]
pub struct News {
    /// All entries are to be looked at.
    pub look: bool,
    /// Else these.
    pub names: Vec<Name>,
    /// What happened in service directories.
    pub units: Vec<Input>,
}

struct Settling {
    until: Instant,
    /// The moment when the directory counts even if it is still being written to.
    latest: Instant,
    watch: Option<i32>,
}

impl ScanDir {
    /// The directory must exist now; later it may go and come back.
    pub fn new(who: &'static str, dir: &[u8]) -> io::Result<Self> {
        let path = std::path::absolute(OsStr::from_bytes(dir))?;
        fs::read_dir(&path)?;
        Ok(Self::at(who, path))
    }

    /// As [`ScanDir::new`], after an upgrade: the directory may be absent at present.
    pub fn again(who: &'static str, dir: &[u8]) -> Self {
        let dir = Path::new(OsStr::from_bytes(dir));
        Self::at(
            who,
            std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
        )
    }

    fn at(who: &'static str, path: PathBuf) -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let mut new = Self {
            who,
            path,
            watched: None,
            inotify: None,
            watches: HashMap::new(),
            homes: BTreeMap::new(),
            names: BTreeSet::new(),
            named: BTreeSet::new(),
            unwatched: BTreeSet::new(),
            places: HashMap::new(),
            settling: BTreeMap::new(),
            links: HashMap::new(),
            is_blind: false,
            said_blind: false,
            polls: false,
            lost: HashSet::new(),
            complaint: String::new(),
        };
        match inotify {
            Ok(inotify) => new.inotify = Some(inotify),
            Err(e) => new.go_blind(&new.path.clone(), e),
        }
        new
    }

    /// Whether there may be changes that no event reports.
    pub const fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Whether this is new: then a look must follow, and regular looks after it.
    pub const fn wants_look(&self) -> bool {
        self.is_blind && !self.polls
    }

    fn go_blind(&mut self, path: &Path, e: Errno) {
        self.is_blind = true;
        if !mem::replace(&mut self.said_blind, true) {
            let (path, seconds) = (path.display(), POLL_MS / 1000);
            let hint = match e {
                Errno::NOSPC => " (see sysctl user.max_inotify_watches)",
                Errno::MFILE => " (see sysctl user.max_inotify_instances)",
                _ => "",
            };
            say::offer(
                self.who,
                format_args!("watch {path}: {e}{hint}; looking every {seconds} seconds"),
            );
        }
    }

    /// Whether directories are being filled.
    pub fn is_settling(&self) -> bool {
        !self.settling.is_empty()
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
        self.begin_look();
        self.watch_path();
        self.settle(clock::now());
        let complaint =
            |path: &Path, e: io::Error| format!("read {}: {e}; trying again", path.display());
        let dir = fs::read_dir(&self.path).map_err(|e| complaint(&self.path, e))?;
        let mut entries = Vec::new();
        let said = mem::take(&mut self.lost);
        for entry in dir {
            let entry = entry.map_err(|e| complaint(&self.path, e))?;
            let name = entry.file_name();
            let name = name.as_bytes();
            if self.counts(name) {
                let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
                let identity = self.identify(name, is_link, said.contains(name));
                entries.extend(identity.map(|identity| (name.to_vec(), identity)));
            }
        }
        self.complaint.clear();
        self.end_look();
        Ok(entries)
    }

    /// What some names lead to now, as [`ScanDir::entries`] would find it.
    pub fn look_at(&mut self, names: Vec<Name>) -> Vec<(Name, Option<Identity>)> {
        let mut found = Vec::new();
        for name in names {
            if self.counts(&name) {
                let is_link = self.path_of(&name).is_symlink();
                let said = self.lost.remove(&name);
                let identity = self.identify(&name, is_link, said);
                found.push((name, identity));
            }
        }
        found
    }

    fn counts(&self, name: &[u8]) -> bool {
        is_supervised(name) && !self.settling.contains_key(name)
    }

    /// The directory that an entry leads to. `said`: it was reported already that it
    /// leads nowhere.
    fn identify(&mut self, name: &[u8], is_link: bool, said: bool) -> Option<Identity> {
        let path = self.path_of(name);
        let found = if is_link {
            let steps = steps(&path);
            let end = steps.last().map(|(place, name)| in_place(place, name));
            // Its own place is this directory.
            self.watch_steps(steps.into_iter().skip(1));
            let found = identity(&path);
            if self.is_replaced(name, end.unwrap_or_default(), found.as_ref().ok()) {
                return None;
            }
            found
        } else {
            identity(&path)
        };
        let e = match found {
            Ok(identity) => return Some(identity),
            Err(e) => e,
        };
        // Files are no services, as for runsvdir(8); others may have gone by now.
        let is_file = e.kind() == io::ErrorKind::NotADirectory && path.exists();
        if is_link && !is_file && path.is_symlink() {
            if !said {
                let name = name.escape_ascii();
                match path.read_link() {
                    Ok(target) if e.kind() == io::ErrorKind::NotFound => {
                        let target = target.as_os_str().as_bytes().escape_ascii();
                        let what =
                            format_args!("{name}: its link leads to {target}, which is not there");
                        say::offer(self.who, what);
                    }
                    _ => say::offer(self.who, format_args!("{name}: look at it: {e}")),
                }
            }
            self.lost.insert(name.to_vec());
        }
        None
    }

    /// Whether a link leads to the same path as before, but to another directory: then
    /// that directory settles.
    fn is_replaced(&mut self, name: &[u8], end: PathBuf, found: Option<&Identity>) -> bool {
        let identity = found.copied();
        let target = Target { end, identity };
        let is_other = self.links.get(name).is_some_and(|before| {
            identity.is_some() && before.identity != identity && before.end == target.end
        });
        self.links.insert(name.to_vec(), target);
        is_other && self.begin_settling(name.to_vec())
    }

    /// Whether this reason why the entries cannot be read was not reported yet.
    pub fn is_news(&mut self, complaint: &str) -> bool {
        let is_news = complaint != self.complaint;
        complaint.clone_into(&mut self.complaint);
        is_news
    }

    /// When to look again without an event.
    pub fn next_look(&mut self) -> Option<Instant> {
        self.polls = self.is_blind;
        let poll = self.polls.then(|| clock::now().plus_ms(POLL_MS));
        let settled = self.settling.values().map(|s| s.until);
        settled.chain(poll).min()
    }

    /// Watches a service directory for `log` to come or go. The returned number ends the
    /// watch; `None`: no watch could be set.
    pub fn watch_home(&mut self, unit: UnitId, home: BorrowedFd, path: &Path) -> Option<i32> {
        // By /proc, where it is mounted: the path may have changed.
        let home = format!("/proc/self/fd/{}", home.as_raw_fd());
        let watch = self.add_watch(Path::new(&home), NAMES);
        let watch = watch.or_else(|| self.add_watch(path, NAMES))?;
        self.homes.insert(watch, unit);
        Some(watch)
    }

    /// Takes what inotify has to tell.
    pub fn take_events(&mut self) -> News {
        let mut news = News::default();
        let Some(inotify) = &self.inotify else {
            return news;
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
        for (watch, flags, name) in events {
            let lost = flags.contains(ReadFlags::QUEUE_OVERFLOW);
            if lost {
                let homes = self.homes.values().copied();
                news.units.extend(homes.map(Input::LogChanged));
                let named = self.names.iter().map(|(_, unit)| *unit);
                news.units.extend(named.map(Input::EdgesChanged));
            } else if self.is_of_order(watch, &name) {
                let units = self.units_of(watch);
                news.units.extend(units.map(Input::EdgesChanged));
            } else if name == b"log" {
                let home = self.homes.get(&watch).copied();
                news.units.extend(home.map(Input::LogChanged));
            }
            news.look |= lost || self.take_event(watch, flags, name, &mut news.names);
        }
        news.look |= news.names.len() > NAMES_MAX;
        news
    }

    /// True if all entries are to be looked at.
    fn take_event(
        &mut self,
        watch: i32,
        flags: ReadFlags,
        name: Name,
        names: &mut Vec<Name>,
    ) -> bool {
        match self.watches.get(&watch) {
            None => false,
            // The path leads to another one by now.
            Some(Watch::Place(_)) if flags.intersects(GONE) => {
                self.remove_watch(watch);
                true
            }
            Some(Watch::Place(steps)) => steps.contains(&name),
            Some(Watch::Settling(names)) => {
                for name in names {
                    if let Some(settling) = self.settling.get_mut(name) {
                        settling.until = clock::now().plus_ms(QUIET_MS).min(settling.latest);
                    }
                }
                false
            }
            Some(Watch::Entries(steps)) => {
                let is_step = steps.contains(&name);
                let is_gone = flags.intersects(GONE);
                if is_gone {
                    self.watched = None;
                }
                let made = flags.contains(ReadFlags::CREATE | ReadFlags::ISDIR);
                // A link that is made or moved in is another one.
                self.links.remove(&name);
                if made && is_supervised(&name) {
                    self.begin_settling(name.clone());
                }
                if !names.contains(&name) && names.len() <= NAMES_MAX {
                    names.push(name);
                }
                is_step || is_gone
            }
        }
    }

    /// Lets the name count when the directory that it leads to has been quiet; false if
    /// too many are settling.
    fn begin_settling(&mut self, name: Name) -> bool {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        if self.settling.len() >= SETTLING_MAX {
            return false;
        }
        let watch = self.add_watch(&self.path_of(&name), flags);
        if let Some(watch) = watch {
            let known = self.watches.entry(watch);
            let known = known.or_insert_with(|| Watch::Settling(HashSet::new()));
            match known {
                Watch::Settling(names) => drop(names.insert(name.clone())),
                other => *other = Watch::Settling(HashSet::from([name.clone()])),
            }
        }
        let until = clock::now().plus_ms(QUIET_MS);
        let latest = clock::now().plus_ms(SETTLING_MS_MAX);
        self.settling.insert(
            name,
            Settling {
                until,
                latest,
                watch,
            },
        );
        true
    }

    /// Ends the wait for directories that have been quiet.
    fn settle(&mut self, now: Instant) {
        let quiet = self.settling.extract_if(.., |_, s| s.until <= now);
        let watches: Vec<i32> = quiet.filter_map(|(_, s)| s.watch).collect();
        for watch in watches {
            self.remove_watch(watch);
        }
    }

    /// Watches the directory that the path leads to now, and the way to it.
    fn watch_path(&mut self) {
        self.watch_steps(steps(&self.path).into_iter());
        let real = fs::canonicalize(&self.path)
            .and_then(|path| identity(&path).map(|identity| (path, identity)))
            .ok();
        if self.inotify.is_none() || (real.is_some() && real == self.watched) {
            return;
        }
        // All its entries may have changed.
        self.links.clear();
        let is_entries = |(_, w): &(&i32, &Watch)| matches!(w, Watch::Entries(_));
        if let Some((old, _)) = self.watches.iter().find(is_entries) {
            self.remove_watch(*old);
        }
        self.watched = None;
        if let Some((path, _)) = &real
            && let Some(watch) = self.add_watch(path, NAMES)
        {
            let steps = match self.watches.remove(&watch) {
                Some(Watch::Place(steps)) => steps,
                _ => HashSet::new(),
            };
            self.watches.insert(watch, Watch::Entries(steps));
            self.watched = real;
        }
    }

    /// Watches the directories that hold the links of a path, and the one that holds its
    /// end. What does not exist yet may appear there.
    fn watch_steps(&mut self, steps: impl Iterator<Item = (PathBuf, Name)>) {
        for (mut place, mut name) in steps {
            while !self.watch_name(&place, &name) {
                let (Some(above), Some(last)) = (place.parent(), place.file_name()) else {
                    break;
                };
                name = last.as_bytes().to_vec();
                place = above.to_owned();
            }
        }
    }

    fn watch_name(&mut self, place: &Path, name: &Name) -> bool {
        let known = self.places.get(place).copied();
        let Some(watch) = known.or_else(|| self.add_watch(place, NAMES)) else {
            return false;
        };
        if known.is_none() {
            self.places.insert(place.to_owned(), watch);
        }
        // One directory has one watch, whatever paths lead there.
        let entry = self.watches.entry(watch);
        let watch = entry.or_insert_with(|| Watch::Place(HashSet::new()));
        if let Watch::Place(names) | Watch::Entries(names) = watch {
            names.insert(name.clone());
        }
        true
    }

    fn begin_look(&mut self) {
        self.is_blind = self.inotify.is_none();
        for watch in self.watches.values_mut() {
            if let Watch::Place(names) | Watch::Entries(names) = watch {
                names.clear();
            }
        }
    }

    /// Forgets the places that no path leads through any more.
    fn end_look(&mut self) {
        let is_unused = |w: &Watch| matches!(w, Watch::Place(names) if names.is_empty());
        let unused: Vec<i32> = self
            .watches
            .iter()
            .filter_map(|(watch, w)| is_unused(w).then_some(*watch))
            .collect();
        for watch in unused {
            self.remove_watch(watch);
        }
    }

    /// Ends the watch of this service directory.
    pub fn leave_home(&mut self, watch: i32) {
        self.homes.remove(&watch);
        self.end_watch(watch);
    }

    fn remove_watch(&mut self, watch: i32) {
        self.watches.remove(&watch);
        self.places.retain(|_, place| *place != watch);
        self.end_watch(watch);
    }

    /// Ends a watch that nothing needs any more.
    fn end_watch(&self, watch: i32) {
        let is_used = self.watches.contains_key(&watch)
            || self.homes.contains_key(&watch)
            || self.names_of(watch).next().is_some();
        if let Some(inotify) = self.inotify.as_ref().filter(|_| !is_used) {
            // The directory may be gone already, and the watch with it.
            let _gone = inotify::remove_watch(inotify, watch);
        }
    }

    fn add_watch(&mut self, path: &Path, flags: WatchFlags) -> Option<i32> {
        match inotify::add_watch(self.inotify.as_ref()?, path, flags) {
            Ok(watch) => Some(watch),
            // A target that does not exist is reported by the watch of its parent.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => None,
            Err(e) => {
                self.go_blind(path, e);
                None
            }
        }
    }
}
