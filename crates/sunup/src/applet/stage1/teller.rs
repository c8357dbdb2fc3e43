//! What stage 1 tells: on standard error, without waiting for ever for a console that takes
//! nothing, and whether a step failed.

use std::fmt::Display;
use std::io;
use std::path::Path;

use model::format::Mistake;

use super::SPEC;
use crate::say;

/// So long (ns) a console that is only slow is waited for.
const PATIENCE: u64 = 2_000_000_000;

/// Tells, and counts failures.
pub struct Teller {
    details: bool,
    /// Why the step failed: what was told first.
    failure: Option<String>,
    any_failed: bool,
}

impl Teller {
    /// `details`: whether [`Self::detail`] tells anything.
    pub fn new(details: bool) -> Self {
        Self {
            details,
            failure: None,
            any_failed: false,
        }
    }

    /// A step begins.
    pub fn begin(&mut self) {
        self.failure = None;
    }

    /// Why the step failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Tells what failed.
    pub fn fail(&mut self, what: impl Display) {
        write(SPEC.name, &what);
        self.failed(what);
    }

    /// The step failed for this reason, which was told already.
    pub fn failed(&mut self, reason: impl Display) {
        self.any_failed = true;
        self.failure.get_or_insert_with(|| reason.to_string());
    }

    /// Tells what is wrong in a file, each mistake with its line.
    pub fn mistakes(&mut self, path: &Path, mistakes: &[Mistake]) {
        for Mistake { line, reason } in mistakes {
            self.fail(format_args!("{}: line {line}: {reason}", path.display()));
        }
    }

    /// Tells why a file cannot be read, unless it need not be there.
    pub fn fail_unless_missing(&mut self, path: impl Display, e: &io::Error) {
        if e.kind() != io::ErrorKind::NotFound {
            self.fail(format_args!("{path}: read: {e}"));
        }
    }

    /// Tells what somebody who looks closely wants to know.
    pub fn detail(&self, what: impl Display) {
        if self.details {
            write(SPEC.name, &what);
        }
    }

    /// Whether any step failed.
    pub fn has_failed(&self) -> bool {
        self.any_failed
    }
}

/// Writes `who: what` and a newline.
pub fn write(who: &str, what: &dyn Display) {
    line(&say::message(who, what));
}

/// Writes a line as it is.
pub fn line(line: &str) {
    say::offer_lines(SPEC.name, line.as_bytes(), PATIENCE);
}

/// Tells what everybody should know, which is no failure.
pub fn note(what: impl Display) {
    write(SPEC.name, &what);
}
