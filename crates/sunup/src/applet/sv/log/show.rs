//! Prints the lines of logs, of several in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IsTerminal};

use model::format::json::Object;
use model::format::stamp;
use model::format::tai64n::Tai64n;
use model::log::text;
use model::options::Parsed;

use super::super::view;
use super::source::Source;
use crate::say;
use crate::sys::local_time;

/// Held back at most, in bytes.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// Colours of names: all but black, white and red.
const COLOURS: [u8; 5] = [36, 33, 32, 35, 34];
/// No zone changes its difference to UTC between two full quarters of an hour.
const QUARTER_S: i64 = 900;

/// How lines are printed, and those on their way.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line, or the terminal"
)]
pub struct Show {
    is_json: bool,
    is_raw: bool,
    is_utc: bool,
    has_names: bool,
    is_terminal: bool,
    has_colour: bool,
    /// So many lines are left out first.
    skips: u64,
    /// The difference to UTC in a quarter of an hour, counted since 1970.
    offset_s: (i64, i64),
    held: Vec<u8>,
    is_closed: bool,
}

impl Show {
    /// By the options; with several services, each line has a name.
    pub fn new(args: &Parsed, has_names: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            is_json: args.has(b'j'),
            is_raw: args.has(b'r'),
            is_utc: args.has(b'u'),
            has_names,
            is_terminal,
            has_colour: view::of_stdout().is_coloured,
            skips: 0,
            offset_s: (i64::MIN, 0),
            held: Vec::new(),
            is_closed: false,
        }
    }

    /// Leaves so many lines out before the first.
    pub fn skip(&mut self, lines: u64) {
        self.skips = lines;
    }

    /// Prints all lines that there are of these sources, by their times. With `is_whole`, a
    /// last line without a newline is one. Returns whether anybody still reads.
    pub fn drain(&mut self, sources: &mut [Source], which: &[usize], is_whole: bool) -> bool {
        // The one with the oldest head is the greatest.
        let mut heads = BinaryHeap::new();
        let advance = |source: Option<&mut Source>| source?.advance(!is_whole);
        for number in which.iter().copied() {
            let head = advance(sources.get_mut(number));
            heads.extend(head.map(|at| Reverse((at, number))));
        }
        while let Some(Reverse((_, number))) = heads.pop() {
            if let Some(source) = sources.get(number) {
                self.line(source, number);
            }
            if self.is_closed {
                return false;
            }
            let head = advance(sources.get_mut(number));
            heads.extend(head.map(|at| Reverse((at, number))));
        }
        self.flush();
        !self.is_closed
    }

    fn line(&mut self, source: &Source, number: usize) {
        if self.skips > 0 {
            self.skips -= 1;
            return;
        }
        let line = source.line();
        let (at, rest) = match stamp::decode(line) {
            Some((at, len)) => (Some(at), line.get(len..).unwrap_or_default()),
            None => (None, line),
        };
        if self.is_json {
            let mut json = Object::new();
            json.bytes("name", &source.name);
            if let Some(at) = at {
                json.time("at", at);
            }
            json.bytes("line", rest);
            self.held.extend(json.end().bytes());
        } else {
            let shown = if self.is_raw { line } else { rest };
            if let Some(at) = at.filter(|_| !self.is_raw) {
                self.time(at);
            }
            self.name(&source.name, number);
            if self.is_terminal {
                text::escape(shown, &mut self.held);
            } else {
                self.held.extend_from_slice(shown);
            }
        }
        self.held.push(b'\n');
        if self.held.len() > HELD_BYTES_MAX {
            self.flush();
        }
    }

    fn time(&mut self, at: Tai64n) {
        let quarter = at.unix_seconds().div_euclid(QUARTER_S);
        if self.offset_s.0 != quarter {
            let offset_s = if self.is_utc {
                0
            } else {
                local_time::offset_s(at.unix_seconds())
            };
            self.offset_s = (quarter, offset_s);
        }
        text::time(at, self.offset_s.1, &mut self.held);
    }

    fn name(&mut self, name: &[u8], number: usize) {
        if !self.has_names {
            return;
        }
        let name = name.escape_ascii();
        let name = match COLOURS.get(number % COLOURS.len()) {
            Some(colour) if self.has_colour => format!("\x1b[{colour}m{name}:\x1b[0m "),
            _ => format!("{name}: "),
        };
        self.held.extend(name.bytes());
    }

    fn flush(&mut self) {
        self.is_closed |= !say::print_bytes(&self.held);
        self.held.clear();
    }
}
