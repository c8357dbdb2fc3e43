//! The way to a person where PID 1 cannot go on by itself: `sulogin` on the console.
//!
//! It is this program under that name, so that it needs no file of its own: by /proc, or by the
//! path that PID 1 was executed by. If neither can be executed, there is a shell without a
//! question: a machine in that state has nothing else left to offer.

use std::ffi::{CStr, CString};
use std::io;

use super::console;
use crate::sys::{env, spawn, tty};

/// The word of an inittab that means this, and what the defaults say.
pub const SULOGIN: &[u8] = b"sulogin";

/// A child of PID 1 becomes sulogin with these arguments; returns only on failure.
pub fn become_sulogin(argv: &[CString]) -> io::Error {
    let own = CString::new(env::exec_path()).unwrap_or_default();
    let mut error = io::Error::other("no path of its own");
    for path in [c"/proc/self/exe", own.as_c_str()] {
        error = spawn::exec(path, argv, None);
    }
    console::say(&format!("can't run sulogin: {error}; starting a shell"));
    spawn::exec_in_path(c"/bin/sh", &[c"-sh".to_owned()])
}

/// As [`become_sulogin`], as a login shell in a session of its own on the console; the result
/// is an exit code.
pub fn on_the_console() -> u8 {
    let _ = rustix::process::setsid();
    drop(tty::take(io::stdin()));
    let login: [&CStr; 2] = [c"sulogin", c"-p"];
    let e = become_sulogin(&login.map(CStr::to_owned));
    console::say(&format!("can't run /bin/sh: {e}"));
    127
}
