//! PID 1 goes on from a copy of its program in memory, when the program's file was replaced.
//!
//! A package upgrade renames a new file over that of the running program. The old one is gone
//! from its directory then, but PID 1 still executes it, and a file system with such a file
//! cannot be made read-only (`EBUSY`): its journal would be replayed at the next boot. `init u`
//! frees the file. If nobody has called it, PID 1 does this at the end: it copies its program
//! into a memfd and executes that.
//!
//! Not the new file, although it would free the old one, too: nobody has tried it, and a PID 1
//! that fails is a kernel panic. The copy is the program that has led the machine so far.
//!
//! Nothing but the end is left at this point, so all that is handed over is which end it is,
//! in a variable. It stays in the environment, and says that there is a copy already: there is
//! never a second one. If there can be no copy, PID 1 says so and ends the machine as it is.
//! Reading the file may hang with its disk, so a child does it, with a limit.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use model::pid1::End;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::{console, lifeline, upgrade, watchdog};
use crate::sys::{bounded, spawn};

/// Which end is left to a successor.
const END: &str = "SUNUP_INIT_END";
/// How long it may take to read the program.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// The end for which a predecessor has executed this copy, if it is one.
pub fn end_left() -> Option<End> {
    End::of_name(&std::env::var(END).ok()?)
}

/// Whether the program was replaced, and this is no copy yet.
pub fn is_due() -> bool {
    end_left().is_none() && upgrade::was_replaced()
}

/// Executes a copy, which does the rest. Returns if that fails.
pub fn go_on(end: End) {
    console::say("its program was replaced: a copy in memory does the rest");
    let failed = copy().map_or_else(|e| e, |copy| execute(&copy, end));
    watchdog::keep();
    console::say(&format!(
        "execute a copy: {failed}; its file system cannot be made read-only"
    ));
}

/// The program in memory; nobody can change it.
fn copy() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag that some later ones ask for.
    let made = memfd_create(c"sunup", flags | MemfdFlags::EXEC);
    let made = made.or_else(|e| match e {
        Errno::INVAL => memfd_create(c"sunup", flags),
        other => Err(other),
    });
    let mut copy = File::from(made?);
    bounded::call(READ_LIMIT, &mut |_| {}, &mut || {
        io::copy(&mut File::open("/proc/self/exe")?, &mut copy).map(drop)
    })??;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&copy, all)?;
    Ok(copy)
}

/// Returns only on failure. Called by the name of its own way to live, it looks at no link of
/// the disk to know what it is.
fn execute(copy: &File, end: End) -> io::Error {
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    let words = CString::new(console::name()).map(|name| vec![name]);
    let (Ok(path), Ok(words)) = (path, words) else {
        return Errno::INVAL.into();
    };
    console::drain();
    let environment = lifeline::environment(&[(END, end.name())]);
    spawn::exec(&path, &words, Some(&environment))
}
