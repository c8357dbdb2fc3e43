//! What is said about a log directory.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::SPEC;
use crate::say;

/// Speaks for one directory of the command line.
#[derive(Clone)]
pub struct Voice {
    path: PathBuf,
    verbose: bool,
}

impl Voice {
    /// `verbose`: what is done is told, too.
    pub fn new(path: &Path, verbose: bool) -> Self {
        Self {
            path: path.to_owned(),
            verbose,
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says what somebody should know.
    pub fn say(&self, what: impl Display) {
        say::offer(SPEC.name, format_args!("{}: {what}", self.path.display()));
    }

    /// Says what is done, if that is wanted.
    pub fn tell(&self, what: impl Display) {
        if self.verbose {
            self.say(what);
        }
    }
}
