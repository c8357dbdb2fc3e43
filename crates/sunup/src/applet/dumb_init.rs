//! dumb-init: looks after one program in a session of its own (dumb-init(8)).
//!
//! It passes signals on to the session's process group, as they are or as others, reaps ended
//! children, and ends with the program, whose group gets TERM then. The command line, the
//! variables and the behaviour are those of dumb-init 1.2.5. Exit codes of its own: 1 for a
//! wrong command line, 2 if the program cannot be executed.

use std::fmt::Display;
use std::io;

use model::options::{self, Opt, Order, Parsed, Spec};
use model::process::Exit;
use model::ward::{self as decide, Rules, Ward};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::setsid;
use rustix::stdio::stdin;

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::signal::{self, SignalFd};
use crate::sys::{line, spawn, tty};
use crate::ward::{self, Told, Watch};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "dumb-init",
    synopsis: "[-chvV] [-r REWRITE]... PROGRAM [ARGUMENT...]",
    about: "run a program in a session and pass signals on to its process group",
    options: &[
        Opt::flag(
            b'c',
            "pass signals on to the program alone, in no session of its own",
        )
        .long("single-child"),
        Opt::flag(b'h', "show this help").long("help"),
        Opt::valued(
            b'r',
            "REWRITE",
            "OLD:NEW: pass signal NEW on in place of OLD, 0 for none; may be repeated",
        )
        .long("rewrite"),
        Opt::flag(b'v', "report on standard error what happens").long("verbose"),
        Opt::flag(b'V', "show the version").long("version"),
    ],
    order: Order::Posix,
    notes: "Environment: DUMB_INIT_DEBUG=1 (as -v), DUMB_INIT_SETSID=0 (as -c).",
    usage_code: 1,
};

/// The program cannot be executed.
const NO_PROGRAM: u8 = 2;

fn run(call: &Call) -> u8 {
    let args = call.args;
    if args.has(b'h') {
        say::print(&options::help(&SPEC));
        return 0;
    }
    if args.has(b'V') {
        say::print("dumb-init v1.2.5\n");
        return 0;
    }
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
    let setsid = !args.has(b'c') && !is("DUMB_INIT_SETSID", "0");
    let verbose = args.has(b'v') || is("DUMB_INIT_DEBUG", "1");
    let rules = match rules(args, setsid) {
        Ok(rules) => rules,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    if args.operands.is_empty() {
        return usage_error(&SPEC, "name a program");
    }
    let nurse = Nurse { setsid, verbose };
    nurse.look_after(rules, &args.operands).unwrap_or_else(|e| {
        tell(format_args!("prepare to run a program: {e}"));
        1
    })
}

fn rules(args: &Parsed, setsid: bool) -> Result<Rules, String> {
    let mut rules = Rules::of_dumb_init(setsid);
    for (letter, value) in &args.options {
        if let (b'r', Some(text)) = (letter, value) {
            let (from, to) = decide::rewrite(text).ok_or_else(|| {
                let most = decide::REWRITES_MAX;
                format!(
                    "-r {}: say OLD:NEW, signals from 1 to {most}",
                    text.escape_ascii()
                )
            })?;
            rules.rewrite(from, to);
        }
    }
    Ok(rules)
}

struct Nurse {
    setsid: bool,
    verbose: bool,
}

impl Nurse {
    fn look_after(&self, rules: Rules, words: &[&[u8]]) -> io::Result<u8> {
        let (signals, _) = SignalFd::of_all_but(&[])?;
        let gave_up = self.setsid && self.give_terminal_up();
        // It keeps no directory busy; the program works where this was called.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = openat(CWD, c".", flags, Mode::empty());
        if here.is_ok() {
            drop(std::env::set_current_dir("/"));
        }
        let argv = ward::argv(words);
        let program = spawn::fork(|| {
            let _same = here.as_ref().map(rustix::process::fchdir);
            self.exec(&argv)
        })?;
        self.say(format_args!("Child spawned with PID {program}."));
        let watch = Watch {
            program: program as u32,
            group: self.setsid,
            signals: &signals,
            tell: &|told| self.tell(&rules, &told),
        };
        Ok(watch.run(Ward::new(rules, program as u32, gave_up)))
    }

    /// Leaves the terminal to the program's session. Returns whether this was the leader of
    /// the session, and so gets HUP and CONT.
    fn give_terminal_up(&self) -> bool {
        match tty::give_up(stdin()) {
            Ok(()) => line::leads_session(),
            Err(e) => {
                self.say(format_args!("Unable to detach from controlling tty: {e}."));
                false
            }
        }
    }

    /// In the forked child. Returns the exit code if the program cannot be executed.
    fn exec(&self, argv: &[std::ffi::CString]) -> u8 {
        if self.setsid {
            // A child leads no group, so this cannot fail.
            let _session = setsid();
            if let Err(e) = tty::take(stdin()) {
                self.say(format_args!("Unable to attach to controlling tty: {e}."));
            }
            self.say("setsid complete.");
        }
        let e = ward::exec(argv);
        let name = argv
            .first()
            .map(|name| name.as_bytes().escape_ascii().to_string());
        tell(format_args!("{}: {e}", name.unwrap_or_default()));
        NO_PROGRAM
    }

    fn tell(&self, rules: &Rules, told: &Told) {
        match told {
            Told::Came(signal) => self.say(format_args!("Received signal {signal}.")),
            Told::Passed(came, passed, _) => {
                let as_it_is =
                    *came == signal::SIGCHLD || rules.goes_on_as(*came as u8) == *came as u8;
                let number = passed.unwrap_or(0);
                if !as_it_is {
                    self.say(format_args!("Translating signal {came} to {number}."));
                }
                let is_due = rules.goes_on_as(*came as u8) != 0;
                match passed {
                    Some(_) => self.say(format_args!("Forwarded signal {number} to children.")),
                    None if is_due => {
                        self.say(format_args!("Ignoring tty hand-off signal {came}."));
                    }
                    None => self.say(format_args!(
                        "Not forwarding signal {came} to children (ignored)."
                    )),
                }
            }
            Told::Ended(pid, Exit::Code(code), _) => self.say(format_args!(
                "A child with PID {pid} exited with exit status {code}."
            )),
            Told::Ended(pid, exit, _) => self.say(format_args!("A child with PID {pid} {exit}.")),
            Told::Leaves(code) => {
                self.say(format_args!("Child exited with status {code}. Goodbye."));
            }
        }
    }

    fn say(&self, what: impl Display) {
        if self.verbose {
            tell(what);
        }
    }
}

fn tell(what: impl Display) {
    let text = format!("[dumb-init] {what}");
    say::offer_lines(SPEC.name, (say::plain(&text) + "\n").as_bytes(), 0);
}
