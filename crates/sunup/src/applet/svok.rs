//! svok: tells whether a supervisor runs in a service directory.
//!
//! Exit code 0 if one does, 100 if none does, 111 if that cannot be known
//! (busybox's and daemontools' codes). The fifo `supervise/ok` is opened without
//! waiting, so that one left over from a dead supervisor does not hang us. Who may not open
//! it learns the same from the lock beside it, if that may be seen.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::control;
use model::options::{Order, Spec};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::{Applet, Call, usage_error};
use crate::{personality, say, state_rooms};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "svok",
    synopsis: "SERVICE_DIR",
    about: "tell whether a service directory is supervised",
    options: &[],
    order: Order::Posix,
    notes: "Exit code: 0 if one runs, 100 if none runs, 111 if that cannot be known.",
    usage_code: 100,
};

const RUNS: u8 = 0;
const RUNS_NOT: u8 = 100;
const UNKNOWN: u8 = 111;

fn run(call: &Call) -> u8 {
    let [name] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "say one service directory");
    };
    let found = personality::pick(name.to_vec(), located(name));
    let dir = Path::new(OsStr::from_bytes(&found));
    // Looking up `.` fails where changing to the directory would.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home = match openat(CWD, [&found[..], b"/."].concat(), flags, Mode::empty()) {
        Ok(home) => home,
        Err(e) => return unknown(dir, "change to the directory", e),
    };
    let lives = state_rooms::open_ok(home.as_fd()).map(|found| found.lives(home.as_fd()));
    match lives {
        Ok(Some(true)) => RUNS,
        Ok(Some(false)) | Err(Errno::NXIO | Errno::NOENT) => RUNS_NOT,
        Ok(None) => unknown(dir, "open supervise/ok", Errno::ACCESS),
        Err(e) => unknown(dir, "open supervise/ok", e),
    }
}

/// As busybox looks for a service, which here takes no notice of SVDIR.
fn located(name: &[u8]) -> Vec<u8> {
    if control::is_path(name) {
        name.to_vec()
    } else {
        [b"/var/service/", name].concat()
    }
}

fn unknown(dir: &Path, attempt: &str, e: Errno) -> u8 {
    say::line("svok", format_args!("{}: {attempt}: {e}", dir.display()));
    UNKNOWN
}
