//! Reads what a service directory says of other services: the names of the entries in
//! `needs`, `wants`, `after`, `before` and `follows`. What the entries are does not matter.
//! A directory that has none of the five is not touched.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use model::graph::{EDGES_MAX, Edges, Kind};
use model::scan::Name;
use model::service::Role;
use model::supervisor::{Id, Input, UnitId};
use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::Engine;
use super::half::About;
use super::perform::path_of;

impl Engine {
    /// Reads the names that a unit has now. What cannot be read or counts for nothing is
    /// reported once, and the rest counts.
    pub(super) fn read_edges(&mut self, unit: UnitId, name: &Name) -> Edges {
        let (who, turn) = (self.who, self.turn);
        let mut edges = Edges::NONE;
        let Some(unit) = self.units.get_mut(&unit) else {
            return edges;
        };
        let entries = unit.entries(turn);
        for kind in Kind::ALL {
            let directory = kind.directory();
            let may_be = entries.may_hold(directory);
            let read = may_be.then(|| read(unit.main.home(), directory, kind, &mut edges));
            match read.unwrap_or(Ok(())) {
                Ok(()) => unit.main.is_well(About::Setting(directory)),
                Err(reason) => {
                    let text = format!("{}/{directory}: {reason}", name.escape_ascii());
                    unit.main.complain(who, About::Setting(directory), text);
                }
            }
        }
        edges
    }

    /// A change that came before the watch is reported, too.
    pub(super) fn watch_edges(&mut self, unit: UnitId) -> Option<Input> {
        let id = Id {
            unit,
            role: Role::Main,
        };
        let path = path_of(self.scan_dir.as_ref(), &self.core, id);
        let of = self.units.get_mut(&unit)?;
        let entries = of.entries(self.turn);
        let there = Kind::ALL.map(Kind::directory).into_iter();
        let there = there.filter(|directory| entries.may_hold(directory));
        let scan_dir = self.scan_dir.as_mut()?;
        scan_dir.watch_names(unit, (of.main.home(), &path), there);
        Some(Input::EdgesChanged(unit))
    }
}

/// Adds the names in one directory, if it is there.
///
/// # Errors
/// What does not count.
pub fn read(at: impl AsFd, path: impl Arg, kind: Kind, edges: &mut Edges) -> Result<(), String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match openat(at, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR) => return Err("not a directory; ignored".into()),
        opened => opened.map_err(|e| format!("{e}; ignored"))?,
    };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut dir = RawDir::new(dir, &mut buffer);
    // The directory may be larger than anybody wants to read.
    let mut left = EDGES_MAX;
    while let Some(entry) = dir.next() {
        let entry = entry.map_err(|e| format!("{e}; not read to its end"))?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if left == 0 || !edges.add(kind, name) {
            return Err(format!(
                "more than {EDGES_MAX} entries; the others are ignored"
            ));
        }
        left -= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_entries::open;
    use rustix::fs::CWD;
    use std::fs;

    #[test]
    fn names_are_read_whatever_bears_them() {
        let dir = tempfile::tempdir().unwrap();
        let home = open(CWD, dir.path()).unwrap();
        let needs = dir.path().join("needs");
        fs::create_dir_all(needs.join("db")).unwrap();
        fs::write(needs.join("net"), "any").unwrap();
        fs::write(needs.join(".keep"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", needs.join("fs")).unwrap();
        let mut edges = Edges::NONE;
        for kind in Kind::ALL {
            assert_eq!(read(&home, kind.directory(), kind, &mut edges), Ok(()));
        }
        let names: Vec<_> = edges.iter().map(|(kind, name)| (kind, &name[..])).collect();
        let expected = [&b"db"[..], b"fs", b"net"].map(|name| (Kind::Needs, name));
        assert_eq!(names, expected);
    }

    #[test]
    fn what_does_not_count_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = open(CWD, dir.path()).unwrap();
        let mut edges = Edges::NONE;
        fs::write(dir.path().join("after"), "net\n").unwrap();
        let told = read(&home, "after", Kind::After, &mut edges);
        assert_eq!(told, Err("not a directory; ignored".into()));
        let wants = dir.path().join("wants");
        fs::create_dir(&wants).unwrap();
        for n in 0..=EDGES_MAX {
            fs::write(wants.join(n.to_string()), "").unwrap();
        }
        let told = read(&home, "wants", Kind::Wants, &mut edges);
        let text = "more than 256 entries; the others are ignored";
        assert_eq!(told, Err(text.into()));
        assert_eq!(edges.iter().count(), EDGES_MAX);
        fs::remove_file(wants.join("0")).unwrap();
        assert_eq!(
            read(&home, "wants", Kind::Wants, &mut Edges::default()),
            Ok(())
        );
    }
}
