//! What a program says: whole lines, one write each, and never a panic when
//! nobody listens (`eprintln!` would panic on a closed descriptor).

use std::fmt::Display;
use std::io::Write;

/// Writes `who: what` and a newline to standard error.
pub fn line(who: &str, what: impl Display) {
    // A lost message is no reason to stop supervising.
    drop(std::io::stderr().write_all(format!("{who}: {what}\n").as_bytes()));
}

/// Writes `text` to standard output; a reader that went away is no error.
pub fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// As [`print`], for bytes that may not be UTF-8.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes bytes to standard error as they are.
pub fn raw(bytes: &[u8]) {
    drop(std::io::stderr().write_all(bytes));
}
