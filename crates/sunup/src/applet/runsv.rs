//! runsv: supervises one service directory (runsv(8)).
//!
//! Files: `DIR/run`, `finish`, `down`, `control/`, `log/`, `supervise/`.
//! Signals: TERM acts as the control byte `x`, USR2 executes the program anew.
//! Exit codes: 0 when told to exit, 111 when the directory cannot be supervised,
//! 1 for a wrong command line (as busybox, 1 for both).

use model::options::{Order, Spec};

use super::{Applet, Call, usage_error};
use crate::engine::Engine;
use crate::sys::spawner::Session;
use crate::{personality, say};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "runsv",
    synopsis: "DIR",
    about: "supervise one service",
    options: &[],
    order: Order::Posix,
    notes: "DIR/run is started, and restarted when it ends; see runsv(8) for DIR/finish,\n\
            DIR/log, DIR/down and DIR/control. `sv status DIR` shows what it does.",
    usage_code: 1,
};

fn run(call: &Call) -> u8 {
    let [dir] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "name one service directory");
    };
    match Engine::new(SPEC.name, Session::Inherit) {
        Ok(engine) => match engine.supervise_one(dir) {
            0 => 0,
            code => personality::failure(SPEC.name, code),
        },
        Err(e) => {
            say::offer(SPEC.name, format_args!("prepare to wait for events: {e}"));
            personality::failure(SPEC.name, 111)
        }
    }
}
