//! runsvdir: supervises every service of a scan directory (runsvdir(8)), all of
//! them in this one process.
//!
//! Signals: TERM starts nothing more and exits 0 when all is down; a second
//! TERM, or the first as PID 1, stops all services before. HUP stops all
//! services and exits 111. Told the same again, it waits no longer: it leaves
//! what runs to a keeper, or kills it as PID 1, for which INT counts as TERM.
//! KILL: the services go on, and the next runsvdir takes them over. USR2 executes
//! the program anew. The script of `-s` is run before the supervisor acts on TERM,
//! HUP and USR2; as PID 1 it is run for INT and USR1, too, and is all that TERM
//! does. The log argument shows standard error in the process title. Exit codes: 1
//! for a wrong command line, 100 for a missing directory (as busybox, 1).

use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::engine::{Engine, TITLE_BYTES_MIN};
use crate::sys::spawner::Session;
use crate::{personality, say};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runsvdir",
    synopsis: "[-P] [-s SCRIPT] DIR [LOG]",
    about: "supervise every service of a directory",
    options: &[
        Opt::flag(
            b'P',
            "run each service in its own session and process group",
        ),
        Opt::valued(
            b's',
            "SCRIPT",
            "run SCRIPT NUMBER for each signal before acting on it",
        ),
    ],
    order: Order::Posix,
    notes: "Each subdirectory, or link to a directory, whose name does not start with a dot\n\
            or end with @ is a service; new ones start as soon as they appear. `sv` controls\n\
            them.\n\
            LOG, at least seven bytes, is a place holder: standard error is shown in its place\n\
            by ps.",
    usage_code: 1,
};

fn run(call: &Call) -> u8 {
    let [dir, behind @ ..] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "name one directory of services");
    };
    let (log, surplus) = behind.split_first().unzip();
    if let Some(word) = surplus.and_then(<[_]>::first) {
        let word = word.escape_ascii();
        say::offer(
            SPEC.name,
            format_args!("takes no notice of {word} and what follows; is LOG to be quoted?"),
        );
    }
    let session = if call.args.has(b'P') {
        Session::Detached
    } else {
        Session::Inherit
    };
    let mut engine = match Engine::new(SPEC.name, session) {
        Ok(engine) => engine,
        Err(e) => return unprepared(&e),
    };
    if let Some(script) = call.args.value(b's')
        && let Err(e) = engine.tell_of_signals(script)
    {
        return unprepared(&e);
    }
    match log {
        Some(log) if log.len() < TITLE_BYTES_MIN => say::offer(
            SPEC.name,
            format_args!(
                "the log argument needs at least {TITLE_BYTES_MIN} bytes; going on without it"
            ),
        ),
        Some(_) => engine.log_to_title(),
        None => {}
    }
    match engine.supervise_all(dir) {
        // HUP's 111 is the same for both.
        100 => personality::failure(SPEC.name, 100),
        code => code,
    }
}

fn unprepared(e: &std::io::Error) -> u8 {
    say::offer(SPEC.name, format_args!("prepare to wait for events: {e}"));
    personality::failure(SPEC.name, 111)
}
