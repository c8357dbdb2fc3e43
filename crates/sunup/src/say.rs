//! What a program says: whole lines, one write each, and never a panic when
//! nobody listens (`eprintln!` would panic on a closed descriptor).

use std::fmt::Display;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use model::losses::Losses;
use rustix::io::Errno;

use crate::outlet::Outlet;
use crate::sys::clock::boot_ns;

/// A message of more bytes is cut: the longest path, each byte of it escaped, fits.
const LINE_BYTES_MAX: usize = 20_000;

/// Writes `who: what` and a newline to standard error.
pub fn line(who: &str, what: impl Display) {
    // A lost message is no reason to stop supervising.
    drop(std::io::stderr().write_all(message(who, what).as_bytes()));
}

/// What standard error did not take.
static LOSSES: Mutex<Losses> = Mutex::new(Losses::new());

/// As [`line`], for a supervisor, which never waits: what standard error does not take
/// at the moment, for example a pipe that nobody reads, is counted, and the count is
/// said before the next line for which there is room.
pub fn offer(who: &str, what: impl Display) {
    offer_lines(who, message(who, what).as_bytes(), 0);
}

/// As [`offer`], for lines as they are. So long (ns) standard error is waited for while
/// it takes nothing, unless it was waited for in vain and has not taken the count since.
pub fn offer_lines(who: &str, lines: &[u8], patience: u64) {
    // There is one thread; a lock that is taken means a panic, and silence.
    let Ok(mut losses) = LOSSES.try_lock() else {
        return;
    };
    let opening = losses.opening(who);
    let all = [opening.as_bytes(), lines].concat();
    let stderr = Outlet::of(rustix::stdio::stderr());
    let patience = if losses.are_told() { patience } else { 0 };
    let after = |ns| boot_ns().saturating_add(ns);
    let mut until = after(patience);
    let mut written = 0;
    while let Some(rest) = all.get(written..).filter(|rest| !rest.is_empty()) {
        match stderr.write(rest) {
            Ok(n @ 1..) => {
                written += n;
                until = after(patience);
            }
            Err(Errno::AGAIN) if boot_ns() < until => {
                let _room = stderr.has_room(until.saturating_sub(boot_ns()));
            }
            // The rest is lost; there is nobody to tell why.
            _ => break,
        }
    }
    losses.written(&opening, lines, written);
}

/// The line that [`line`] writes: one line whatever a path in it holds, and
/// without the error numbers that std adds to reasons.
pub fn message(who: &str, what: impl Display) -> String {
    plain(&format!("{who}: {what}")) + "\n"
}

/// [`without_numbers`], with control characters escaped: names of files may
/// hold newlines, or what a terminal takes for a command. What is very long
/// loses its middle.
pub fn plain(text: &str) -> String {
    plain_within(text, LINE_BYTES_MAX)
}

/// [`plain`], of which `bytes_max` are left, and the mark of what is lost.
pub fn plain_within(text: &str, bytes_max: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in without_numbers(text).chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    let len = shown.len();
    if len > bytes_max {
        let start = shown.floor_char_boundary(bytes_max / 2);
        let end = shown.ceil_char_boundary(len - bytes_max / 2);
        shown.replace_range(start..end, " ... ");
    }
    shown
}

/// Cuts every ` (os error N)` out.
pub fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    // std's search for a string is longer than a whole applet.
    while let Some(at) = rest
        .as_bytes()
        .windows(MARK.len())
        .position(|part| part == MARK.as_bytes())
    {
        let (before, number) = rest.split_at(at);
        plain.push_str(before);
        let number = number.strip_prefix(MARK).unwrap_or_default();
        rest = number
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches(')');
    }
    plain.push_str(rest);
    plain
}

/// Writes `text` to standard output; a reader that went away is no error.
pub fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// As [`print`], for bytes that may not be UTF-8. Whether they were taken.
pub fn print_bytes(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    let is_taken = written.is_ok();
    if written.is_err_and(|e| e.kind() != std::io::ErrorKind::BrokenPipe) {
        LACKS.store(true, Ordering::Relaxed);
    }
    is_taken
}

static LACKS: AtomicBool = AtomicBool::new(false);

/// Whether standard output lacks what was printed, though somebody reads it: its disk is full.
pub fn output_lacks() -> bool {
    LACKS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, message, without_numbers};

    #[test]
    fn reasons_have_no_numbers() {
        assert_eq!(
            without_numbers("a: No such file (os error 2); b"),
            "a: No such file; b"
        );
        assert_eq!(without_numbers("plain (really)"), "plain (really)");
    }

    #[test]
    fn a_message_is_one_line() {
        let path = std::path::Path::new("a\nb\x1b[31m\u{e9}");
        assert_eq!(message("x", path.display()), "x: a\\nb\\u{1b}[31m\u{e9}\n");
    }

    #[test]
    fn a_message_has_a_bound() {
        let long = message("x", "\u{e9}".repeat(1_000_000) + ": reason");
        assert!(long.len() < LINE_BYTES_MAX + 10, "{}", long.len());
        assert!(long.starts_with("x: \u{e9}") && long.ends_with("\u{e9}: reason\n"));
    }
}
