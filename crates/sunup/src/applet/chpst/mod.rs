//! chpst: changes the state of the process, then becomes a program.
//!
//! The options are runit's. The order of the options does not matter; chpst always applies
//! them in this order: session, environment directory, root and working directory, nice
//! level, UID and GID, user, lock, limits. So it opens the lock as the new user, and looks
//! up names in the new root.
//!
//! The six tools of daemontools in [`daemontools`] do the same by other command lines. Exit
//! codes: 100 for a wrong command line, 111 if the state cannot be set, else the exit code
//! of the program. As busybox: 1 for both, 126 or 127 if the program cannot be started, and
//! more letters for limits.

pub mod daemontools;
mod environment;
mod state;
mod wrong;

use model::chpst::{self, Limit};
use model::options::{Opt, Order, Parsed, Spec};
use rustix::process::Resource;

use super::{Applet, Call, usage_error};
use crate::{personality, say};
use daemontools::softlimit_resources;
use state::{Lock, State};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "chpst",
    synopsis: "[OPTION...] PROG [ARGUMENT...]",
    about: "run a program with another user, environment, limits or priority",
    options: &[
        Opt::valued(
            b'u',
            "[:]USER[:GROUP...]",
            "become USER, and the GROUPs alone",
        ),
        Opt::valued(b'U', "[:]USER[:GROUP]", "set UID and GID to their numbers"),
        Opt::valued(b'b', "ARGV0", "call the program ARGV0"),
        Opt::valued(b'e', "DIR", "set variables from the files of DIR"),
        Opt::valued(b'/', "ROOT", "make ROOT the root directory"),
        Opt::valued(b'C', "PWD", "change to PWD, inside of ROOT"),
        Opt::valued(b'n', "INC", "add INC to the nice level"),
        Opt::valued(b'l', "LOCK", "lock the file LOCK, waiting for it"),
        Opt::valued(b'L', "LOCK", "lock the file LOCK, or fail"),
        Opt::valued(
            b'm',
            "BYTES",
            "limit memory: all of data, stack, locked, total",
        ),
        Opt::valued(b'd', "BYTES", "limit the data segment"),
        Opt::valued(b'o', "N", "limit open files"),
        Opt::valued(b'p', "N", "limit processes of the user"),
        Opt::valued(b'f', "BYTES", "limit the size of files"),
        Opt::valued(b'c', "BYTES", "limit core files"),
        Opt::valued(b'r', "BYTES", "limit resident memory"),
        Opt::valued(b't', "SEC", "limit CPU time"),
        Opt::flag(b'v', "report more"),
        Opt::flag(b'P', "run in a new session and process group"),
        Opt::flag(b'0', "close standard input"),
        Opt::flag(b'1', "close standard output"),
        Opt::flag(b'2', "close standard error"),
        Opt::flag(b'V', "print the version"),
    ],
    order: Order::Posix,
    notes: "A leading colon means numbers: -u :1000:1000. A limit of = is the hard limit.",
    usage_code: 100,
};

/// The row that replaces it as busybox: with the options of busybox, where -l is a limit.
pub const BUSYBOX: Applet = Applet {
    spec: &BUSYBOX_SPEC,
    run,
};

const BUSYBOX_SPEC: Spec = Spec {
    options: &[
        Opt::valued(b'u', "USER[:GROUP]", "become USER, and GROUP"),
        Opt::valued(b'U', "USER[:GROUP]", "set UID and GID to their numbers"),
        Opt::valued(b'e', "DIR", "set variables from the files of DIR"),
        Opt::valued(b'/', "ROOT", "make ROOT the root directory"),
        Opt::valued(b'n', "INC", "add INC to the nice level"),
        Opt::valued(b'a', "BYTES", "limit the total of all segments"),
        Opt::valued(b'c', "BYTES", "limit core files"),
        Opt::valued(b'd', "BYTES", "limit the data segment"),
        Opt::valued(b'f', "BYTES", "limit the size of files"),
        Opt::valued(b'l', "BYTES", "limit locked memory"),
        Opt::valued(b'm', "BYTES", "limit memory: -d, -s, -l and -a at once"),
        Opt::valued(b'o', "N", "limit open files"),
        Opt::valued(b'p', "N", "limit processes of the user"),
        Opt::valued(b'r', "BYTES", "limit resident memory"),
        Opt::valued(b's', "BYTES", "limit the stack"),
        Opt::valued(b't', "SEC", "limit CPU time"),
        Opt::flag(b'v', "report more"),
        Opt::flag(b'P', "run in a new session and process group"),
        Opt::flag(b'0', "close standard input"),
        Opt::flag(b'1', "close standard output"),
        Opt::flag(b'2', "close standard error"),
    ],
    notes: "USER and GROUP may be numbers. A limit of = is the hard limit.",
    ..SPEC
};

fn run(call: &Call) -> u8 {
    if call.args.has(b'V') {
        let version = env!("CARGO_PKG_VERSION");
        say::line(SPEC.name, format_args!("(sunup) {version}"));
        return 0;
    }
    finish(&SPEC, state_of(call.args), &call.args.operands)
}

/// Changes the state and becomes the program. Returns the exit code if something fails.
fn finish(spec: &Spec, state: Result<State, String>, program: &[&[u8]]) -> u8 {
    match state {
        Err(mistake) => usage_error(spec, &mistake),
        Ok(_) if program.is_empty() => usage_error(spec, "no program to run"),
        Ok(state) => state.become_program(spec.name, program),
    }
}

fn state_of<'a>(args: &Parsed<'a>) -> Result<State<'a>, String> {
    let letters: fn(u8) -> &'static [Resource] =
        personality::pick(chpst_resources, softlimit_resources);
    Ok(State {
        new_session: args.has(b'P'),
        variables_dir: args.value(b'e'),
        root: args.value(b'/'),
        dir: args.value(b'C'),
        nice: args.value(b'n').map_or(Ok(0), nice)?,
        shown_account: args.value(b'U').map(chpst::account),
        account: args.value(b'u').map(chpst::account),
        // busybox has no lock.
        lock: if personality::is_busybox() {
            None
        } else {
            lock(args)?
        },
        limits: limits(args, letters)?,
        close: [b'0', b'1', b'2'].map(|letter| args.has(letter)),
        argv0: args.value(b'b'),
        verbose: args.has(b'v'),
    })
}

fn lock<'a>(args: &Parsed<'a>) -> Result<Option<Lock<'a>>, String> {
    if args.count(b'l') + args.count(b'L') > 1 {
        return Err("more than one lock".to_owned());
    }
    Ok(args.value(b'l').or(args.value(b'L')).map(|path| Lock {
        path,
        wait: args.has(b'l'),
        silent: false,
    }))
}

fn nice(text: &[u8]) -> Result<i32, String> {
    chpst::nice(text).ok_or_else(|| format!("-n {}: not a number", text.escape_ascii()))
}

/// The limits in the order of the command line, so that the last one counts.
fn limits(
    args: &Parsed,
    resources: fn(u8) -> &'static [Resource],
) -> Result<Vec<(Resource, Limit)>, String> {
    let mut limits = Vec::new();
    for (letter, value) in &args.options {
        for resource in resources(*letter) {
            let text = value.unwrap_or_default();
            let limit = Limit::parse(text).ok_or_else(|| {
                format!(
                    "-{} {}: not a number such as 1000 or 500m, nor = for the hard limit",
                    letter.escape_ascii(),
                    text.escape_ascii()
                )
            })?;
            limits.push((*resource, limit));
        }
    }
    Ok(limits)
}

/// What an option of chpst limits.
fn chpst_resources(letter: u8) -> &'static [Resource] {
    match letter {
        b'm' => &[
            Resource::Data,
            Resource::Stack,
            Resource::Memlock,
            Resource::As,
        ],
        b'd' => &[Resource::Data],
        b'o' => &[Resource::Nofile],
        b'p' => &[Resource::Nproc],
        b'f' => &[Resource::Fsize],
        b'c' => &[Resource::Core],
        b'r' => &[Resource::Rss],
        b't' => &[Resource::Cpu],
        _ => &[],
    }
}
