//! Process 1 goes on in a new program: as PID 1 it executes its file anew when a
//! signal asks for it, and as `init u` it tries that file and sends the signal.
//!
//! The running processes stay its children, and PID 1 hands over what it knows of them as
//! after a failure (`super::lifeline`). Signals stay blocked meanwhile, so none is lost.
//! This works only while the machine is up: the rest of a boot or a shutdown cannot be
//! handed over.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{Access, access};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::{console, lifeline, watchdog};
use crate::sys::signal::{self, Signal};
use crate::sys::{arguments, file, spawn};

/// The signal: glibc's `SIGRTMIN+25`, which makes systemd execute itself again, too.
pub const UPGRADE: Signal = 59;

/// A version is not longer.
const VERSION_BYTES: usize = 256;

/// The suffix that /proc shows for a file that was replaced.
const REPLACED: &[u8] = b" (deleted)";

/// Executes the program again; if that fails, reports why and returns.
pub fn go_on_in_a_new_program(is_up: bool) {
    if !is_up {
        return console::say(
            "no new program is executed before the boot is over or on the way down",
        );
    }
    let argv = arguments::words();
    let program = program_of("self").and_then(|path| Ok(CString::new(path.into_vec())?));
    let failed = match program {
        Ok(program) => {
            let shown = program.as_bytes().escape_ascii().to_string();
            console::say(&format!("goes on as {shown}"));
            console::drain();
            spawn::exec(&program, &argv, Some(&lifeline::environment(&[])))
        }
        Err(e) => e,
    };
    watchdog::keep();
    console::say(&format!(
        "execute the program anew: {failed}; it goes on as it was"
    ));
}

/// `init u`: asks PID 1 to do so, if its file works.
///
/// # Errors
/// What was tried, and why it failed, in words.
pub fn ask() -> Result<(), String> {
    let program =
        program_of("1").map_err(|e| format!("find the program of PID 1: {e}; only root may"))?;
    let shown = program.as_bytes().escape_ascii();
    let said = version(&program).map_err(|e| format!("{shown}: start: {e}"))?;
    let is_ours = said.starts_with(b"init (sunup) ");
    if !is_ours {
        return Err(format!(
            "{shown}: `--version` is not answered as by sunup; PID 1 goes on as it was"
        ));
    }
    signal::kill(1, UPGRADE).map_err(|e| format!("signal PID 1: {e}; only root may"))
}

/// What a program prints as its version when it is called by the name that PID 1 would have;
/// nothing if it fails.
fn version(program: &OsStr) -> io::Result<Vec<u8>> {
    access(program, Access::EXEC_OK)?;
    let program = CString::new(program.as_bytes())?;
    let argv = [c"init", c"--version"].map(CString::from);
    let null = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let (answer, to_answer) = io::pipe()?;
    let child = spawn::fork(|| {
        let streams = [null.as_fd(), to_answer.as_fd(), null.as_fd()];
        let mut placed = (0..).zip(streams).map(|(to, from)| spawn::place(from, to));
        if placed.all(|done| done.is_ok()) {
            let _reason = spawn::exec(&program, &argv, None);
        }
        127
    })?;
    drop(to_answer);
    let said = file::head(answer, VERSION_BYTES)?;
    let ended = waitpid(Pid::from_raw(child), WaitOptions::empty())?;
    let is_well = ended.is_some_and(|(_, status)| status.exit_status() == Some(0));
    Ok(if is_well { said } else { Vec::new() })
}

/// Whether the file of this program was replaced or removed.
pub fn was_replaced() -> bool {
    let path = fs::read_link("/proc/self/exe");
    path.is_ok_and(|path| path.as_os_str().as_bytes().ends_with(REPLACED))
}

/// The path that a process was executed by, whatever file is there now.
fn program_of(pid: &str) -> io::Result<OsString> {
    let path = fs::read_link(format!("/proc/{pid}/exe"))?.into_os_string();
    let bytes = path.as_bytes();
    let path = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    Ok(OsString::from_vec(path.to_vec()))
}
