//! What a service directory says of other services: the names in `needs`, `wants`,
//! `after`, `before` and `follows`.

use alloc::vec::Vec;

use crate::kind::Kind;
use crate::scan::{Name, is_service_name};

/// So many entries of each of the five directories count.
pub const EDGES_MAX: usize = 256;

/// All that one service directory says of others, each name once for each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges(Vec<(Kind, Name)>);

impl Edges {
    /// None; nothing is allocated.
    pub const NONE: Self = Self(Vec::new());

    /// Adds the name of a directory's entry; one that cannot be a service's is passed
    /// over. Returns whether there was room for it.
    pub fn add(&mut self, kind: Kind, name: &[u8]) -> bool {
        if !is_service_name(name) || name.contains(&b'/') {
            return true;
        }
        let place = (kind, name);
        let found = self
            .0
            .binary_search_by(|(k, n)| (*k, n.as_slice()).cmp(&place));
        let Err(at) = found else { return true };
        let has_room = self.iter().filter(|(k, _)| *k == kind).count() < EDGES_MAX;
        if has_room {
            self.0.insert(at, (kind, name.to_vec()));
        }
        has_room
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, kind by kind, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Name)> {
        self.0.iter().map(|(kind, name)| (*kind, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn each_name_is_there_once_and_in_order() {
        let mut edges = Edges::NONE;
        for (kind, name) in [
            (Kind::Wants, "b"),
            (Kind::Needs, "z"),
            (Kind::Needs, "a"),
            (Kind::Needs, "z"),
        ] {
            assert!(edges.add(kind, name.as_bytes()));
        }
        let all: Vec<_> = edges.iter().map(|(k, n)| (k, n.as_slice())).collect();
        assert_eq!(
            all,
            [
                (Kind::Needs, b"a".as_slice()),
                (Kind::Needs, b"z"),
                (Kind::Wants, b"b")
            ]
        );
    }

    #[test]
    fn names_that_no_service_has_are_passed_over() {
        let mut edges = Edges::NONE;
        for name in ["", ".", "..", ".hidden", "a/b"] {
            assert!(edges.add(Kind::After, name.as_bytes()));
        }
        assert!(edges.is_empty());
    }

    #[test]
    fn each_directory_has_a_bound_of_its_own() {
        let mut edges = Edges::NONE;
        for n in 0..EDGES_MAX {
            assert!(edges.add(Kind::Needs, format!("{n}").as_bytes()));
        }
        assert!(!edges.add(Kind::Needs, b"more"));
        assert!(edges.add(Kind::Needs, b"0"), "it is there");
        assert!(edges.add(Kind::Wants, b"more"));
    }
}
