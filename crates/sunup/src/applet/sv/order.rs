//! What a command means for services that depend on each other: `start` pulls what a
//! service needs, `stop` names who needs it, and of several services that are to stop
//! those that depend on others come first.
//!
//! sv reads the names in the directories `needs`, `follows` and so on by itself: they are
//! of services in the same directory. The supervisor does the waiting, and alone knows
//! what holds a service up; here it is only asked for more, in a good order. In a circle
//! each service has its turn once.

use model::sorted::gather;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use model::format::status::{Phase, Status};
use model::graph::{Edges, Kind};
use rustix::fs::{AtFlags, CWD, RawDir, statat};

use super::client::{Service, Trouble};
use super::directories::locate;
use super::output::Output;
use crate::engine::edges::read;
use crate::service_entries::open;

/// Who has an entry in one of these does not run without the other.
pub const NEED: [Kind; 2] = [Kind::Needs, Kind::Follows];
/// No more services are pulled or found.
pub const SERVICES_MAX: usize = 4096;

/// A service as an operand names it.
type Name = Vec<u8>;

/// Sends `u` to all that the services need and is not wanted up, deepest first.
pub fn pull(names: &[&[u8]], out: &mut Output) {
    for (name, by) in needed(names) {
        if names.contains(&&name[..]) {
            continue;
        }
        let started = start(&name);
        let (other, by) = (name.escape_ascii(), by.escape_ascii());
        match started {
            Ok(false) => {}
            Ok(true) => {
                let line = format!("start: {other} (needed by {by})\n");
                out.say(line.as_bytes());
            }
            Err(trouble) => {
                let line = trouble.line(&name);
                let line = String::from_utf8_lossy(&line);
                let why = trouble.absence().map(|why| format!(", which {why}"));
                let why = why.unwrap_or_else(|| format!(": {}", line.trim_end()));
                out.warn(&format!("{by} needs {other}{why}"));
            }
        }
    }
}

/// Whether it had to be told.
fn start(name: &[u8]) -> Result<bool, Trouble> {
    let service = Service::named(name)?;
    if service.status()?.want_up {
        return Ok(false);
    }
    service.control()?.send(b"u").map(|()| true)
}

/// What the services need, with who needs it; what is needed by that comes before.
fn needed(names: &[&[u8]]) -> Vec<(Name, Name)> {
    let mut places = Places::default();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    // To be entered; or to be left, by who needs it.
    let roots = names.iter().rev().map(|name| (name.to_vec(), None));
    let mut stack: Vec<(Name, Option<Name>, bool)> = roots.map(|(n, by)| (n, by, false)).collect();
    while let Some((name, by, is_left)) = stack.pop() {
        if is_left {
            found.extend(by.map(|by| (name, by)));
            continue;
        }
        if seen.len() == SERVICES_MAX || !seen.insert(name.clone()) {
            continue;
        }
        stack.push((name.clone(), by, true));
        let needs = places.edges(&name, &NEED).into_iter().rev();
        let needs = needs.map(|(_, other)| sibling(&name, &other));
        stack.extend(needs.map(|other| (other, Some(name.clone()), false)));
    }
    found
}

/// Names who needs the services and is up, or wanted up, but is not `told` to stop, too.
pub fn name_dependents(names: &[Name], told: &[Name], out: &mut Output) {
    let told: BTreeSet<Name> = gather(told.iter().map(|name| sibling(name, last(name))));
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let tree = Tree::around(&names, |name| !told.contains(name));
    for name in names {
        let who = tree.dependents(name).filter(|who| is_up(who));
        let who: Vec<String> = who.map(|who| who.escape_ascii().to_string()).collect();
        if !who.is_empty() {
            let name = name.escape_ascii();
            out.say(format!("stop: {name} (needed by {})\n", who.join(", ")).as_bytes());
        }
    }
}

/// The services, and all that need them.
pub fn with_dependents(names: &[&[u8]]) -> Vec<Name> {
    let tree = Tree::around(names, |_| true);
    let mut all: Vec<Name> = names.iter().map(|name| name.to_vec()).collect();
    let mut seen: BTreeSet<Name> = gather(all.iter().cloned());
    let mut at = 0;
    while let Some(name) = all.get(at).cloned() {
        at += 1;
        for who in tree.dependents(&name).filter(|who| is_up(who)) {
            if seen.len() < SERVICES_MAX && seen.insert(who.to_vec()) {
                all.push(who.to_vec());
            }
        }
    }
    all
}

fn is_up(name: &[u8]) -> bool {
    let status = Service::named(name).and_then(|service| service.status());
    status.is_ok_and(|s: Status| s.want_up || s.phase != Phase::Down)
}

/// The order in which they are told to stop: each after those that end before it.
pub fn to_stop(names: Vec<Name>) -> Vec<Name> {
    if names.len() < 2 {
        return names;
    }
    let numbers = names.iter().enumerate().rev();
    let numbers: BTreeMap<&Name, usize> = gather(numbers.map(|(n, name)| (name, n)));
    let mut places = Places::default();
    let mut firsts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        if numbers.get(name) != Some(&number) {
            continue;
        }
        for (kind, other) in places.edges(name, &Kind::ALL) {
            let other = numbers.get(&sibling(name, &other)).copied();
            let (first, then) = match kind {
                Kind::Before => (other, Some(number)),
                _ => (Some(number), other),
            };
            if let (Some(first), Some(then)) = (first, then) {
                firsts.entry(then).or_default().push(first);
            }
        }
    }
    let (mut seen, mut ordered) = (BTreeSet::new(), Vec::new());
    let mut stack: Vec<(usize, bool)> = (0..names.len()).rev().map(|n| (n, false)).collect();
    while let Some((number, is_left)) = stack.pop() {
        if is_left {
            ordered.extend(names.get(number).cloned());
        } else if seen.insert(number) {
            stack.push((number, true));
            let firsts = firsts.get(&number).into_iter().flatten().rev();
            stack.extend(firsts.map(|first| (*first, false)));
        }
    }
    ordered
}

/// Who needs whom among the services that stand beside some.
struct Tree {
    needed_by: BTreeMap<Name, Vec<Name>>,
}

impl Tree {
    /// `is_asked`: whether it matters whom a service needs.
    fn around(names: &[&[u8]], is_asked: impl Fn(&[u8]) -> bool) -> Self {
        let around: BTreeSet<Name> = gather(names.iter().map(|name| sibling(name, b"")));
        let mut places = Places::default();
        let mut needed_by: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        for place in around {
            let names = places.listed(&place).into_iter();
            for name in names.filter(|name| is_asked(name)) {
                for (_, other) in places.edges(&name, &NEED) {
                    let who = needed_by.entry(sibling(&name, &other)).or_default();
                    who.push(name.clone());
                }
            }
        }
        Self { needed_by }
    }

    fn dependents(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let name = sibling(name, last(name));
        let who = self.needed_by.get(&name).into_iter();
        who.flatten().map(Vec::as_slice)
    }
}

/// Directories of services, held open: to look a service up from there is cheaper than
/// from the root.
#[derive(Default)]
pub struct Places(BTreeMap<Name, Option<OwnedFd>>);

impl Places {
    /// The directory of the operands that begin so.
    fn open(&mut self, place: &[u8]) -> Option<&OwnedFd> {
        if !self.0.contains_key(place) {
            let any = locate(&[place, b"any"].concat());
            let dir = any.parent().and_then(|dir| open(CWD, dir).ok());
            self.0.insert(place.to_vec(), dir);
        }
        self.0.get(place)?.as_ref()
    }

    /// What a service says of others, in directories of these kinds.
    pub fn edges(&mut self, name: &[u8], kinds: &[Kind]) -> Vec<(Kind, Name)> {
        let (place, last) = (sibling(name, b""), last(name));
        let mut edges = Edges::NONE;
        if !last.is_empty()
            && let Some(place) = self.open(&place)
        {
            for kind in kinds {
                let directory = [last, b"/", kind.directory().as_bytes()].concat();
                // Most services have none, and a look for each costs less than a list of all.
                if statat(place, &directory[..], AtFlags::empty()).is_ok() {
                    // The supervisor reports what does not count.
                    let _told = read(place, &directory[..], *kind, &mut edges);
                }
            }
        }
        let edges = edges.iter().filter(|(_, other)| *other != last);
        edges.map(|(kind, other)| (kind, other.clone())).collect()
    }

    /// The services in the directory of the operands that begin so.
    fn listed(&mut self, place: &[u8]) -> BTreeSet<Name> {
        let mut found = BTreeSet::new();
        let Some(dir) = self.open(place) else {
            return found;
        };
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut dir = RawDir::new(dir, &mut buffer);
        while let Some(Ok(entry)) = dir.next() {
            let name = entry.file_name().to_bytes();
            if found.len() < SERVICES_MAX && !name.starts_with(b".") {
                found.insert([place, name].concat());
            }
        }
        found
    }
}

/// The operand for another service in the same directory.
pub fn sibling(name: &[u8], other: &[u8]) -> Name {
    let bare = trimmed(name);
    let place = match bare.iter().rposition(|byte| *byte == b'/') {
        Some(at) if !matches!(last(bare), b"." | b"..") => &bare[..=at],
        _ if matches!(last(bare), b"." | b"..") => return [bare, b"/../", other].concat(),
        // It is a path, for a slash follows.
        _ if bare.len() < name.len() => b"./",
        _ => b"",
    };
    [place, other].concat()
}

/// The last part of an operand, without a slash behind it.
pub fn last(name: &[u8]) -> &[u8] {
    trimmed(name)
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default()
}

fn trimmed(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'/');
    end.map_or(name, |end| &name[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    #[test]
    fn other_services_stand_beside_one() {
        for (name, other) in [
            (&b"web"[..], &b"db"[..]),
            (b"sub/web", b"sub/db"),
            (b"web/", b"./db"),
            (b"./web", b"./db"),
            (b"/etc/service/web//", b"/etc/service/db"),
            (b"/web", b"/db"),
            (b".", b"./../db"),
            (b"..", b"../../db"),
            (b"a/..", b"a/../../db"),
        ] {
            assert_eq!(sibling(name, b"db"), other, "{}", name.escape_ascii());
        }
    }

    /// Services with what they say of others, and the operands for some of them.
    struct Services(tempfile::TempDir);

    impl Services {
        fn new(edges: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for edge in edges {
                let path = dir.path().join(edge);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(dir)
        }

        fn names(&self, names: &str) -> Vec<Name> {
            let path = |name: &str| -> PathBuf { self.0.path().join(name) };
            let names = names.split(' ').map(path);
            names.map(|p| p.as_os_str().as_bytes().to_vec()).collect()
        }

        fn ordered(&self, names: &str) -> String {
            let ordered = to_stop(self.names(names));
            let ordered = ordered
                .iter()
                .map(|name| String::from_utf8_lossy(last(name)));
            ordered.collect::<Vec<_>>().join(" ")
        }

        fn needed(&self, names: &str) -> String {
            let names = self.names(names);
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let pair = |(name, by): (Name, Name)| {
                let [name, by] =
                    [&name, &by].map(|n| String::from_utf8_lossy(last(n)).into_owned());
                format!("{name}<{by}")
            };
            let pairs = needed(&names).into_iter().map(pair);
            pairs.collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn who_depends_on_others_is_told_first() {
        let services = Services::new(&[
            "web/needs/db",
            "api/wants/db",
            "cron/after/api",
            "net/before/db",
            "log/follows/cron",
        ]);
        assert_eq!(services.ordered("net db web api"), "web api db net");
        assert_eq!(services.ordered("api cron log"), "log cron api");
        // Without an edge among them the order stays, and who is named twice stays so.
        assert_eq!(services.ordered("net web cron web"), "net web cron web");
        assert_eq!(services.ordered("db web db"), "web db db");
    }

    #[test]
    fn in_a_circle_each_has_one_turn() {
        let services = Services::new(&["a/needs/b", "b/needs/c", "c/needs/a", "d/needs/d"]);
        assert_eq!(services.ordered("a b c d"), "b c a d");
        assert_eq!(services.needed("a"), "c<b b<a");
        assert_eq!(services.needed("d"), "");
    }

    #[test]
    fn the_deepest_need_is_started_first() {
        let services = Services::new(&[
            "web/needs/a",
            "web/needs/b",
            "a/needs/b",
            "b/follows/net",
            "b/wants/extra",
            "b/after/log",
        ]);
        assert_eq!(services.needed("web"), "net<b b<a a<web");
        assert_eq!(services.needed("web b"), "net<b b<a a<web");
    }
}
