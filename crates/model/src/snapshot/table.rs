//! Snapshots as a table for people: `sv list` and `sv top`.
//!
//! Each service is a row, first as its cells with tabs between them, so that several
//! processes can look at a part of the services each. All is printable ASCII: a name with
//! other bytes is escaped, so that no terminal obeys it, and each byte is a column wide.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::note::note;
use super::{Snapshot, State};
use crate::moment::Moment;

/// The columns of the table.
const COLUMNS: usize = 7;
const SERVICE: usize = 0;
const STATE: usize = 1;
const PID: usize = 2;
const AGE: usize = 3;
const CPU: usize = 4;
const MEMORY: usize = 5;
const NOTE: usize = 6;

const TITLES: [&str; COLUMNS] = ["SERVICE", "STATE", "PID", "AGE", "CPU%", "MEMORY", "NOTE"];

/// Numbers stand at the right.
const IS_NUMBER: [bool; COLUMNS] = [false, false, true, true, true, true, false];

/// Blanks between columns.
const GAP: usize = 2;

/// What gives way where the terminal is too narrow, one after the other: a column, and how
/// wide it stays; 0: it goes as a whole.
const GIVE_WAY: [(usize, usize); 10] = [
    (NOTE, 24),
    (SERVICE, 24),
    (PID, 0),
    (NOTE, 14),
    (SERVICE, 14),
    (NOTE, 0),
    (MEMORY, 0),
    (AGE, 0),
    (SERVICE, 1),
    (CPU, 0),
];

/// How a table is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// The columns of the terminal; `None`: there is no end.
    pub width: Option<usize>,
    /// With colours.
    pub is_coloured: bool,
}

/// The row of a service, with its end of line. `cpu` is in tenths of a percent.
pub fn row(seen: &Snapshot, cpu: Option<u64>, now: Moment) -> String {
    let age = seen.since().map(|since| {
        let seconds = now.wall.unix_seconds().saturating_sub(since.unix_seconds());
        short_age(seconds.max(0) as u64)
    });
    let usage = seen.usage.filter(|_| seen.pid().is_some());
    let memory = usage.map(|usage| short_bytes(usage.memory_bytes));
    let cells: [String; COLUMNS] = [
        seen.name.escape_ascii().to_string(),
        seen.state().word().into(),
        seen.pid().map(|pid| pid.to_string()).unwrap_or_default(),
        age.unwrap_or_default(),
        cpu.map(|cpu| format!("{}.{}", cpu / 10, cpu % 10))
            .unwrap_or_default(),
        memory.unwrap_or_default(),
        note(seen, now),
    ];
    cells.join("\t") + "\n"
}

/// The table of rows.
pub fn table(rows: &str, view: View) -> String {
    let rows: Vec<[&str; COLUMNS]> = rows.lines().map(cells).collect();
    let widths = widths(&rows, view.width);
    let mut text = String::new();
    line(
        &TITLES,
        &widths,
        |_| view.is_coloured.then_some("1"),
        &mut text,
    );
    for row in &rows {
        line(
            row,
            &widths,
            |column| colour(row, column).filter(|_| view.is_coloured),
            &mut text,
        );
    }
    text
}

fn cells(row: &str) -> [&str; COLUMNS] {
    let mut cells = row.split('\t');
    core::array::from_fn(|_| cells.next().unwrap_or_default())
}

fn widths(rows: &[[&str; COLUMNS]], width: Option<usize>) -> [usize; COLUMNS] {
    let mut widths: [usize; COLUMNS] = core::array::from_fn(|column| {
        let longest = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        // Only `sv top` has it.
        let is_left_out = column == CPU && longest == 0;
        if is_left_out {
            0
        } else {
            longest.max(TITLES[column].len())
        }
    });
    let Some(width) = width else { return widths };
    for (column, least) in GIVE_WAY {
        let whole: usize = widths.iter().filter(|w| **w > 0).map(|w| w + GAP).sum();
        let excess = (whole - GAP.min(whole)).saturating_sub(width);
        let is = &mut widths[column];
        if excess == 0 {
            break;
        }
        *is = match least {
            0 => 0,
            least => (*is).min(least.max(is.saturating_sub(excess))),
        };
    }
    widths
}

fn line<'c>(
    cells: &[&str; COLUMNS],
    widths: &[usize; COLUMNS],
    colour: impl Fn(usize) -> Option<&'c str>,
    text: &mut String,
) {
    let mut blanks = 0;
    for (column, cell) in cells
        .iter()
        .enumerate()
        .filter(|(column, _)| widths[*column] > 0)
    {
        let shown = fit(cell, widths[column]);
        let room = widths[column] - shown.len();
        if IS_NUMBER[column] {
            blanks += room;
        }
        if !shown.is_empty() {
            text.extend(core::iter::repeat_n(' ', blanks));
            blanks = 0;
            match colour(column) {
                Some(colour) => text.extend(["\x1b[", colour, "m", &shown, "\x1b[0m"]),
                None => text.push_str(&shown),
            }
        }
        blanks += GAP + if IS_NUMBER[column] { 0 } else { room };
    }
    text.push('\n');
}

/// The beginning, if it is too long.
fn fit(cell: &str, width: usize) -> String {
    match cell.get(..width.saturating_sub(2)) {
        Some(start) if cell.len() > width => format!("{start}..")[..width].into(),
        _ => cell.into(),
    }
}

/// The colour of a cell (ECMA-48, SGR): green is well, yellow is on its way or young, and red
/// asks for a look.
fn colour(row: &[&str; COLUMNS], column: usize) -> Option<&'static str> {
    const GREEN: &str = "32";
    const YELLOW: &str = "33";
    const RED: &str = "31";
    const FAINT: &str = "2";
    match (column, State::of_word(row[STATE])?) {
        // In its first minute.
        (AGE, State::Run) => row[AGE].ends_with('s').then_some(YELLOW),
        (STATE, State::Run | State::Done) => Some(GREEN),
        (STATE, State::Crashing | State::Failed | State::Gone | State::Unknown) => Some(RED),
        (STATE, State::Down) => None,
        (_, State::Disabled) => Some(FAINT),
        (STATE, _) => Some(YELLOW),
        _ => None,
    }
}

/// `59s`, `59m`, `47h`, `400d`.
pub(super) fn short_age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `812K`, `9.8M`, `12M`, `1.2G`.
fn short_bytes(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = "KMGT".chars();
    let mut unit = units.next();
    while tenths >= 10_240
        && let Some(next) = units.next()
    {
        tenths /= 1024;
        unit = Some(next);
    }
    let unit = unit.unwrap_or_default();
    if tenths < 100 && unit != 'K' {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths / 10)
    }
}
