//! container: process 1 of a container that has services, a main program, or both
//! (container(8)).
//!
//! Signals: TERM, INT, QUIT, PWR and RTMIN+3 stop everything in order; a second one kills it. All
//! others go to the main program or service. The exit code is the main one's, or 128 and the
//! signal; 126 or 127 if it cannot be executed, 100 for a wrong command line, 111 if this cannot
//! be prepared.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::container::{Main, Rules};
use model::options::{Opt, Order, Parsed, Spec};
use model::scan::is_supervised;
use model::signal_names;
use model::ward::Forgiven;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, getpid, set_child_subreaper, set_parent_process_death_signal};

use super::{Applet, Call, usage_error};
use crate::engine::{ContainerPlan, ContainerProgram, Engine};
use crate::say;
use crate::sys::signal::{self, Ignored, SignalFd};
use crate::sys::spawn;
use crate::ward;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "container",
    synopsis: "[-fgsvw] [-p SIGNAL] [-e CODE]... [-m NAME] [-t SECONDS] [DIR] [-- PROGRAM [ARGUMENT...]]",
    about: "run services and a main program as process 1 of a container",
    options: &[
        Opt::valued(b'e', "CODE", "count this exit code as 0; may be repeated"),
        Opt::flag(
            b'f',
            "tell the main program to stop first, and the services when it has ended",
        )
        .long("signal-main-first"),
        Opt::flag(b'g', "pass signals on to the program's process group"),
        Opt::valued(b'm', "NAME", "the container ends with this service").long("main"),
        Opt::valued(
            b'p',
            "SIGNAL",
            "get this signal, such as SIGKILL, when the parent ends",
        ),
        Opt::flag(b's', "adopt what is left behind, if not process 1"),
        Opt::valued(b't', "SECONDS", "kill what has not stopped after this time").long("grace"),
        Opt::flag(b'v', "report what is run"),
        Opt::flag(b'w', "report each process that was left behind and reaped"),
    ],
    order: Order::Posix,
    notes: "DIR holds service directories; /etc/service by default, if it is there.\n\
            TERM, INT, QUIT, PWR and RTMIN+3 stop everything; a second one kills it.",
    usage_code: 100,
};

const SERVICES: &[u8] = b"/etc/service";

/// Signals of errors, and of a terminal that this process has given away.
const NOT_TAKEN: [signal::Signal; 9] = [
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

fn run(call: &Call) -> u8 {
    match Wishes::of(call.args) {
        Ok(wishes) => wishes.carry_out().unwrap_or_else(|(what, e)| {
            say::line(SPEC.name, format_args!("{what}: {e}"));
            111
        }),
        Err(mistake) => usage_error(&SPEC, &mistake),
    }
}

/// What the command line asks for.
struct Wishes<'a> {
    dir: Option<&'a [u8]>,
    service: Option<&'a [u8]>,
    words: &'a [&'a [u8]],
    rules: Rules,
    death_signal: Option<u8>,
    args: &'a Parsed<'a>,
}

impl<'a> Wishes<'a> {
    fn of(args: &'a Parsed<'a>) -> Result<Self, String> {
        let (dirs, words) = split(args);
        let dir = match dirs {
            [] => Path::new(OsStr::from_bytes(SERVICES))
                .is_dir()
                .then_some(SERVICES),
            [dir] => Some(*dir),
            [_, surplus, ..] => {
                let surplus = surplus.escape_ascii();
                return Err(format!("{surplus}: put `--` before the program"));
            }
        };
        if let Some(dir) = dir.filter(|dir| !Path::new(OsStr::from_bytes(dir)).is_dir()) {
            return Err(format!(
                "{}: name a directory of services",
                dir.escape_ascii()
            ));
        }
        let service = args.value(b'm');
        let main = match (words, service, dir) {
            ([], None, None) => {
                return Err("name a directory of services, or a program after `--`".into());
            }
            ([], None, Some(_)) => Main::Nobody,
            ([_, ..], Some(_), _) => {
                return Err("either a program or -m is the main one".into());
            }
            ([_, ..], None, _) => Main::Program,
            ([], Some(name), dir) => {
                // The services are known by the names of DIR's entries alone.
                let is_name = is_supervised(name) && !name.contains(&b'/');
                let place = dir
                    .filter(|_| is_name)
                    .map(|dir| [dir, b"/", name].concat());
                let is_there = place.is_some_and(|p| Path::new(OsStr::from_bytes(&p)).is_dir());
                if !is_there {
                    return Err(format!(
                        "-m {}: there is no such service",
                        name.escape_ascii()
                    ));
                }
                Main::Service
            }
        };
        Ok(Self {
            dir,
            service,
            words,
            rules: Rules {
                main,
                forgiven: forgiven(args)?,
                grace_ms: args.value(b't').map(grace).transpose()?,
                main_first: args.has(b'f'),
            },
            death_signal: args.value(b'p').map(death_signal).transpose()?,
            args,
        })
    }

    fn carry_out(&self) -> Result<u8, (&'static str, io::Error)> {
        let (signals, _) = SignalFd::of_all_but(&NOT_TAKEN).map_err(|e| ("wait for signals", e))?;
        // This process stays behind the terminal's foreground, and may still say something.
        let _ignored = Ignored::new(&[signal::SIGTTIN, signal::SIGTTOU]);
        signal::ignore_of_writes();
        if let Some(number) = self.death_signal {
            set_parent_process_death_signal(Signal::from_named_raw(number.into()))
                .map_err(|e| ("set the parent's death signal", e.into()))?;
        }
        if self.args.has(b's') {
            set_child_subreaper(Some(getpid())).map_err(|e| ("become a subreaper", e.into()))?;
        }
        // It is loaded while the engine is prepared.
        let program = match self.words {
            [] => None,
            words => Some(start(words).map_err(|e| ("start the program", e))?),
        };
        if let (Some(program), true) = (&program, self.args.has(b'v')) {
            let name = self
                .words
                .first()
                .map(|word| word.escape_ascii().to_string());
            let name = name.unwrap_or_default();
            say::line(SPEC.name, format_args!("{name} is process {}", program.pid));
        }
        let engine =
            Engine::in_container(SPEC.name, signals).map_err(|e| ("wait for events", e))?;
        Ok(engine.contain(ContainerPlan {
            dir: self.dir,
            rules: self.rules,
            service: self.service,
            program,
            group: self.args.has(b'g'),
            tells_strays: self.args.has(b'w'),
        }))
    }
}

/// What stands before `--`, and behind it.
fn split<'a>(args: &'a Parsed<'a>) -> (&'a [&'a [u8]], &'a [&'a [u8]]) {
    let operands = args.operands.as_slice();
    if args.is_ended {
        return (&[], operands);
    }
    let at = operands.iter().position(|word| *word == b"--");
    match at.and_then(|at| operands.split_at_checked(at)) {
        Some((dirs, words)) => (dirs, words.get(1..).unwrap_or_default()),
        None => (operands, &[]),
    }
}

fn forgiven(args: &Parsed) -> Result<Forgiven, String> {
    let values = args.options.iter().filter(|(letter, _)| *letter == b'e');
    let mut forgiven = Forgiven::default();
    for (_, value) in values {
        let value = value.unwrap_or_default();
        let code: Option<u8> = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
        let code = code.ok_or_else(|| format!("-e {}: name an exit code", value.escape_ascii()))?;
        forgiven = forgiven.with(code);
    }
    Ok(forgiven)
}

fn grace(value: &[u8]) -> Result<u64, String> {
    let seconds: Option<u32> = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
    let wrong = || format!("-t {}: name a number of seconds", value.escape_ascii());
    Ok(u64::from(seconds.ok_or_else(wrong)?) * 1000)
}

fn death_signal(value: &[u8]) -> Result<u8, String> {
    let wrong = || {
        format!(
            "-p {}: name a signal, such as SIGKILL",
            value.escape_ascii()
        )
    };
    signal_names::number(value).ok_or_else(wrong)
}

/// Forks the main program. It has the terminal, if there is one, and what stands on standard
/// input; the services have neither.
fn start(words: &[&[u8]]) -> io::Result<ContainerProgram> {
    let (loads, failed) = pipe_with(PipeFlags::CLOEXEC)?;
    let argv = ward::argv(words);
    let pid = spawn::fork_alike(|| become_program(&argv, failed.as_fd()))?;
    drop(failed);
    if let Ok(null) = openat(
        CWD,
        c"/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        rustix::stdio::dup2_stdin(null)?;
    }
    Ok(ContainerProgram {
        pid: pid as u32,
        loads,
    })
}

/// In the forked child. Returns the exit code if the program cannot be executed.
fn become_program(argv: &[CString], failed: BorrowedFd) -> u8 {
    if let Err(e) = ward::take_group_and_terminal() {
        say::line(SPEC.name, format_args!("take the terminal: {e}"));
    }
    signal::reset_all();
    let e = ward::exec(argv);
    let _told = rustix::io::write(failed, b"!");
    let name = argv
        .first()
        .map(|name| name.as_bytes().escape_ascii().to_string());
    say::line(SPEC.name, format_args!("{}: {e}", name.unwrap_or_default()));
    ward::exec_code(&e, 126)
}
