//! A verb of our own, with a command line of its own: a row of [`super::verbs`].

use model::options::{self, Asked, Parsed, Spec};

use super::super::usage_error;
use crate::say;

/// One row of the table.
pub struct Verb {
    /// Its word.
    pub word: &'static str,
    /// Its command line; the name is `sv` and the word.
    pub spec: &'static Spec,
    /// What its operands name, for completion by a shell.
    pub operands: Operands,
    /// Does it; the result is the exit code.
    pub run: fn(&Call) -> u8,
}

/// What the operands of a verb name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Services of the scan directory.
    Services,
    /// Services of the database.
    Database,
}

/// How a verb was called.
pub struct Call<'a> {
    /// Its options and operands.
    pub args: &'a Parsed<'a>,
    /// How long to wait, if there is something to wait for, in milliseconds.
    pub wait_ms: u64,
}

impl Verb {
    /// Does it, with the words that follow it.
    pub fn call(&self, words: &[&[u8]], wait_ms: u64) -> u8 {
        match options::parse(self.spec, words) {
            Ok(Asked::Run(parsed)) => {
                let code = (self.run)(&Call {
                    args: &parsed,
                    wait_ms,
                });
                or_unwritten(code)
            }
            Ok(Asked::Help | Asked::Version) => {
                say::print(&options::help(self.spec));
                0
            }
            Err(mistake) => usage_error(self.spec, &mistake),
        }
    }
}

/// The exit code of a command whose output programs read: `sv metrics >new && mv new old` must
/// not put half of it there.
pub fn or_unwritten(code: u8) -> u8 {
    if !say::output_lacks() {
        return code;
    }
    say::line(
        "sv",
        "standard output could not be written: is its disk full?",
    );
    code.max(1)
}
