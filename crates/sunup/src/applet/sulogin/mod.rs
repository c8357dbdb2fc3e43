//! sulogin: root's shell on a terminal, for who knows root's password.
//!
//! Who is let in is decided in `model::sulogin`, by /etc/passwd and /etc/shadow; here it is
//! asked, checked and done. The shell takes the place of sulogin: nothing stays in between.
//!
//! Files: /etc/passwd and /etc/shadow. Environment: SUSHELL names another shell; the shell gets
//! HOME, SHELL, USER and LOGNAME, and a PATH if there is none. Signals have their default
//! actions; while the echo is off they wait until it is on again, which is at once. Exit codes:
//! 0: go on without a shell (Control-D, Enter after a refusal, or the time of -t was over);
//! 1: failed, or called wrongly; else that of the shell.
//!
//! The files below: `dialogue` reads lines from the terminal, `password` checks a hash.

mod dialogue;
mod password;

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use model::options::{Opt, Order, Spec};
use model::sulogin::{self, Content, Kind, PASSWD, Root, SHADOW, Unreadable, Verdict, Way, Why};
use rustix::process::{getpid, setsid};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::{file, line, path_search, signal, tty};
use dialogue::Typed;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "sulogin",
    synopsis: "[-e] [-p] [-t SEC] [TTY]",
    about: "start root's shell on a terminal for whoever knows root's password",
    options: &[
        Opt::flag(
            b'e',
            "start a shell also if root's password is locked or unknown",
        ),
        Opt::flag(b'p', "start a login shell"),
        Opt::valued(b't', "SEC", "go on if nothing was typed for SEC seconds"),
    ],
    order: Order::Permute,
    notes: "TTY is a path or a name under /dev; without it, standard input is the terminal.",
    usage_code: 1,
};

/// Files that are longer are cut.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// What is tried after the shells that SUSHELL and /etc/passwd name.
const SHELLS: [&str; 2] = ["/bin/sh", "/bin/busybox"];

/// Of a machine whose init set none.
const PATH: &[u8] = b"/sbin:/usr/sbin:/bin:/usr/bin";

fn run(call: &Call) -> u8 {
    let seconds = call.args.value(b't').unwrap_or(b"0");
    let Some(seconds) = sulogin::seconds(seconds) else {
        let what = format!("-t {}: not a number of seconds", seconds.escape_ascii());
        return usage_error(&SPEC, &what);
    };
    let tty = match call.args.operands.as_slice() {
        [] => None,
        [tty] => Some(*tty),
        [_, more, ..] => {
            let what = format!("one terminal, please: {}", more.escape_ascii());
            return usage_error(&SPEC, &what);
        }
    };
    signal::reset_all();
    signal::ignore_of_writes();
    if let Some(tty) = tty
        && let Err(e) = use_terminal(tty)
    {
        say::line("sulogin", format_args!("{}: open: {e}", tty.escape_ascii()));
        return 1;
    }
    lead_the_terminal();
    let (passwd, shadow) = (Text::of(PASSWD), Text::of(SHADOW));
    let root = sulogin::root(passwd.content(), shadow.content());
    if is_let_in(&root, call.args.has(b'e'), seconds) {
        start_shell(&root, call.args.has(b'p'));
        say::line("sulogin", "no shell can be started");
        choose_a_way(seconds);
    }
    0
}

/// A file, or why it cannot be read.
enum Text {
    Read(Vec<u8>),
    Unreadable { reason: String, passing: bool },
}

impl Text {
    fn of(path: &str) -> Self {
        match file::read_lines(Path::new(path), FILE_BYTES_MAX) {
            Ok((text, _)) => Self::Read(text),
            Err(e) => Self::Unreadable {
                passing: file::is_passing(&e),
                reason: say::without_numbers(&e.to_string()),
            },
        }
    }

    fn content(&self) -> Content<'_> {
        match self {
            Self::Read(text) => Ok(text),
            Self::Unreadable { reason, passing } => Err(Unreadable {
                reason,
                passing: *passing,
            }),
        }
    }
}

fn use_terminal(name: &[u8]) -> std::io::Result<()> {
    let path = Path::new("/dev").join(OsStr::from_bytes(name));
    tty::put_on_stdio(&tty::open_terminal(&path)?)
}

/// A session of its own, so that keys of the terminal reach the shell and its jobs. Who is
/// started from a shell is in the foreground already.
fn lead_the_terminal() {
    if setsid().is_ok() || line::leads_session() {
        // Without a terminal, or beside a session that has it, it works without job control.
        drop(line::take(stdin()));
        let _ = tcsetpgrp(stdin(), getpid());
    }
    // A predecessor that was killed may have left it without echo.
    tty::make_sane(stdin());
}

fn is_let_in(root: &Root, anyway: bool, seconds: u64) -> bool {
    let why = match root.verdict {
        Verdict::Open(why) => {
            say::line("sulogin", format_args!("{why}: starting a shell"));
            return true;
        }
        Verdict::Ask(kind, hash) => match ask(kind, hash, seconds) {
            Ok(is_right) => return is_right,
            Err(why) => why,
        },
        Verdict::Closed(why) => why,
    };
    if anyway {
        say::line(
            "sulogin",
            format_args!("{why}: starting a shell, as -e says"),
        );
        return true;
    }
    say::line("sulogin", format_args!("{why}: no shell"));
    choose_a_way(seconds);
    false
}

/// Asks until the password is right (`true`), or nobody wants a shell.
fn ask(kind: Kind, hash: &str, seconds: u64) -> Result<bool, Why<'static>> {
    loop {
        say::print("Root's password for a shell, or Control-D to go on without: ");
        let typed = match dialogue::hidden_line(seconds) {
            Typed::Line(typed) => typed,
            Typed::Interrupted => continue,
            Typed::Nothing => {
                say::print("\n");
                return Ok(false);
            }
        };
        match password::is_right(kind, hash, &typed) {
            Some(true) => return Ok(true),
            Some(false) => say::print("Wrong password.\n"),
            None => return Err(Why::Unknown),
        }
        dialogue::pause();
    }
}

/// For who gets no shell: goes on, or ends the machine.
fn choose_a_way(seconds: u64) {
    loop {
        say::print("Press Enter to go on without a shell, or type reboot or poweroff: ");
        let Typed::Line(typed) = dialogue::line(seconds) else {
            return say::print("\n");
        };
        match sulogin::way(&typed) {
            Way::On => return,
            Way::Down(program) => return go_down(program),
            Way::Unknown => {}
        }
    }
}

/// The system's own program, which knows its init; else by the signal that ours and busybox's
/// understand.
fn go_down(program: &'static str) {
    let number = match program {
        "reboot" => signal::SIGTERM,
        "halt" => signal::SIGUSR1,
        _ => signal::SIGUSR2,
    };
    let name = CString::new(program).unwrap_or_default();
    let e = path_search::exec(
        &name,
        std::slice::from_ref(&name),
        &path_search::environment(&[]),
    );
    say::line("sulogin", format_args!("{program}: start: {e}"));
    if let Err(e) = signal::kill(1, number) {
        say::line("sulogin", format_args!("signal PID 1: {e}"));
    }
}

/// Becomes the shell; returns if there is none.
fn start_shell(root: &Root, login: bool) {
    let home = Path::new(OsStr::from_bytes(root.home));
    if std::env::set_current_dir(home).is_err() {
        drop(std::env::set_current_dir("/"));
    }
    line::close_others_on_exec();
    signal::reset(signal::SIGXFSZ);
    let told = std::env::var_os("SUSHELL").map(OsString::into_vec);
    let known = SHELLS.map(|path| path.as_bytes().to_vec());
    let all = told.into_iter().chain([root.shell.to_vec()]).chain(known);
    for shell in all.filter(|shell| !shell.is_empty()) {
        let e = become_shell(&shell, root, login);
        say::line(
            "sulogin",
            format_args!("{}: start: {e}", shell.escape_ascii()),
        );
    }
    signal::ignore_of_writes();
}

fn become_shell(shell: &[u8], root: &Root, login: bool) -> std::io::Error {
    // busybox is a shell by the name of one.
    let name = match shell.rsplit(|b| *b == b'/').next() {
        None | Some(b"busybox") => b"sh",
        Some(name) => name,
    };
    let dash: &[u8] = if login { b"-" } else { b"" };
    let set = |name: &[u8], value: &[u8]| (name.to_vec(), Some(value.to_vec()));
    let mut changes = vec![
        set(b"HOME", root.home),
        set(b"SHELL", shell),
        set(b"USER", b"root"),
        set(b"LOGNAME", b"root"),
        (b"SUSHELL".to_vec(), None),
    ];
    if std::env::var_os("PATH").is_none() {
        changes.push(set(b"PATH", PATH));
    }
    match (CString::new(shell), CString::new([dash, name].concat())) {
        (Ok(path), Ok(argv0)) => {
            path_search::exec(&path, &[argv0], &path_search::environment(&changes))
        }
        _ => std::io::Error::other("a NUL byte"),
    }
}
