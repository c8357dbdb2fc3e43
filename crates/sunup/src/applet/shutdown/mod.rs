//! shutdown: takes the machine down now or later, and warns those who are logged in.
//!
//! `keeper` is the process that keeps the time, `wall` writes to terminals, and the rest
//! of it is decided in `model::shutdown`. PID 1 is asked as [`ask`] says.
//!
//! Files: /run/sunup/shutdown, the record of what is planned; /run/nologin, for the last five
//! minutes; /run/utmp, for who is logged in.
//! Exit codes: 0: asked, planned or cancelled; 1: failed, called wrongly, or with -c and -s:
//! nothing was planned.

mod keeper;
mod wall;

use model::format::issue::{self, Facts};
use model::options::{Opt, Order, Parsed, Spec};
use model::pid1::End;
use model::shutdown::{When, warning};

use super::{Applet, Call, usage_error};
use crate::machine::ask::{self, First};
use crate::say;
use crate::sys::{clock, local_time, power, signal};
use keeper::{Moment, Plan};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "shutdown",
    synopsis: "[-h | -P | -H | -r | -K] [-k] [-W] [-f] [-a] [-t SEC] [-c | -s] [TIME] [MESSAGE ...]",
    about: "shut the machine down now or later, and warn users",
    options: &[
        Opt::flag(b'h', "power off, or halt with -H"),
        Opt::flag(b'P', "power off").long("poweroff"),
        Opt::flag(b'H', "halt, and leave the power on").long("halt"),
        Opt::flag(b'r', "start again").long("reboot"),
        Opt::flag(b'K', "start the kernel that `kexec -l` has loaded").long("kexec"),
        Opt::flag(b'k', "only warn"),
        Opt::flag(b'W', "warn nobody").long("no-wall"),
        Opt::flag(b'c', "cancel what is planned; the operands are a message"),
        Opt::flag(b's', "print what is planned").long("show"),
        Opt::flag(b'f', "ignored, for compatibility"),
        Opt::flag(b'a', "ignored, for compatibility"),
        Opt::valued(b't', "SEC", "ignored, for compatibility"),
    ],
    order: Order::Permute,
    notes: "TIME is `now`, +MINUTES or HH:MM; +1 if it is left out. Without -H, -r and -K the\n\
            machine powers off.",
    usage_code: 1,
};

/// If no time is said.
const USUAL: When = When::In(1);

fn run(call: &Call) -> u8 {
    let args = call.args;
    if args.has(b's') {
        return show().unwrap_or_else(failed);
    }
    let (when, words) = match times(args) {
        Ok(both) => both,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    signal::ignore_of_writes();
    let message = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    let tells = !args.has(b'W');
    let done = if args.has(b'c') {
        cancel(&message, tells)
    } else {
        go_down(args, when, message, tells)
    };
    match done {
        Ok(()) => 0,
        Err(trouble) => failed(trouble),
    }
}

fn failed(trouble: String) -> u8 {
    say::line(SPEC.name, trouble);
    1
}

/// When, and the words of the message. A first word that is no time is a mistake, and no
/// message: nobody should learn from that that the machine went down a minute later.
fn times<'a>(args: &'a Parsed<'a>) -> Result<(When, &'a [&'a [u8]]), String> {
    match args.operands.split_first() {
        Some((time, words)) if !args.has(b'c') => {
            let mistake = || format!("{}: not `now`, +MINUTES or HH:MM", time.escape_ascii());
            Ok((When::decode(time).ok_or_else(mistake)?, words))
        }
        _ => Ok((USUAL, &args.operands)),
    }
}

fn end_of(args: &Parsed) -> End {
    let asked = [(b'K', End::Kexec), (b'r', End::Reboot), (b'H', End::Halt)];
    let asked = asked.into_iter().find(|(letter, _)| args.has(*letter));
    asked.map_or(End::Poweroff, |(_, end)| end)
}

fn go_down(args: &Parsed, when: When, message: String, tells: bool) -> Result<(), String> {
    let end = end_of(args);
    let is_serious = !args.has(b'k');
    if is_serious {
        may_be_asked(end)?;
    }
    let at = match when {
        When::In(0) => return at_once(end, &message, tells, is_serious),
        When::In(minutes) => Moment::Boot(clock::after_ms(u64::from(minutes) * 60_000)),
        When::At { hour, minute } => {
            let now = local_time::unix_now();
            Moment::Wall(local_time::next(hour, minute, now, local_time::of))
        }
    };
    keeper::start(&Plan {
        end,
        at,
        message,
        tells,
        is_serious,
    })?;
    let what = if is_serious { end.name() } else { "warning" };
    say::print(&format!(
        "{what}: {}; `shutdown -c` cancels it\n",
        shown(at.wall_s())
    ));
    Ok(())
}

fn at_once(end: End, message: &str, tells: bool, is_serious: bool) -> Result<(), String> {
    if tells {
        wall::say(&[message, &warning(end, 0)]);
    }
    if is_serious { ask::ask(end) } else { Ok(()) }
}

/// Says at once what else would be known only when the time has come.
fn may_be_asked(end: End) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root may take the machine down: try again as root".to_owned());
    }
    if let First::Other(name) = ask::first() {
        return Err(ask::other(&name));
    }
    if end == End::Kexec && !power::kexec_is_loaded() {
        return Err(ask::NO_KERNEL.to_owned());
    }
    Ok(())
}

fn cancel(message: &str, tells: bool) -> Result<(), String> {
    if !keeper::cancel()? {
        return Err("no shutdown is planned".to_owned());
    }
    if tells {
        wall::say(&[message, "The shutdown is cancelled."]);
    }
    Ok(())
}

fn show() -> Result<u8, String> {
    let Some(planned) = keeper::planned()? else {
        say::print("no shutdown is planned\n");
        return Ok(1);
    };
    let (end, at) = (planned.end.name(), shown(planned.at_s));
    say::print(&format!(
        "{end}: {at}; process {} keeps the time\n",
        planned.pid
    ));
    Ok(0)
}

/// A moment, for people.
fn shown(at_s: i64) -> String {
    let facts = Facts {
        system: b"",
        node: b"",
        release: b"",
        version: b"",
        machine: b"",
        domain: b"",
        line: b"",
        now: local_time::of(at_s),
    };
    String::from_utf8_lossy(&issue::expand(b"\\d, \\t", &facts)).into_owned()
}
