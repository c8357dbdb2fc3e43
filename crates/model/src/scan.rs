//! The services that a scan directory asks for, against those that are
//! supervised.
//!
//! A service is its directory, known by device and inode: two links to one
//! directory are one service, and a directory that was replaced under the same
//! name is another. (busybox compares the inode alone, and confuses services on
//! different file systems.)

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What tells one directory from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// An entry's name: any bytes.
pub type Name = Vec<u8>;

/// What has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// No entry leads to the service any more.
    Remove(Identity),
    /// The service goes by another name now.
    Rename(Identity, Name),
    /// A service that is not supervised.
    Add(Identity, Name),
}

/// Whether an entry's name counts: runsvdir skips names that start with a dot.
pub fn is_service_name(name: &[u8]) -> bool {
    !name.is_empty() && name.first() != Some(&b'.')
}

/// Whether an entry of the scan directory is to be supervised. A name that ends in `@` is
/// that of a template: others are made of it.
pub fn is_supervised(name: &[u8]) -> bool {
    is_service_name(name) && name.last() != Some(&b'@')
}

/// Which instance of a template a service is: what follows the first `@` in its name. `name`
/// may be a path, whose last part counts.
pub fn instance(name: &[u8]) -> Option<&[u8]> {
    let end = name.iter().rposition(|byte| *byte != b'/')?;
    let last = name.get(..=end)?.rsplit(|byte| *byte == b'/').next()?;
    let at = last.iter().position(|byte| *byte == b'@')?;
    last.get(at + 1..).filter(|instance| !instance.is_empty())
}

/// The name of the template that a service may be an instance of: the first `@` is its last
/// letter.
pub fn template(name: &[u8]) -> Option<&[u8]> {
    instance(name)?;
    let at = name.iter().position(|byte| *byte == b'@')?;
    name.get(..=at)
}

/// Compares the supervised services with the directory's entries (names that
/// lead to directories, in any order). Removals come first.
pub fn diff(known: &BTreeMap<Identity, &Name>, entries: &[(Name, Identity)]) -> Vec<Change> {
    let mut found: BTreeMap<Identity, Vec<&Name>> = BTreeMap::new();
    for (name, identity) in entries {
        found.entry(*identity).or_default().push(name);
    }
    let mut changes = Vec::new();
    for (identity, name) in known {
        match found.remove(identity) {
            None => changes.push(Change::Remove(*identity)),
            Some(names) if names.contains(name) => {}
            Some(names) => {
                if let Some(new) = names.into_iter().min() {
                    changes.push(Change::Rename(*identity, new.clone()));
                }
            }
        }
    }
    for (identity, names) in found {
        if let Some(name) = names.into_iter().min() {
            changes.push(Change::Add(identity, name.clone()));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn id(dev: u64, ino: u64) -> Identity {
        Identity { dev, ino }
    }

    #[test]
    fn same_inode_on_two_devices_is_two_services() {
        let entries = [(b"a".to_vec(), id(1, 7)), (b"b".to_vec(), id(2, 7))];
        assert_eq!(
            diff(&BTreeMap::new(), &entries),
            vec![
                Change::Add(id(1, 7), b"a".to_vec()),
                Change::Add(id(2, 7), b"b".to_vec())
            ]
        );
    }

    #[test]
    fn links_to_one_directory_are_one_service() {
        let entries = [(b"b".to_vec(), id(1, 7)), (b"a".to_vec(), id(1, 7))];
        assert_eq!(
            diff(&BTreeMap::new(), &entries),
            vec![Change::Add(id(1, 7), b"a".to_vec())]
        );
        let name = b"b".to_vec();
        let known = BTreeMap::from([(id(1, 7), &name)]);
        assert_eq!(diff(&known, &entries), vec![]);
        assert_eq!(
            diff(&known, &entries[1..]),
            vec![Change::Rename(id(1, 7), b"a".to_vec())]
        );
    }

    #[test]
    fn replaced_directory_is_removed_and_added() {
        let name = b"a".to_vec();
        let known = BTreeMap::from([(id(1, 7), &name)]);
        let entries = [(b"a".to_vec(), id(1, 8))];
        assert_eq!(
            diff(&known, &entries),
            vec![
                Change::Remove(id(1, 7)),
                Change::Add(id(1, 8), b"a".to_vec())
            ]
        );
    }

    #[test]
    fn hidden_entries_are_no_services() {
        assert!(is_service_name(b"web"));
        assert!(!is_service_name(b".web"));
        assert!(!is_service_name(b""));
    }

    #[test]
    fn templates_are_not_supervised() {
        for name in [
            &b"web"[..],
            b"agetty@tty1",
            b"@x",
            b"a@\n",
            b"a@@b",
            b"\xff",
        ] {
            assert!(is_supervised(name), "{}", name.escape_ascii());
        }
        for name in [&b"agetty@"[..], b"@", b"a@b@", b".a", b".a@b", b""] {
            assert!(!is_supervised(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn an_instance_is_what_follows_the_first_at() {
        for (name, expected) in [
            (&b"agetty@tty1"[..], Some(&b"tty1"[..])),
            (b"a@b@c", Some(b"b@c")),
            (b"a@@", Some(b"@")),
            (b"@x", Some(b"x")),
            (b"a@\xff\n=", Some(b"\xff\n=")),
            (b"/etc/sv/agetty@tty1//", Some(b"tty1")),
            (b"./a@b", Some(b"b")),
            (b"/etc/sv@host/web", None),
            (b"web", None),
            (b"agetty@", None),
            (b"@", None),
            (b"a@/", None),
            (b".", None),
            (b"/", None),
            (b"", None),
        ] {
            assert_eq!(instance(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn the_template_of_an_instance_ends_in_the_first_at() {
        for (name, expected) in [
            (&b"agetty@tty1"[..], Some(&b"agetty@"[..])),
            (b"a@b@c", Some(b"a@")),
            (b"@x", Some(b"@")),
            (b"web", None),
            (b"agetty@", None),
            (b"", None),
        ] {
            assert_eq!(template(name), expected, "{}", name.escape_ascii());
        }
    }
}
