//! Reads /etc/inittab and reports mistakes in it.

use std::path::Path;

use model::format::inittab::{self, Entry};

use crate::machine::{self, console};
use crate::sys::{file, heap};

const PATH: &str = "/etc/inittab";

/// Longer files are cut here, and this is reported.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// What reading it may take, for each byte: a buffer that grows, the entries, the
/// slots that they become, what is started of them, and the line for a successor.
const BYTES_FOR_A_BYTE: usize = 10;

/// The entries; the defaults, which end in a shell, when there are none.
pub fn read_or_defaults() -> Vec<Entry> {
    read().unwrap_or_else(|reason| {
        console::say(&format!("{PATH}: {reason}; the defaults are used"));
        inittab::defaults(machine::is_the_first())
    })
}

/// The entries; if there are none, those of the predecessor, or the defaults if it told
/// of none.
pub fn read_or_as_before(before: &[Entry]) -> Vec<Entry> {
    if before.is_empty() {
        return read_or_defaults();
    }
    read().unwrap_or_else(|reason| {
        let count = before.len();
        console::say(&format!(
            "{PATH}: {reason}; the {count} entries of before are used"
        ));
        before.to_vec()
    })
}

/// The entries; if there are none, reports that and returns `None`.
pub fn read_again() -> Option<Vec<Entry>> {
    read()
        .inspect_err(|reason| {
            console::say(&format!("{PATH}: {reason}; nothing is changed"));
        })
        .ok()
}

fn read() -> Result<Vec<Entry>, String> {
    let bytes = std::fs::metadata(PATH).map_or(0, |file| file.len());
    let bytes = usize::try_from(bytes).map_or(FILE_BYTES_MAX, |n| n.min(FILE_BYTES_MAX));
    if !heap::has_room_for(bytes.saturating_mul(BYTES_FOR_A_BYTE)) {
        return Err(format!("not enough memory for {bytes} bytes of it"));
    }
    let (bytes, is_cut) =
        file::read_lines(Path::new(PATH), FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    if is_cut {
        console::say(&format!(
            "{PATH}: longer than {FILE_BYTES_MAX} bytes; the rest is left out"
        ));
    }
    let (entries, mistakes) = inittab::decode(&bytes);
    for m in mistakes {
        console::say(&format!(
            "Bad inittab entry at line {}: {}",
            m.line, m.reason
        ));
    }
    if entries.is_empty() {
        return Err("no entry".to_owned());
    }
    Ok(entries)
}
