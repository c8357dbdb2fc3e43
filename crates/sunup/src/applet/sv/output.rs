//! Lines on their way to standard output: gathered, because a write for each of
//! a thousand services is a sixth of what `sv status` does, and written before
//! sv waits, warns or ends. A terminal gets each at once.

use std::io::IsTerminal;

use crate::{personality, say};

/// More is not held back.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// The results not yet written; dropping it writes them.
pub struct Output {
    held: Vec<u8>,
    held_max: usize,
    /// For a kept output: there was a warning.
    warned: bool,
    /// A hint was given.
    hinted: bool,
}

impl Output {
    /// Nothing said yet.
    pub fn new() -> Self {
        let to_terminal = std::io::stdout().is_terminal();
        Self {
            held: Vec::new(),
            held_max: if to_terminal { 0 } else { HELD_BYTES_MAX },
            warned: false,
            hinted: false,
        }
    }

    /// An output that keeps its lines, because another process will write them.
    pub fn kept() -> Self {
        Self {
            held: Vec::new(),
            held_max: usize::MAX,
            warned: false,
            hinted: false,
        }
    }

    /// The lines of a kept output; `None` if there was a warning among them.
    pub fn into_lines(mut self) -> Option<Vec<u8>> {
        let lines = std::mem::take(&mut self.held);
        (!self.warned).then_some(lines)
    }

    /// Adds whole lines.
    pub fn say(&mut self, lines: &[u8]) {
        self.held.extend_from_slice(lines);
        if self.held.len() > self.held_max {
            self.flush();
        }
    }

    /// A warning on standard error, after what was said before it.
    pub fn warn(&mut self, what: &str) {
        if self.held_max == usize::MAX {
            self.warned = true;
        } else {
            self.flush();
            say::line("warning", what);
        }
    }

    /// A hint what to do after a failure. It goes to standard error, because standard
    /// output has only runit's words, and comes once, however many services failed.
    pub fn hint(&mut self, what: &str) {
        if std::mem::replace(&mut self.hinted, true) || personality::is_busybox() {
            return;
        }
        if self.held_max == usize::MAX {
            self.warned = true;
        } else {
            self.flush();
            say::line("sv", what);
        }
    }

    /// Writes what is held.
    pub fn flush(&mut self) {
        if !self.held.is_empty() {
            say::print_bytes(&self.held);
            self.held.clear();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}
