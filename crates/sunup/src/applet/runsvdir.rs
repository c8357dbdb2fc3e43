//! runsvdir: supervises every service of a scan directory (runsvdir(8)), all of
//! them in this one process.
//!
//! Signals: TERM starts nothing more and exits 0 when all is down; a second
//! TERM, or the first as PID 1, stops all services before. HUP stops all
//! services and exits 111. KILL: the services go on, and the next runsvdir takes
//! them over. Exit codes: 100 for a wrong command line or a missing directory.

use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::engine::Engine;
use crate::say;
use crate::sys::spawn::Session;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runsvdir",
    synopsis: "[-P] DIR",
    about: "supervises every service of a scan directory",
    options: &[Opt {
        letter: b'P',
        value: None,
        doc: "run each service in its own session and process group",
    }],
    order: Order::Posix,
    notes: "Each subdirectory, or link to a directory, whose name does not start with a dot\n\
            is a service; new ones are started as soon as they appear. `sv` controls them.",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let [dir] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "name one directory of services");
    };
    let session = if call.args.has(b'P') {
        Session::Detached
    } else {
        Session::Inherit
    };
    match Engine::new(SPEC.name, session) {
        Ok(engine) => engine.supervise_all(dir),
        Err(e) => {
            say::line(SPEC.name, format_args!("prepare to wait for events: {e}"));
            111
        }
    }
}
