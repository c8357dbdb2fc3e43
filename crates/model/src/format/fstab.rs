//! /etc/fstab (fstab(5)): what is mounted at boot, from where, and how.
//!
//! A line is `SOURCE TARGET TYPE OPTIONS [DUMP [PASS]]`; blanks in a field are written as
//! `\040` and the like. A line that is wrong is told and left out, and the others count.

mod options;
#[cfg(test)]
mod tests;

pub use options::{Call, Options};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::mountinfo::unescaped;
use super::{Mistake, decimal};

/// No more lines are taken.
pub const ENTRIES_MAX: usize = 1024;
/// No more mistakes are told.
pub const MISTAKES_MAX: usize = 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub line: usize,
    /// The device, `UUID=...` and the like, or a word for a file system without a device.
    pub source: Vec<u8>,
    /// The directory; an absolute path without a slash at its end. For swap, anything.
    pub target: Vec<u8>,
    /// The type of the file system, or `swap`.
    pub kind: Vec<u8>,
    /// The options, as they are written.
    pub options: Vec<u8>,
    /// When it is checked: after all lower numbers; 0: never.
    pub pass: u32,
}

impl Entry {
    /// Whether it is room for swapping, and not mounted.
    pub fn is_swap(&self) -> bool {
        self.kind == b"swap"
    }

    /// What it is called in messages: the directory, or for swap the device.
    pub fn name(&self) -> &[u8] {
        if self.is_swap() {
            &self.source
        } else {
            &self.target
        }
    }

    /// Whether one of its options is this word.
    pub fn has(&self, word: &[u8]) -> bool {
        options::words(&self.options).any(|option| option == word)
    }

    /// Whether it is the root, which is mounted already; its line says how it is to be.
    pub fn is_root(&self) -> bool {
        self.target == b"/"
    }

    /// Whether stage 1 leaves it alone: it is not for the boot, or it needs the network. The
    /// root is mounted whatever its line says about that.
    pub fn is_left_out(&self) -> bool {
        let waits = self.has(b"noauto") || self.has(b"_netdev");
        (waits && !self.is_root()) || self.kind == b"ignore"
    }

    /// For swap: the flags of swapon(2).
    pub fn swap_flags(&self) -> i32 {
        const PREFER: i32 = 0x8000;
        const PRIORITY_MAX: u32 = 0x7fff;
        options::words(&self.options).fold(0, |flags, option| match option {
            b"discard" => flags | 0x1_0000,
            b"discard=once" => flags | 0x3_0000,
            b"discard=pages" => flags | 0x5_0000,
            _ => match option.strip_prefix(b"pri=").and_then(decimal) {
                Some(priority) => flags | PREFER | priority.min(PRIORITY_MAX) as i32,
                None => flags,
            },
        })
    }
}

/// Reads the file.
pub fn decode(text: &[u8]) -> (Vec<Entry>, Vec<Mistake>) {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for (line, number) in text.split(|b| *b == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let read = if entries.len() == ENTRIES_MAX {
            Err(String::from("too many lines; the rest is left out"))
        } else {
            entry(line, number)
        };
        match read {
            Ok(entry) => entries.push(entry),
            Err(reason) if mistakes.len() < MISTAKES_MAX => mistakes.push(Mistake {
                line: number,
                reason,
            }),
            Err(_) => break,
        }
    }
    (entries, mistakes)
}

fn entry(line: &[u8], number: usize) -> Result<Entry, String> {
    let mut fields = line
        .split(u8::is_ascii_whitespace)
        .filter(|f| !f.is_empty());
    let mut next = || fields.next().map(unescaped);
    let (Some(source), Some(target), Some(kind)) = (next(), next(), next()) else {
        return Err(String::from(
            "a line has at least device, directory and type",
        ));
    };
    let options = next().unwrap_or_else(|| b"defaults".into());
    let _dump = next();
    let pass = match next() {
        None => 0,
        Some(pass) => decimal(&pass).ok_or("the number of the check (field 6) is no number")?,
    };
    if [&source, &target, &kind, &options]
        .iter()
        .any(|f| f.contains(&0))
    {
        return Err(String::from("a NUL"));
    }
    let mut entry = Entry {
        line: number,
        source,
        target,
        kind,
        options,
        pass,
    };
    if !entry.is_swap() {
        if !entry.target.starts_with(b"/") {
            let target = entry.target.escape_ascii();
            return Err(format!("{target}: not an absolute path"));
        }
        while entry.target.len() > 1 && entry.target.ends_with(b"/") {
            entry.target.pop();
        }
    }
    Ok(entry)
}

/// The lines in the order in which they can be mounted: as they stand, but a directory comes
/// before what is mounted below it, or comes from below it.
pub fn in_order(entries: &[Entry]) -> Vec<&Entry> {
    let mut order = Vec::with_capacity(entries.len());
    let mut placed = alloc::vec![false; entries.len()];
    for start in 0..entries.len() {
        // What must come first is pushed upon what needs it.
        let mut stack = alloc::vec![start];
        while let Some(top) = stack.last().copied() {
            let (Some(entry), false) = (entries.get(top), placed.get(top) == Some(&true)) else {
                stack.pop();
                continue;
            };
            let before = entries
                .iter()
                .zip(&placed)
                .position(|(other, placed)| !placed && !other.is_swap() && needs(entry, other));
            if let Some(before) = before.filter(|before| !stack.contains(before)) {
                stack.push(before);
                continue;
            }
            order.push(entry);
            placed.get_mut(top).into_iter().for_each(|p| *p = true);
            stack.pop();
        }
    }
    order
}

fn needs(entry: &Entry, other: &Entry) -> bool {
    let below = |path: &[u8]| match other.target.as_slice() {
        b"/" => path.starts_with(b"/") && path != b"/",
        dir => path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with(b"/")),
    };
    let comes_from = below(&entry.source) || entry.source == other.target;
    entry.target != other.target && (below(&entry.target) || comes_from) && !is_device(entry, other)
}

/// /dev itself may be mounted late: nodes are there before.
fn is_device(entry: &Entry, other: &Entry) -> bool {
    other.target == b"/dev"
        && entry.source.starts_with(b"/dev/")
        && !entry.target.starts_with(b"/dev/")
}
