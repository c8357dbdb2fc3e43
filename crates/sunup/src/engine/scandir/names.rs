//! Watches of the directories that say for whom a service waits: `needs` and its like. They
//! are watched while their service is held; that they come or go is seen by the watch of
//! the service directory.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use model::graph::Kind;
use model::supervisor::UnitId;

use super::{NAMES, ScanDir};

impl ScanDir {
    /// Watches those of these directories that there are in a service directory. What cannot
    /// be watched is looked at with the scan directory.
    pub fn watch_names(
        &mut self,
        unit: UnitId,
        (home, path): (BorrowedFd, &Path),
        directories: impl Iterator<Item = &'static str>,
    ) {
        self.leave_names(unit);
        for directory in directories {
            let by_fd = format!("/proc/self/fd/{}/{directory}", home.as_raw_fd());
            let watch = self.add_watch(Path::new(&by_fd), NAMES);
            let watch = watch.or_else(|| self.add_watch(&path.join(directory), NAMES));
            if let Some(watch) = watch {
                self.names.insert((watch, unit));
                self.named.insert((unit, watch));
            }
        }
        if self.is_blind {
            self.unwatched.insert(unit);
        }
    }

    /// Ends those watches.
    pub fn leave_names(&mut self, unit: UnitId) {
        self.unwatched.remove(&unit);
        let of_unit = (unit, i32::MIN)..=(unit, i32::MAX);
        let watches = self.named.extract_if(of_unit, |_| true);
        for (_, watch) in watches.collect::<Vec<_>>() {
            self.names.remove(&(watch, unit));
            self.end_watch(watch);
        }
    }

    /// The units of which such a directory could not be watched.
    pub const fn unwatched(&self) -> &BTreeSet<UnitId> {
        &self.unwatched
    }

    /// Whether what happened to this name may change for whom a service waits.
    pub(super) fn is_of_order(&self, watch: i32, name: &[u8]) -> bool {
        let is_one = |kind: Kind| kind.directory().as_bytes() == name;
        let is_home = self.homes.contains_key(&watch) && Kind::ALL.into_iter().any(is_one);
        is_home || self.names_of(watch).next().is_some()
    }

    /// The units whose directory, or one in it, has this watch.
    pub(super) fn units_of(&self, watch: i32) -> impl Iterator<Item = UnitId> {
        self.homes
            .get(&watch)
            .copied()
            .into_iter()
            .chain(self.names_of(watch))
    }

    pub(super) fn names_of(&self, watch: i32) -> impl Iterator<Item = UnitId> {
        let range = self.names.range((watch, 0)..=(watch, UnitId::MAX));
        range.map(|(_, unit)| *unit)
    }
}
