//! Files of configuration in several directories, and paths that are patterns.

use model::sorted::sort;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use model::format::Mistake;
use model::{glob, stage1};

use super::teller::Teller;
use crate::sys::file;

/// A longer file is cut before this size, between two lines, and that is told.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// So many names of a directory are looked at.
const NAMES_MAX: usize = 4096;

/// Reads a file and hands it in; if it cannot be read, that is told, unless it is missing and
/// `may_miss`.
pub fn one(
    path: &Path,
    may_miss: bool,
    teller: &mut Teller,
    take: &mut dyn FnMut(&[u8], &mut Teller),
) {
    match file::read_lines(path, FILE_BYTES_MAX) {
        Ok((text, is_cut)) => {
            if is_cut {
                let what = "the rest is left out";
                teller.fail(format_args!(
                    "{}: longer than {FILE_BYTES_MAX} bytes; {what}",
                    path.display()
                ));
            }
            take(&text, teller);
        }
        Err(e) if may_miss && e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => teller.fail(format_args!("{}: read: {e}", path.display())),
    }
}

/// What a text has, and what is wrong in it.
type Decode<T> = fn(&[u8]) -> (Vec<T>, Vec<Mistake>);

/// What [`each`] file of the directories has, and at last that of `last`, with the path of its
/// file. Mistakes are told.
pub fn all<T>(
    dirs: &[&str],
    last: &str,
    teller: &mut Teller,
    decode: Decode<T>,
) -> Vec<(PathBuf, T)> {
    let mut all = Vec::new();
    let mut take = |path: &Path, text: &[u8], teller: &mut Teller| {
        let (found, mistakes) = decode(text);
        teller.mistakes(path, &mistakes);
        all.extend(found.into_iter().map(|one| (path.to_path_buf(), one)));
    };
    each(dirs, teller, &mut take);
    let last = Path::new(last);
    one(last, true, teller, &mut |text, teller| {
        take(last, text, teller);
    });
    all
}

/// Hands in each file that counts of those that end in `.conf` in the directories, of which
/// the first counts most.
pub fn each(dirs: &[&str], teller: &mut Teller, take: &mut dyn FnMut(&Path, &[u8], &mut Teller)) {
    let lists: Vec<Vec<Vec<u8>>> = dirs
        .iter()
        .map(|dir| names(Path::new(dir), teller))
        .collect();
    for (directory, name) in stage1::by_precedence(&lists) {
        let Some(directory) = dirs.get(directory) else {
            continue;
        };
        let path = Path::new(directory).join(OsStr::from_bytes(name));
        one(&path, false, teller, &mut |text, teller| {
            take(&path, text, teller);
        });
    }
}

fn names(dir: &Path, teller: &mut Teller) -> Vec<Vec<u8>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .take(NAMES_MAX)
            .filter_map(|entry| Some(entry.ok()?.file_name().into_vec()))
            .collect(),
        Err(e) => {
            if e.kind() != io::ErrorKind::NotFound {
                teller.fail(format_args!("{}: read: {e}", dir.display()));
            }
            Vec::new()
        }
    }
}

/// What there is of a path below `base` whose parts may be patterns, in the order of names. A
/// path without a pattern is itself, whether it is there or not.
pub fn expand(base: &Path, path: &[u8]) -> Vec<PathBuf> {
    let mut found = vec![base.to_path_buf()];
    for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
        if !glob::is_pattern(part) {
            for path in &mut found {
                path.push(OsStr::from_bytes(part));
            }
            continue;
        }
        let dirs = std::mem::take(&mut found);
        for dir in dirs {
            let entries = std::fs::read_dir(&dir).into_iter().flatten();
            let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
            let room = NAMES_MAX.saturating_sub(found.len());
            let fits = names.filter(|name| glob::matches(part, name.as_bytes()));
            found.extend(fits.take(room).map(|name| dir.join(name)));
        }
        sort(&mut found);
    }
    found
}
