//! What a child of init does before it becomes its command: a session and a
//! terminal of its own, and for askfirst the wait for Enter.

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::inittab::{self, Action, Entry};

use crate::machine::{console, rescue};
use crate::sys::{spawn, tty};

/// Exit code when there is no terminal, or nobody at it.
const NO_TERMINAL: u8 = 1;
/// Exit code when the command cannot be run.
const NO_COMMAND: u8 = 255;

/// Runs in the child; returns only when the command cannot be run.
pub fn become_command(entry: &Entry, quiet: bool) -> u8 {
    let _ = rustix::process::setsid();
    let exec = inittab::exec(&entry.command);
    if let Err(e) = use_terminal(entry, exec.login) {
        if !quiet {
            console::say(&format!("can't open /dev/{}: {e}", text(&entry.tty)));
        }
        return NO_TERMINAL;
    }
    if entry.action == Action::Askfirst && !somebody_presses_enter() {
        return NO_TERMINAL;
    }
    let trouble = become_program(&exec);
    if !quiet {
        console::say(&format!("can't run '{}': {trouble}", text(&exec.program)));
    }
    NO_COMMAND
}

/// Becomes the command in place of PID 1; returns only on failure.
pub fn replace_pid_1(entry: &Entry) -> std::io::Error {
    let exec = inittab::exec(&entry.command);
    if let Err(e) = use_terminal(entry, exec.login) {
        console::say(&format!("can't open /dev/{}: {e}", text(&entry.tty)));
    }
    become_program(&exec)
}

fn become_program(exec: &inittab::Exec) -> std::io::Error {
    let c_string = |word: &Vec<u8>| CString::new(word.clone()).unwrap_or_default();
    let argv: Vec<CString> = exec.argv.iter().map(c_string).collect();
    if exec.program == rescue::SULOGIN {
        return rescue::become_sulogin(&argv);
    }
    spawn::exec_in_path(&c_string(&exec.program), &argv)
}

/// Opens the terminal that the entry names; without one, the console is on 0-2
/// already, and only a login shell asks for it as its controlling terminal.
fn use_terminal(entry: &Entry, login: bool) -> std::io::Result<()> {
    if entry.tty.is_empty() {
        console::take_up_again();
    } else {
        let path = Path::new("/dev").join(OsStr::from_bytes(&entry.tty));
        tty::put_on_stdio(&tty::open_terminal(&path)?)?;
    }
    if login || !entry.tty.is_empty() {
        // Another session may have it, or it is no terminal: then it works without job control.
        drop(tty::take(std::io::stdin()));
    }
    if entry.action.respawns() {
        tty::make_sane(std::io::stdin().as_fd());
    }
    Ok(())
}

fn somebody_presses_enter() -> bool {
    let prompt = b"\nPlease press Enter to activate this console. ";
    let mut out = std::io::stdout();
    drop(out.write_all(prompt).and_then(|()| out.flush()));
    let mut byte = [0_u8];
    // One byte at a time: what follows the newline is for the command.
    while rustix::io::read(std::io::stdin(), &mut byte) == Ok(1) {
        if byte == *b"\n" {
            return true;
        }
    }
    false
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
