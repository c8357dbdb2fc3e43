//! svlogd: writes what a service says into logs that it rotates.
//!
//! svlogd copies each line of standard input into each log directory. There the line is
//! added to `current`. By size, by age, or on ALRM, `current` is rotated: it becomes
//! `@LABEL.u`. Once that is safe on the disk (and processed, if there is a processor), it
//! becomes `@LABEL.s`. The file `config` in the directory holds the settings. On HUP svlogd
//! reopens all directories. On TERM it reads what is in the pipe, and ends. Exit: 0 at the
//! end of input or on TERM; 111 (as busybox: 1) on a wrong call, or if no log directory can
//! be used.
//!
//! `current` has mode 0644 while svlogd writes it, and 0744 after svlogd has closed it. If
//! svlogd finds another mode, a crash left the file, and svlogd renames it to `.u`.
//!
//! The parts; each uses only those after it. `daemon` waits for events and reads input.
//! `log` is one directory. `render` decides about a line and formats it, and `remote` sends
//! it by UDP. `writer` puts the result into `current`. `archive` keeps rotated logs:
//! `syncer` makes them safe, and `processor` gives them to a command. `store` is the files
//! of a directory, and `current` the one that grows. `voice` prints messages.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::stamp::Stamp;
use model::lines::Replacement;
use model::options::{Opt, Order, Parsed, Spec};

use super::{Applet, Call, usage_error};
use crate::personality;

mod archive;
mod current;
mod daemon;
mod log;
mod processor;
mod remote;
mod render;
mod store;
mod syncer;
mod voice;
mod writer;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "svlogd",
    synopsis: "[-tttv] [-r c] [-R xyz] [-l len] [-b buflen] DIR...",
    about: "write standard input into log directories, and rotate them",
    options: &[
        Opt::flag(b't', "stamp lines: -t TAI64N, -tt UTC with _, -ttt with T"),
        Opt::flag(b'v', "report what is done"),
        Opt::valued(b'r', "c", "replace unprintable characters with c"),
        Opt::valued(
            b'R',
            "xyz",
            "replace the characters xyz, too (with _, or c)",
        ),
        Opt::valued(
            b'l',
            "len",
            "compare patterns with the first len bytes (1000)",
        ),
        Opt::valued(b'b', "buflen", "read at least so many bytes at once"),
    ],
    order: Order::Posix,
    notes: "Each DIR must exist. HUP rereads DIR/config and reopens the logs, ALRM rotates them, \
            TERM ends after\nwhat is in the pipe. The settings of DIR/config are in svlogd(8).",
    usage_code: 111,
};

/// Exit code when no log can be written.
fn fatal() -> u8 {
    personality::failure(SPEC.name, 111)
}

const LINE_MAX_DEFAULT: usize = 1000;
const BUFFER_DEFAULT: usize = 1024;
/// The largest value of `-l` (bytes of a line that count) and of `-b` (bytes of one read).
const SIZE_OPTION_MAX: usize = 16 * 1024 * 1024;

/// The command line, understood.
struct Settings {
    stamp: Option<Stamp>,
    verbose: bool,
    replacement: Option<Replacement>,
    line_max: usize,
    buffer: usize,
}

fn run(call: &Call) -> u8 {
    let settings = match settings(call.args) {
        Ok(settings) => settings,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    if call.args.operands.is_empty() {
        return usage_error(&SPEC, "no log directory given");
    }
    let directories = call.args.operands.iter();
    let paths = directories.map(|d| Path::new(OsStr::from_bytes(d)));
    daemon::run(&settings, paths)
}

fn settings(args: &Parsed) -> Result<Settings, String> {
    let line_max = match size(args, b'l')? {
        None | Some(0) => LINE_MAX_DEFAULT,
        Some(len) => len,
    };
    let buffer = size(args, b'b')?;
    if buffer.is_some_and(|b| b <= line_max) {
        return Err(format!(
            "-b must be greater than the line length, {line_max}"
        ));
    }
    Ok(Settings {
        stamp: match args.count(b't') {
            0 => None,
            1 => Some(Stamp::Tai),
            2 => Some(Stamp::Utc(b'_')),
            _ => Some(Stamp::Utc(b'T')),
        },
        verbose: args.has(b'v'),
        replacement: replacement(args)?,
        line_max,
        buffer: buffer.unwrap_or(BUFFER_DEFAULT),
    })
}

fn replacement(args: &Parsed) -> Result<Option<Replacement>, String> {
    let with = match args.value(b'r') {
        None => b'_',
        Some([with]) => *with,
        Some(_) => return Err("-r takes one character".to_owned()),
    };
    let wanted = args.has(b'r') || args.has(b'R');
    let also = args.value(b'R').unwrap_or_default();
    Ok(wanted.then(|| Replacement::new(with, also)))
}

fn size(args: &Parsed, letter: u8) -> Result<Option<usize>, String> {
    let Some(value) = args.value(letter) else {
        return Ok(None);
    };
    let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
    match number.filter(|n| *n <= SIZE_OPTION_MAX) {
        Some(n) => Ok(Some(n)),
        None => Err(format!(
            "-{} takes a number of bytes up to {SIZE_OPTION_MAX}, not {}",
            char::from(letter),
            value.escape_ascii()
        )),
    }
}
