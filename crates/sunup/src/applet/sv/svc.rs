//! svc: commands supervisors by letters, as busybox and daemontools do.
//!
//! Each letter goes to `supervise/control` of each service, in the order given, and svc
//! does not wait: it reports a fifo that a dead supervisor has left. Exit code: the
//! number of services that failed, at most 99 (as busybox, at most 1); 1 for a mistaken
//! command line.

use model::options::{Opt, Order, Spec};

use super::client::{Service, Trouble};
use super::{count, usage_error};
use crate::applet::{Applet, Call};
use crate::{personality, say};

/// The row of the table.
pub const SVC: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "svc",
    synopsis: "-udopchaitkx SERVICE...",
    about: "control services by letters",
    options: &[
        Opt::flag(b'u', "up: start it, and again whenever it ends"),
        Opt::flag(b'd', "down: stop it, and do not start it again"),
        Opt::flag(b'o', "once: start it, but not again when it ends"),
        Opt::flag(b'p', "pause: send STOP"),
        Opt::flag(b'c', "continue: send CONT"),
        Opt::flag(b'h', "send HUP"),
        Opt::flag(b'a', "send ALRM"),
        Opt::flag(b'i', "send INT"),
        Opt::flag(b't', "send TERM"),
        Opt::flag(b'k', "send KILL"),
        Opt::flag(
            b'x',
            "exit: end the supervisor as soon as the service is down",
        ),
    ],
    order: Order::Posix,
    notes: "A SERVICE is looked up as by sv. The letters are sent in the order given.",
    usage_code: 1,
};

fn run(call: &Call) -> u8 {
    let letters: Vec<u8> = call
        .args
        .options
        .iter()
        .map(|(letter, _)| *letter)
        .collect();
    if letters.is_empty() {
        return usage_error(&SPEC, "say what to do, by at least one letter");
    }
    if call.args.operands.is_empty() {
        return usage_error(&SPEC, "say which service");
    }
    let failed = |name: &&&[u8]| match send(name, &letters) {
        Ok(()) => false,
        Err(trouble) => {
            say::print_bytes(&trouble.line(name));
            true
        }
    };
    let failed = call.args.operands.iter().filter(failed).count();
    count(personality::pick(failed, failed.min(1)))
}

fn send(name: &[u8], letters: &[u8]) -> Result<(), Trouble> {
    Service::named(name)?.control()?.send(letters)
}
