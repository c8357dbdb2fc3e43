//! runsvchdir: changes the services directory that runsvdir follows.
//!
//! In /etc/runit/runsvdir, `current` becomes a link to another directory and
//! `previous` one to where `current` pointed. Each link is made beside its place
//! and moved there, so that at any moment both lead somewhere.
//! Exit codes: 0; 111: failed; 1: called wrongly.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::options::{Order, Spec};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, open, readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::{Applet, Call, usage_error};
use crate::say;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runsvchdir",
    synopsis: "DIR",
    about: "make runsvdir supervise another directory of services",
    options: &[],
    order: Order::Posix,
    notes: "DIR is looked up in /etc/runit/runsvdir, unless it starts with a slash.",
    usage_code: 1,
};

const BASE: &str = "/etc/runit/runsvdir";
const FAILED: u8 = 111;

/// What was attempted, and why it failed.
type Trouble = (&'static str, Errno);

fn run(call: &Call) -> u8 {
    let [name] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "say one directory");
    };
    let dir = Path::new(OsStr::from_bytes(name));
    let shown = dir.display();
    if name.starts_with(b".") {
        say::line(
            SPEC.name,
            format_args!("{shown}: must not start with a dot"),
        );
        return FAILED;
    }
    match change(dir) {
        Ok(true) => say::print(&format!("runsvchdir: {shown}: now current.\n")),
        Ok(false) => say::print(&format!("runsvchdir: {shown}: current.\n")),
        Err((attempt, e)) => {
            say::line(SPEC.name, format_args!("{shown}: {attempt}: {e}"));
            return FAILED;
        }
    }
    0
}

/// Whether anything changed.
fn change(dir: &Path) -> Result<bool, Trouble> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base =
        open(BASE, flags, Mode::empty()).map_err(|e| ("change to /etc/runit/runsvdir", e))?;
    let wanted = statat(&base, dir, AtFlags::empty()).map_err(|e| ("look at it", e))?;
    if FileType::from_raw_mode(wanted.st_mode) != FileType::Directory {
        return Err(("look at it", Errno::NOTDIR));
    }
    // A current that leads nowhere is another directory than the wanted one.
    let same = statat(&base, "current", AtFlags::empty())
        .is_ok_and(|now| (now.st_dev, now.st_ino) == (wanted.st_dev, wanted.st_ino));
    if same {
        return Ok(false);
    }
    let before = match readlinkat(&base, "current", Vec::new()) {
        Ok(target) => Some(target),
        Err(Errno::NOENT) => None,
        Err(Errno::INVAL) => return Err(("read current, which should be a link", Errno::INVAL)),
        Err(e) => return Err(("read the link current", e)),
    };
    make_link(&base, dir, "current.new").map_err(|e| ("make the link current.new", e))?;
    if let Some(before) = before {
        let before = Path::new(OsStr::from_bytes(before.to_bytes()));
        make_link(&base, before, "previous.new").map_err(|e| ("make the link previous.new", e))?;
        renameat(&base, "previous.new", &base, "previous")
            .map_err(|e| ("move previous.new to previous", e))?;
    }
    renameat(&base, "current.new", &base, "current")
        .map_err(|e| ("move current.new to current", e))?;
    Ok(true)
}

/// Makes a link in place of one that an interrupted change may have left.
fn make_link(base: &OwnedFd, target: &Path, name: &str) -> Result<(), Errno> {
    match unlinkat(base, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => symlinkat(target, base, name),
        Err(e) => Err(e),
    }
}
