//! `sv edit`: opens a file of a service in the user's editor, and looks for mistakes then.
//!
//! The file is opened where it really is: an instance's `run` is that of its template. Only
//! regular files are edited, and new ones made.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use model::control::is_path;
use model::options::{Order, Spec};
use model::snapshot::State;
use rustix::fs::OFlags;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::super::usage_error;
use super::entry::{said, shown, shown_name, within};
use super::lint::{Linter, find};
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::sys::file;
use crate::{program, say};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "edit",
    spec: &SPEC,
    operands: Operands::Database,
    run,
};

const SPEC: Spec = Spec {
    name: "sv edit",
    synopsis: "SERVICE [FILE]",
    about: "open a file of a service in an editor, and look for mistakes",
    options: &[],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

/// The shell splits what the variables hold into words, as for all who call an editor.
const EDITOR: &[u8] = b"exec ${VISUAL:-${EDITOR:-vi}} \"$1\"";
/// Files that are longer are not compared to their end.
const COMPARED_BYTES: usize = 1024 * 1024;

fn run(call: &Call) -> u8 {
    let (operand, file) = match call.args.operands.as_slice() {
        [operand] => (*operand, None),
        [operand, file] => (*operand, Some(*file)),
        _ => return usage_error(&SPEC, "say which service, and one file at most"),
    };
    match edit(operand, file) {
        Ok(is_well) => u8::from(!is_well),
        Err(why) => {
            say::line("sv", why);
            1
        }
    }
}

/// Whether there is no mistake in the service.
fn edit(operand: &[u8], file: Option<&[u8]>) -> Result<bool, String> {
    let (name, dir) = find(operand)?;
    let file = match file {
        Some(file) => file,
        None if !dir.join("run").exists() && dir.join("setup").exists() => b"setup",
        None => b"run",
    };
    let path = real(&dir, file).map_err(|e| said(&name, &shown_name(file), &e))?;
    let before = content(&path);
    call_editor(&path).map_err(|e| said(&name, "call the editor", &e))?;
    let is_well = !Linter::new().lint(&name, &dir);
    let is_up = || {
        matches!(
            look(operand, Depth::Row).state(),
            State::Run | State::Starting
        )
    };
    if content(&path) != before && is_up() {
        let log = if file.starts_with(b"log/") {
            "/log"
        } else {
            ""
        };
        let name = if is_path(operand) {
            shown(&dir)
        } else {
            shown_name(&name)
        };
        let hint = [&name, log, " runs as before: `sv restart ", &name, log, "`"].concat();
        say::line("sv", hint);
    }
    Ok(is_well)
}

/// Where the file really is. It is said if that is elsewhere.
fn real(dir: &Path, file: &[u8]) -> io::Result<PathBuf> {
    let path = within(dir, file);
    let mut parts = Path::new(std::ffi::OsStr::from_bytes(file)).components();
    if file.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::other("not a file in the service directory"));
    }
    let place = fs::canonicalize(path.parent().unwrap_or(dir))?;
    let own = place.join(path.file_name().unwrap_or_default());
    let real = match fs::canonicalize(&path) {
        // A new one.
        Err(e) if e.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(own),
        found => found?,
    };
    if !fs::metadata(&real)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if real != own {
        say::line("sv", [&shown(&path), " is ", &shown(&real)].concat());
    }
    Ok(real)
}

/// `None`: there is nothing.
fn content(path: &Path) -> Option<Vec<u8>> {
    let file = file::open(path, OFlags::RDONLY).ok()?;
    file::head(file, COMPARED_BYTES).ok()
}

fn call_editor(path: &Path) -> io::Result<()> {
    let words: [&[u8]; 4] = [b"-c", EDITOR, b"sh", path.as_os_str().as_bytes()];
    let child = Pid::from_raw(program::start(c"/bin/sh", &words)?);
    let ended = loop {
        match waitpid(child, WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            ended => break ended?,
        }
    };
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::other(format!("exit {code}"))),
        None => Err(io::Error::other("killed")),
    }
}
