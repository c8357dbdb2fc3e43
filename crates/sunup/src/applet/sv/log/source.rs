//! The log of one service, read line by line: older files, then `current`, and after a
//! rotation the next one. What is read is held open, so whatever its name is, nothing of it
//! is missed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use model::format::stamp;
use model::format::tai64n::Tai64n;
use model::lines::find;
use model::log::LINE_BYTES_MAX;
use model::log::backwards::Backwards;
use model::log::files::{Files, is_compressed, label, twin};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys::file;

/// Read at a time, from the end backwards,
const BLOCK_BYTES: u64 = 64 * 1024;
/// and forwards.
const READ_BYTES: usize = 16 * 1024;
/// The longest magic number of a compressed file.
const MAGIC_BYTES: usize = 8;

/// The log of a service.
pub struct Source {
    /// The service.
    pub name: Vec<u8>,
    /// How many lines were found before the end.
    pub found: u64,
    dir: PathBuf,
    /// The file that is read, and how far.
    reading: (File, u64),
    /// What comes after it, the last first,
    older: Vec<Vec<u8>>,
    /// and at last.
    current: Option<File>,
    /// The newest of the older files that are known.
    newest: Option<Vec<u8>>,
    buffer: Vec<u8>,
    /// So much of it is done with.
    taken: usize,
    /// The line at the head, in the buffer.
    line: Range<usize>,
    /// By the last stamp: a line without one belongs to the line before it.
    at: Tai64n,
    left_out: usize,
    is_unstamped: bool,
}

impl Source {
    /// Finds where the wanted lines begin.
    ///
    /// # Errors
    /// `current` cannot be read.
    pub fn open(
        name: &[u8],
        dir: PathBuf,
        mut search: Backwards,
        since: Option<Tai64n>,
    ) -> io::Result<Self> {
        // Before the others are listed: what is rotated meanwhile is among them.
        let current = open(&dir.join("current"))?;
        let older = older_files(&dir, &current);
        let mut source = Self {
            name: name.to_vec(),
            found: 0,
            reading: (current, 0),
            older: Vec::new(),
            current: None,
            newest: older.names.last().cloned(),
            buffer: Vec::new(),
            taken: 0,
            line: 0..0,
            at: Tai64n::decode([0; 12]),
            left_out: 0,
            is_unstamped: false,
            dir,
        };
        source.seek(&older, &mut search, since)?;
        source.found = search.found;
        source.is_unstamped = since.is_some() && search.found > 0 && !search.is_stamped;
        Ok(source)
    }

    fn seek(
        &mut self,
        older: &Files,
        search: &mut Backwards,
        since: Option<Tai64n>,
    ) -> io::Result<()> {
        search_file(&self.reading.0, search)?;
        self.reading.1 = search.start;
        let mut first: Option<&Vec<u8>> = None;
        for name in older.names.iter().rev() {
            // Nothing in a file is newer than its label.
            let is_too_old = label(name).zip(since).is_some_and(|(at, since)| at < since);
            search.is_done |= is_too_old;
            if search.is_done {
                break;
            }
            let Ok(file) = self.open_older(name) else {
                continue;
            };
            if is_compressed(&head(&file)) {
                self.left_out += 1;
                continue;
            }
            search_file(&file, search)?;
            let (later, _) = std::mem::replace(&mut self.reading, (file, search.start));
            match first.replace(name) {
                Some(name) => self.older.push(name.clone()),
                None => self.current = Some(later),
            }
        }
        if !search.is_done {
            self.left_out += older.others;
        }
        Ok(())
    }

    /// By the name it has, or has got meanwhile.
    fn open_older(&self, name: &[u8]) -> io::Result<File> {
        let path = |name: &[u8]| self.dir.join(OsStr::from_bytes(name));
        open(&path(name)).or_else(|_| open(&path(&twin(name))))
    }

    /// What a user should know of what is shown.
    pub fn remark(&self) -> Option<String> {
        if self.is_unstamped {
            return Some(
                "its lines have no time stamp: --since can only leave out old files".into(),
            );
        }
        let dir = self.dir.display();
        match self.left_out {
            0 => None,
            1 => Some(format!(
                "an older file in {dir} is compressed, and left out"
            )),
            n => Some(format!(
                "{n} older files in {dir} are compressed, and left out"
            )),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Goes to the next line; returns when it was written. `None`: there is none yet. A last
    /// line without its newline is one if nothing more `is_awaited`.
    pub fn advance(&mut self, is_awaited: bool) -> Option<Tai64n> {
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let piece = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
            let is_long = rest.len() >= LINE_BYTES_MAX;
            let (len, whole) = match find(b'\n', piece) {
                Some(len) => (len, len + 1),
                None => (piece.len(), piece.len()),
            };
            let is_line = whole > len || is_long;
            if !is_line && self.read() {
                continue;
            }
            let is_last = self.older.is_empty() && self.current.is_none();
            if is_line || len > 0 && !(is_last && is_awaited) {
                return Some(self.take(len, whole));
            }
            if !self.next_file() {
                self.rest();
                return None;
            }
        }
    }

    fn take(&mut self, len: usize, whole: usize) -> Tai64n {
        self.line = self.taken..self.taken + len;
        self.taken += whole;
        if let Some((at, _)) = stamp::decode(self.line()) {
            self.at = at;
        }
        self.at
    }

    /// The line that [`Source::advance`] went to.
    pub fn line(&self) -> &[u8] {
        self.buffer.get(self.line.clone()).unwrap_or_default()
    }

    /// Adds to the buffer; false at the end of the file.
    fn read(&mut self) -> bool {
        let (file, offset) = &mut self.reading;
        self.buffer.drain(..std::mem::take(&mut self.taken));
        let len = self.buffer.len();
        self.buffer.resize(len + READ_BYTES, 0);
        let room = self.buffer.get_mut(len..).unwrap_or_default();
        let n = file.read_at(room, *offset).unwrap_or(0);
        self.buffer.truncate(len + n);
        *offset += n as u64;
        n > 0
    }

    fn next_file(&mut self) -> bool {
        while let Some(name) = self.older.pop() {
            if let Ok(file) = self.open_older(&name) {
                self.reading = (file, 0);
                return true;
            }
        }
        let Some(current) = self.current.take() else {
            return false;
        };
        self.reading = (current, 0);
        true
    }

    /// Gives memory back until there is more to read.
    fn rest(&mut self) {
        self.buffer.drain(..std::mem::take(&mut self.taken));
        self.buffer.shrink_to_fit();
    }

    /// After all was read: whether there is another `current`, or the same with less in it.
    pub fn is_turned_over(&mut self) -> bool {
        let Ok(now) = open(&self.dir.join("current")) else {
            // It is made in a moment.
            return false;
        };
        let (file, offset) = &mut self.reading;
        if inode(file) == inode(&now) {
            let is_cut = now.metadata().is_ok_and(|now| now.len() < *offset);
            if is_cut {
                *offset = 0;
                self.buffer.clear();
                self.taken = 0;
            }
            return is_cut;
        }
        let new = older_files(&self.dir, &now).names.into_iter();
        let new = new.filter(|name| Some(name) > self.newest.as_ref());
        let new: Vec<Vec<u8>> = new.collect();
        let read = inode(file);
        let is_read = |name: &&Vec<u8>| {
            let file = self.open_older(name);
            file.is_ok_and(|file| inode(&file) == read)
        };
        // A processor makes another file of it, which is the first of them.
        let ours = new.iter().find(is_read).or(new.first()).cloned();
        self.newest = new.last().cloned().or(self.newest.take());
        let new = new.into_iter().rev();
        self.older = new.filter(|name| Some(name) != ours.as_ref()).collect();
        self.current = Some(now);
        true
    }
}

/// A regular file: of anything else the end is not known. No link: none is rotated, and whom
/// the directory belongs to does not choose what of root's is shown.
fn open(path: &Path) -> io::Result<File> {
    let file = file::open(path, OFlags::RDONLY | OFlags::NOFOLLOW);
    let file = file.map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::LOOP) => io::Error::other("a link, and no file"),
        _ => e,
    })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a file"))
    }
}

fn inode(file: &File) -> Option<(u64, u64)> {
    let found = file.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

fn head(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; MAGIC_BYTES];
    let n = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(n);
    bytes
}

/// The older files of a log. `current` may be one of them meanwhile, and others may be newer than
/// it is: these come later.
fn older_files(dir: &Path, current: &File) -> Files {
    let mut files = Files::default();
    let current = inode(current);
    let mut end = None;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let found = fs::metadata(entry.path()).ok();
        let found = found.map(|found| (found.dev(), found.ino()));
        let name = entry.file_name().into_vec();
        if found.is_none() || found != current {
            files.add(&name);
        } else if label(&name).is_some() {
            end = Some(name);
        }
    }
    while end.is_some() && files.names.last() > end.as_ref() {
        files.names.pop_last();
    }
    files
}

/// Searches a file from its end.
fn search_file(file: &File, search: &mut Backwards) -> io::Result<()> {
    let mut end = file.metadata()?.len();
    search.enter(end);
    let mut block = Vec::new();
    while end > 0 && !search.is_done {
        let begin = end.saturating_sub(BLOCK_BYTES);
        block.resize((end - begin) as usize, 0);
        // It may be cut meanwhile.
        if file.read_exact_at(&mut block, begin).is_err() || !search.feed(begin, &block) {
            break;
        }
        end = begin;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A logger rotates again and again; each file holds the number that becomes its name.
    #[test]
    fn no_older_file_is_newer_than_current() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("current"), dir.path().join("next"));
        let name = |number: usize| format!("@{number:024x}.s").into_bytes();
        fs::write(&path, "0").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..400 {
                    fs::write(&next, (number + 1).to_string()).unwrap();
                    let older = dir.path().join(OsStr::from_bytes(&name(number)));
                    fs::rename(&path, older).unwrap();
                    fs::rename(&next, &path).unwrap();
                }
                is_over.store(true, Ordering::Relaxed);
            });
            while !is_over.load(Ordering::Relaxed) {
                let Ok(current) = open(&path) else { continue };
                let older = older_files(dir.path(), &current);
                let number = String::from_utf8(head(&current)).unwrap();
                let end = name(number.parse().unwrap());
                assert!(older.names.last() < Some(&end), "{older:?}");
            }
        });
    }
}
