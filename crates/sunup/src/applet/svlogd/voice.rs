//! Messages about a log directory.

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
    /// `verbose`: also reports what svlogd does.
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

    /// Reports what the administrator should know.
    pub fn say(&self, what: impl Display) {
        say::offer(SPEC.name, format_args!("{}: {what}", self.path.display()));
    }

    /// Reports what svlogd does, if `-v` was given.
    pub fn tell(&self, what: impl Display) {
        if self.verbose {
            self.say(what);
        }
    }
}
