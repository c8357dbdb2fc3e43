//! What passed before and has not changed since: the tests of behaviour against
//! programs of others depend on the tests, the list of what differs and the
//! programs, and on nothing of ours.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace;

/// A run that may have passed before.
pub struct Note {
    path: PathBuf,
    hash: String,
}

impl Note {
    /// Of the programs called `name`, which are in `programs`.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn of(name: &str, programs: &Path) -> Result<Self> {
        let root = workspace::root();
        let mut hasher = DefaultHasher::new();
        let sources = [
            "crates/sunup/tests",
            "crates/lab/src/known.rs",
            "crates/lab/src/under_test.rs",
            "docs/compatibility.md",
        ];
        for source in sources {
            add(&root.join(source), &mut hasher)?;
        }
        add(programs, &mut hasher)?;
        let dir = workspace::scratch()?.join("under-test");
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Self {
            path: dir.join(name).with_extension("passed"),
            hash: format!("{:016x}", hasher.finish()),
        })
    }

    /// Whether all is as it was when it passed.
    pub fn holds(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|kept| kept == self.hash)
    }

    /// Notes whether it passed.
    pub fn keep(&self, passed: bool) {
        // Without the note it is run again.
        drop(if passed {
            fs::write(&self.path, &self.hash)
        } else {
            fs::remove_file(&self.path)
        });
    }
}

/// Adds the content of a file, or the names and contents of a directory.
fn add(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let read = || format!("read {}", path.display());
    if !path.is_dir() {
        fs::read(path).with_context(read)?.hash(hasher);
        return Ok(());
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path).with_context(read)? {
        names.insert(entry?.file_name());
    }
    let mut seen = BTreeSet::new();
    for name in names {
        name.hash(hasher);
        // busybox is one file by many names.
        let inner = path.join(name);
        let target = fs::canonicalize(&inner).with_context(read)?;
        if seen.insert(target) {
            add(&inner, hasher)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(path: &Path) -> u64 {
        let mut hasher = DefaultHasher::new();
        add(path, &mut hasher).unwrap();
        hasher.finish()
    }

    #[test]
    fn a_name_and_a_content_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), "1").unwrap();
        let first = hash(dir.path());
        assert_eq!(hash(dir.path()), first);
        fs::write(dir.path().join("a/b"), "2").unwrap();
        let second = hash(dir.path());
        assert_ne!(second, first);
        fs::rename(dir.path().join("a/b"), dir.path().join("a/c")).unwrap();
        assert_ne!(hash(dir.path()), second);
    }
}
