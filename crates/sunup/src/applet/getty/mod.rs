//! getty: opens a terminal, asks for a login name, and becomes the login program.
//!
//! The order is busybox's. getty starts a session of its own. It opens the line as its
//! controlling terminal and as standard input and output. It writes a record to utmp, sets
//! raw mode, shows issue and prompt, and reads the name. Then it sets cooked mode, and does
//! `exec LOGIN -- NAME`. With -n it does not ask, and LOGIN gets only `--`.
//!
//! Signals have their default actions: a hang-up or SIGTERM ends getty at any time. Exit
//! code 0: the user hung up, typed `^C` or `^D`, or typed nothing in the time of -t. Exit
//! code 1: something failed. getty reports that on the terminal, if that is open, and on
//! the standard error that it was started with. Then it waits before it exits, so that its
//! supervisor does not restart it all the time.

mod dialogue;
mod terminal;

use std::ffi::CString;
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};

use model::getty::{self, Operands};
use model::options::{Opt, Order, Parsed, Spec};
use rustix::event::Timespec;

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::{line, path_search, signal, utmp};
use terminal::Terminal;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "getty",
    synopsis: "[OPTION...] BAUD[,BAUD...] TTY [TERM]",
    about: "ask for a login name on a terminal, then run login",
    options: &[
        Opt::flag(b'h', "use RTS/CTS flow control"),
        Opt::flag(b'L', "ignore carrier detect (a local line)"),
        Opt::flag(b'm', "take the speed from the modem's CONNECT message"),
        Opt::flag(b'n', "ask for no name; LOGIN does"),
        Opt::flag(b'w', "wait for CR or LF before anything is shown"),
        Opt::flag(b'i', "show no issue file"),
        Opt::valued(b'f', "FILE", "show FILE instead of /etc/issue"),
        Opt::valued(b'l', "LOGIN", "run LOGIN instead of /bin/login"),
        Opt::valued(
            b't',
            "SEC",
            "give up if no name is typed within SEC seconds",
        ),
        Opt::valued(b'I', "STR", "send STR to the line first (escapes: \\015)"),
        Opt::valued(b'H', "HOST", "put HOST into the utmp record"),
    ],
    order: Order::Permute,
    notes: "TTY is a path, a name under /dev, or - for standard input. A speed of 0 is kept as it is.",
    usage_code: 1,
};

/// How long getty waits after a failure, before it exits.
const FAILURE_WAIT_S: i64 = 10;

/// A failure in words: subject, attempt, reason.
type Failure = String;

fn failure(subject: &[u8], attempt: &str, reason: impl Display) -> Failure {
    format!("{}: {attempt}: {reason}", subject.escape_ascii())
}

fn run(call: &Call) -> u8 {
    let plan = match Plan::new(call.args) {
        Ok(plan) => plan,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    signal::reset_all();
    signal::ignore_of_writes();
    if let Some(trouble) = dialogue::issue_trouble(&plan) {
        say::line("getty", trouble);
    }
    let former_stderr = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).ok();
    match serve(&plan) {
        Ok(()) => 0,
        Err(failure) => {
            complain(&failure, former_stderr.as_ref());
            wait();
            1
        }
    }
}

/// The command line, checked.
struct Plan<'a> {
    args: &'a Parsed<'a>,
    operands: Operands<'a>,
    login: CString,
    timeout_s: u32,
}

impl<'a> Plan<'a> {
    fn new(args: &'a Parsed<'a>) -> Result<Self, String> {
        let timeout = args.value(b't').unwrap_or(b"0");
        let login = args.value(b'l').unwrap_or(b"/bin/login");
        Ok(Self {
            args,
            operands: getty::operands(&args.operands)?,
            // Arguments hold no NUL, so this does not fail.
            login: CString::new(login).map_err(|e| e.to_string())?,
            timeout_s: getty::number(timeout)
                .ok_or_else(|| format!("-t {}: not a number of seconds", timeout.escape_ascii()))?,
        })
    }
}

fn serve(plan: &Plan) -> Result<(), Failure> {
    terminal::lead_session()?;
    let mut terminal = Terminal::claim(plan.operands.tty)?;
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let host = plan.args.value(b'H').unwrap_or_default();
    utmp::login_process(pid, terminal.name(), host);
    terminal.make_raw(plan.args)?;
    match dialogue::hold(plan, &mut terminal)? {
        dialogue::Outcome::HungUp => terminal.make_cooked(),
        dialogue::Outcome::Name(name) => {
            terminal.make_cooked()?;
            Err(become_login(plan, name))
        }
    }
}

/// Executes the login program. Returns only if that fails.
fn become_login(plan: &Plan, name: Option<Vec<u8>>) -> Failure {
    let mut argv = vec![plan.login.clone(), c"--".to_owned()];
    argv.extend(name.and_then(|name| CString::new(name).ok()));
    let term = plan.operands.term;
    let term = term.map(|term| (b"TERM".to_vec(), Some(term.to_vec())));
    let env = path_search::environment(term.as_slice());
    line::close_others_on_exec();
    signal::reset(signal::SIGXFSZ);
    let error = path_search::exec(&plan.login, &argv, &env);
    failure(plan.login.to_bytes(), "start", error)
}

/// Reports a failure on standard error, which may be the terminal now, and on the standard
/// error that getty was started with.
fn complain(failure: &str, former_stderr: Option<&OwnedFd>) {
    say::line("getty", failure);
    if let Some(former) = former_stderr
        && !same_file(former, rustix::stdio::stderr())
    {
        let text = say::message("getty", failure);
        // If this fails, there is no place to report it.
        let _ = rustix::io::write(former, text.as_bytes());
    }
}

fn same_file(a: impl AsFd, b: impl AsFd) -> bool {
    match (rustix::fs::fstat(a), rustix::fs::fstat(b)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Waits. A signal ends getty at once, because all have their default actions.
fn wait() {
    let time = Timespec {
        tv_sec: FAILURE_WAIT_S,
        tv_nsec: 0,
    };
    let _ = rustix::event::poll(&mut [], Some(&time));
}
