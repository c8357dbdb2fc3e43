//! tini, docker-init: looks after one program as process 1 of a container (tini(8)).
//!
//! It passes signals on to the program, reaps ended children, and ends when the program does,
//! with its code, or 128 and the signal. The command line, the variables and the behaviour are
//! those of tini 0.19. Exit codes of its own: 1 for a wrong command line, 127 and 126 if the
//! program is not there or cannot be executed.

use std::fmt::Display;
use std::io;

use model::options::{self, Opt, Order, Parsed, Spec};
use model::process::Exit;
use model::signal_names;
use model::ward::{Rules, Ward};
use rustix::process::{
    Signal, child_subreaper, getpid, set_child_subreaper, set_parent_process_death_signal,
};

use super::{Applet, Call, usage_error};
use crate::say;
use crate::sys::signal::{self, Ignored, Mask, SignalFd};
use crate::sys::spawn;
use crate::ward::{self, Told, Watch};

/// Rows of the table.
pub const TINI: Applet = Applet { spec: &SPEC, run };
/// Docker's name of it.
pub const DOCKER_INIT: Applet = Applet {
    spec: &Spec {
        name: "docker-init",
        ..SPEC
    },
    run,
};

const SPEC: Spec = Spec {
    name: "tini",
    synopsis: "[-ghlsvw] [-p SIGNAL] [-e CODE]... PROGRAM [ARGUMENT...]",
    about: "run a program under the supervision of a valid init process",
    options: &[
        Opt::valued(
            b'e',
            "CODE",
            "count this exit code of the program as 0; may be repeated",
        ),
        Opt::flag(b'g', "pass signals on to the program's process group"),
        Opt::flag(b'h', "show this help"),
        Opt::flag(b'l', "show the license"),
        Opt::valued(
            b'p',
            "SIGNAL",
            "get this signal, such as SIGKILL, when the parent ends",
        ),
        Opt::flag(
            b's',
            "adopt what the program leaves behind, if not process 1",
        ),
        Opt::flag(b'v', "be more verbose; up to three times"),
        Opt::flag(b'w', "report each process that was left behind and reaped"),
    ],
    order: Order::Posix,
    notes: "Environment: TINI_SUBREAPER (as -s), TINI_KILL_PROCESS_GROUP (as -g),\n\
            TINI_VERBOSITY (a number; 1 by default).",
    usage_code: 1,
};

/// The program must not be called with these blocked; they are ours, or the terminal's.
const NOT_PASSED: [signal::Signal; 9] = [
    signal::SIGFPE,
    signal::SIGILL,
    signal::SIGSEGV,
    signal::SIGBUS,
    signal::SIGABRT,
    signal::SIGTRAP,
    signal::SIGSYS,
    signal::SIGTTIN,
    signal::SIGTTOU,
];

/// What is said at which verbosity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Fatal,
    Warn,
    Info,
    Debug,
}

/// What the command line and the environment ask for.
struct Wishes {
    rules: Rules,
    group: bool,
    subreaper: bool,
    death_signal: Option<u8>,
    warn_on_reap: bool,
    verbosity: i32,
}

fn run(call: &Call) -> u8 {
    let args = call.args;
    if args.has(b'h') {
        say::print(&options::help(&SPEC));
        return 0;
    }
    if args.has(b'l') {
        say::print("sunup is licensed under MIT or Apache 2.0, at your option.\n");
        return 0;
    }
    let wishes = match Wishes::of(args) {
        Ok(wishes) => wishes,
        Err(mistake) => {
            tell(Level::Fatal, mistake);
            return SPEC.usage_code;
        }
    };
    let words = program(args);
    if words.is_empty() {
        let code = usage_error(&SPEC, "name a program");
        drop(io::Write::write_all(
            &mut io::stderr(),
            options::help(&SPEC).as_bytes(),
        ));
        return code;
    }
    wishes.look_after(&words).unwrap_or_else(|(what, e)| {
        tell(Level::Fatal, format_args!("{what}: {e}"));
        1
    })
}

/// Tini's own usage line puts `--` behind the program, too, and drops it there.
fn program<'a>(args: &Parsed<'a>) -> Vec<&'a [u8]> {
    match args.operands.as_slice() {
        [program, b"--", rest @ ..] if !args.is_ended => [&[*program], rest].concat(),
        words => words.to_vec(),
    }
}

impl Wishes {
    fn of(args: &Parsed) -> Result<Self, String> {
        let mut rules = Rules::default();
        let mut death_signal = None;
        for (letter, value) in &args.options {
            let value = value.unwrap_or_default();
            let wrong = || {
                format!(
                    "Not a valid option for -{}: {}",
                    char::from(*letter),
                    value.escape_ascii()
                )
            };
            match letter {
                b'e' => {
                    let code = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    rules.forgiven = rules.forgiven.with(code.ok_or_else(wrong)?);
                }
                b'p' => {
                    let is_long = value.starts_with(b"SIG");
                    let number = signal_names::number(value).filter(|_| is_long);
                    death_signal = Some(number.ok_or_else(wrong)?);
                }
                _ => {}
            }
        }
        let set = |name: &str| std::env::var_os(name);
        let said = args.count(b'v') as i32;
        let verbosity = set("TINI_VERBOSITY").map(|v| number(&v.to_string_lossy()));
        Ok(Self {
            rules,
            group: args.has(b'g') || set("TINI_KILL_PROCESS_GROUP").is_some(),
            subreaper: args.has(b's') || set("TINI_SUBREAPER").is_some(),
            death_signal,
            warn_on_reap: args.has(b'w'),
            verbosity: verbosity.unwrap_or(1 + said),
        })
    }

    fn look_after(&self, words: &[&[u8]]) -> Result<u8, (&'static str, io::Error)> {
        let (signals, mask) =
            SignalFd::of_all_but(&NOT_PASSED).map_err(|e| ("wait for signals", e))?;
        // A group in the background must be able to say something.
        let ignored = Ignored::new(&[signal::SIGTTIN, signal::SIGTTOU]);
        if let Some(signal) = self.death_signal {
            let signal = Signal::from_named_raw(signal.into());
            set_parent_process_death_signal(signal)
                .map_err(|e| ("set the parent's death signal", e.into()))?;
        }
        if self.subreaper {
            set_child_subreaper(Some(getpid())).map_err(|e| ("become a subreaper", e.into()))?;
        } else if !getpid().is_init() && child_subreaper() == Ok(None) {
            self.say(
                Level::Warn,
                "Tini is not process 1 and no subreaper, so zombie reaping won't work: processes \
                 that the program leaves behind are not its children. Use -s, or set \
                 TINI_SUBREAPER, or run it as process 1.",
            );
        }
        let argv = ward::argv(words);
        let program =
            spawn::fork_alike(|| exec(&argv, &mask, &ignored)).map_err(|e| ("fork", e))?;
        let name = words.first().map(|word| word.escape_ascii().to_string());
        let name = name.unwrap_or_default();
        self.say(
            Level::Info,
            format_args!("Spawned child process '{name}' with pid '{program}'"),
        );
        let watch = Watch {
            program: program as u32,
            group: self.group,
            signals: &signals,
            tell: &|told| self.tell(&told),
        };
        Ok(watch.run(Ward::new(self.rules, program as u32, false)))
    }

    fn tell(&self, told: &Told) {
        match told {
            Told::Came(signal::SIGCHLD) => self.say(Level::Debug, "Received SIGCHLD"),
            Told::Came(_) | Told::Leaves(_) => {}
            Told::Passed(came, _, Ok(())) => {
                let name = signal_names::name(*came as u8).unwrap_or("real-time");
                self.say(
                    Level::Debug,
                    format_args!("Passing signal: '{name}' ({came})"),
                );
            }
            Told::Passed(_, _, Err(_)) => {
                self.say(Level::Warn, "Child was dead when forwarding signal");
            }
            Told::Ended(pid, exit, is_program) => {
                self.say(Level::Debug, format_args!("Reaped child with pid: '{pid}'"));
                match (is_program, exit) {
                    (true, Exit::Code(code)) => self.say(
                        Level::Info,
                        format_args!("Main child exited normally (with status '{code}')"),
                    ),
                    (true, exit) => self.say(Level::Info, format_args!("Main child {exit}")),
                    (false, _) if self.warn_on_reap => self.say(
                        Level::Warn,
                        format_args!("Reaped zombie process with pid={pid}"),
                    ),
                    (false, _) => {}
                }
            }
        }
    }

    fn say(&self, level: Level, what: impl Display) {
        if level as i32 <= self.verbosity {
            tell(level, what);
        }
    }
}

/// In the forked child. Returns the exit code if the program cannot be executed.
fn exec(argv: &[std::ffi::CString], mask: &Mask, ignored: &Ignored) -> u8 {
    if let Err(e) = ward::take_group_and_terminal() {
        tell(Level::Warn, format_args!("take the terminal: {e}"));
    }
    mask.set_again();
    ignored.put_back();
    let e = ward::exec(argv);
    let name = argv
        .first()
        .map(|name| name.as_bytes().escape_ascii().to_string());
    tell(
        Level::Fatal,
        format_args!("exec {} failed: {e}", name.unwrap_or_default()),
    );
    ward::exec_code(&e, 1)
}

/// As atoi(3) reads it: digits up to what is none.
fn number(text: &str) -> i32 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && *c == '-'));
    let digits = end.map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
    digits.parse().unwrap_or(0)
}

fn tell(level: Level, what: impl Display) {
    let level = match level {
        Level::Fatal => "FATAL",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
    };
    let text = format!("[{level} tini ({})] {what}", std::process::id());
    say::offer_lines(SPEC.name, (say::plain(&text) + "\n").as_bytes(), 0);
}
