//! Runs programs of others, which are named on the console while they run.

use std::ffi::CStr;
use std::time::Duration;

use super::teller::note;
use crate::program;
use crate::sys::bounded;

/// Runs a program and waits for it; its exit code. Without a limit, it is named at once and
/// again when it takes long; with one, it is killed in the end.
///
/// # Errors
/// It was not started, was killed, or ran into the limit: one line that says so.
pub fn run(path: &CStr, arguments: &[&[u8]], limit: Option<Duration>) -> Result<i32, String> {
    let name = path.to_string_lossy();
    let shown = arguments.join(&b' ');
    note(format_args!("{name} {}", shown.escape_ascii()));
    let pid = program::start(path, arguments).map_err(|e| format!("{name}: start: {e}"))?;
    let ended = bounded::wait(pid, limit, &mut |_| {
        note(format_args!("{name}: still running; the boot waits for it"));
    });
    let status = match ended {
        Ok(Some(status)) => status,
        Ok(None) => return Err(format!("{name}: did not end in time; killed")),
        Err(e) => return Err(format!("{name}: wait: {e}")),
    };
    status
        .exit_status()
        .ok_or_else(|| format!("{name}: killed by a signal"))
}
