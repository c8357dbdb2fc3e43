//! /run/sunup/boot: what happened in this boot, and when (`docs/decisions/0019-boot-record.md`).
//!
//! The first line is [`HEADER`]. Each further line is something that happened, with its moment
//! in nanoseconds of the boot clock (`CLOCK_BOOTTIME`):
//!
//! ```text
//! NS step NAME END_NS ok|failed [REASON]   a step of stage 1, from NS to END_NS
//! NS start NAME PID                        the first start of a service; 0: it has no process
//! NS ready NAME                            it is ready for the first time
//! NS hold NAME REASON                      its start waits, for this reason
//! NS free NAME                             its start waits no longer
//! NS note NAME                             a moment that has a name
//! NS idle CPUS IDLE_NS                     for how long the processors idled since the kernel's start, together
//! ```
//!
//! Names and reasons stand in double quotes, with `\"`, `\\` and `\xHH` for a quote, a backslash
//! and every byte that is not printable ASCII; so a line stays a line. They are cut at
//! [`TEXT_BYTES_MAX`] bytes. Several processes append, each when it has something, so lines need
//! not be in the order of their moments. A reader passes over what it does not understand.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use crate::process::Pid;
use crate::time::Instant;

/// The path of the file.
pub const PATH: &str = "/run/sunup/boot";

/// The first line of a record.
pub const HEADER: &[u8] = b"sunup-boot 1\n";

/// The file is not longer than this.
pub const BYTES_MAX: usize = 256 * 1024;

/// A name or a reason has no more bytes; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 255;

/// The note of the machine's process 1: its first moment.
pub const INIT: &[u8] = b"init";
/// The same of a container, whose kernel has been up before.
pub const BEGIN: &[u8] = b"begin";
/// The note of the machine's supervisor: everything that is wanted was up once.
pub const UP: &[u8] = b"up";
/// The note in place of what the file has no room for.
pub const FULL: &[u8] = b"full";

/// A line: something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<T = Vec<u8>> {
    /// When, or since when.
    pub at: Instant,
    /// What.
    pub what: What<T>,
}

/// What happened; `T` holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<T = Vec<u8>> {
    /// A step of stage 1.
    Step {
        /// Its name.
        name: T,
        /// When it ended.
        until: Instant,
        /// Why it failed, if it did; the reason may be empty.
        failure: Option<T>,
    },
    /// A service was started for the first time. Pid 0: there was no process.
    Start(T, Pid),
    /// It is ready, for the first time.
    Ready(T),
    /// Its start waits, for that reason.
    Hold(T, T),
    /// Its start waits no longer.
    Free(T),
    /// A moment that has a name.
    Note(T),
    /// So many processors idled for so long since the kernel's start: the sum of all, in ns.
    Idle(u32, u64),
}

/// A record as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The lines, in the order of the file.
    pub lines: Vec<Line>,
    /// How many lines were not understood.
    pub passed_over: usize,
}

impl<T: AsRef<[u8]>> Line<T> {
    /// Appends the line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        number(out, self.at.0);
        let word = |out: &mut Vec<u8>, word: &str, name: &T| {
            out.extend_from_slice(word.as_bytes());
            quote(out, name.as_ref());
        };
        match &self.what {
            What::Step {
                name,
                until,
                failure,
            } => {
                word(out, " step ", name);
                out.push(b' ');
                number(out, until.0);
                match failure {
                    None => out.extend_from_slice(b" ok"),
                    Some(reason) => word(out, " failed ", reason),
                }
            }
            What::Start(name, pid) => {
                word(out, " start ", name);
                out.push(b' ');
                number(out, (*pid).into());
            }
            What::Ready(name) => word(out, " ready ", name),
            What::Hold(name, reason) => {
                word(out, " hold ", name);
                word(out, " ", reason);
            }
            What::Free(name) => word(out, " free ", name),
            What::Note(name) => word(out, " note ", name),
            What::Idle(cpus, idle_ns) => {
                out.extend_from_slice(b" idle ");
                number(out, (*cpus).into());
                out.push(b' ');
                number(out, *idle_ns);
            }
        }
        out.push(b'\n');
    }
}

impl Line {
    /// Reads a line, without its newline.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let mut rest = Rest(line);
        let at = Instant(rest.number()?);
        let what = match rest.word()? {
            b"step" => {
                let (name, until) = (rest.text()?, Instant(rest.number()?));
                let failure = match rest.word()? {
                    b"ok" => None,
                    b"failed" if rest.0.is_empty() => Some(Vec::new()),
                    b"failed" => Some(rest.text()?),
                    _ => return None,
                };
                What::Step {
                    name,
                    until,
                    failure,
                }
            }
            b"start" => What::Start(rest.text()?, Pid::try_from(rest.number()?).ok()?),
            b"ready" => What::Ready(rest.text()?),
            b"hold" => What::Hold(rest.text()?, rest.text()?),
            b"free" => What::Free(rest.text()?),
            b"note" => What::Note(rest.text()?),
            b"idle" => What::Idle(u32::try_from(rest.number()?).ok()?, rest.number()?),
            _ => return None,
        };
        rest.0.is_empty().then_some(Self { at, what })
    }
}

impl Record {
    /// Reads a record; `None`: this is none. The last line counts only with its newline.
    pub fn decode(file: &[u8]) -> Option<Self> {
        Some(Self::decode_lines(file.strip_prefix(HEADER)?))
    }

    /// Reads lines without the first one of a record.
    pub fn decode_lines(bytes: &[u8]) -> Self {
        let mut record = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n").and_then(Line::decode) {
                Some(line) => record.lines.push(line),
                None => record.passed_over += 1,
            }
        }
        record
    }

    /// The file again.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        for line in &self.lines {
            line.encode(&mut out);
        }
        out
    }

    /// The last moment that a line names.
    pub fn newest(&self) -> Option<Instant> {
        self.lines.iter().map(Line::end).max()
    }

    /// Whether a line is this note.
    pub fn has_note(&self, note: &[u8]) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| matches!(&line.what, What::Note(name) if name == note))
    }
}

impl<T> Line<T> {
    /// When what happened was over: the end of a step, else the moment itself.
    pub fn end(&self) -> Instant {
        match self.what {
            What::Step { until, .. } => until.max(self.at),
            _ => self.at,
        }
    }
}

/// For how long the processors idled since the kernel's start (ns), by /proc/uptime.
pub fn idle_ns(uptime: &[u8]) -> Option<u64> {
    let mut fields = uptime.trim_ascii().split(|byte| *byte == b' ');
    let idle = fields.nth(1)?;
    let point = idle.iter().position(|byte| *byte == b'.')?;
    let (seconds, [_, hundredths @ ..]) = idle.split_at_checked(point)? else {
        return None;
    };
    let number = |digits| Rest(digits).number();
    let [_, _] = hundredths else { return None };
    let ns = number(seconds)?.checked_mul(1_000_000_000)?;
    ns.checked_add(number(hundredths)?.checked_mul(10_000_000)?)
}

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// The bytes up to the next blank.
    fn word(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b' ');
        let (word, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        self.0 = rest;
        self.pass_blank()?;
        Some(word)
    }

    fn number(&mut self) -> Option<u64> {
        let word = self.word()?;
        let digits = word.iter().all(u8::is_ascii_digit);
        let text = core::str::from_utf8(word).ok().filter(|_| digits)?;
        text.parse().ok()
    }

    /// A text in quotes.
    fn text(&mut self) -> Option<Vec<u8>> {
        self.0 = self.0.strip_prefix(b"\"")?;
        let mut text = Vec::new();
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => break,
                b'\\' => text.push(self.escape()?),
                b' '..=b'~' => text.push(*byte),
                _ => return None,
            }
            if text.len() > TEXT_BYTES_MAX {
                return None;
            }
        }
        self.pass_blank()?;
        Some(text)
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<u8> {
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        if matches!(kind, b'"' | b'\\') {
            return Some(*kind);
        }
        let ([high, low], rest) = rest.split_first_chunk()?;
        self.0 = rest;
        let digit = |byte: u8| HEX.iter().position(|digit| *digit == byte);
        let byte = digit(*high)? << 4 | digit(*low)?;
        (*kind == b'x').then_some(byte as u8)
    }

    /// Passes over the blank after a word. The line may end there, too.
    fn pass_blank(&mut self) -> Option<()> {
        if let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            // A blank at the end of a line is half a line.
            (*byte == b' ' && !rest.is_empty()).then_some(())?;
        }
        Some(())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text.iter().take(TEXT_BYTES_MAX) {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let from = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
}
