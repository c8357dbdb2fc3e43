//! sv: queries and controls services by their supervisors (sv(8)).
//!
//! For each service it opens `supervise/ok` (does a supervisor run?), reads
//! `supervise/status` and writes to `supervise/control`. With -v or -w, and for
//! the commands of LSB init scripts, it then waits for the effect: see [`wait`].
//! All that is decided is in `model::control`.
//!
//! Results go to standard output, one line a service: they are what scripts
//! read. Exit code: the number of services that failed, at most 99; 100 for a
//! mistaken command line. `sv boot` names no service: see [`boot`]. Called by
//! another name through a link (an init script), the service is that name and
//! the exit codes are LSB's.

mod boot;
mod check;
mod client;
pub mod complete;
mod directories;
mod disable;
mod edit;
mod enable;
mod entry;
mod events;
mod health;
mod hidden;
mod instance;
mod lint;
mod list;
mod log;
mod metrics;
mod needs;
mod new;
mod order;
mod output;
mod parts;
mod process;
mod reason;
mod report;
mod snapshot;
pub mod svc;
mod target;
mod top;
mod tree;
mod verb;
mod verbs;
mod view;
mod wait;
mod watch;
mod why;

use std::os::unix::ffi::OsStringExt;

use model::control::{Action, Others, Verb};
use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::{personality, say};
use client::{Service, Trouble};
use output::Output;

/// What the help says of runit's commands, and of those that follow ours.
macro_rules! commands {
    ($of_our_own:literal, $of_all:literal) => {
        concat!(
            "\
Commands, by word or letter:
  status s               print what the service and its log service do
  up u, down d, once o   start; stop; start without restarting
  exit x                 stop, and end the supervisor
  pause p, cont c, hup h, alarm a, interrupt i, quit q, 1, 2, term t, kill k
                         send the signal
Commands that wait up to 7 seconds and report:
  start, stop, reload, restart, try-restart, shutdown, check
  force-stop D, force-reload T, force-restart, force-shutdown X
                         and send KILL if that does not help
Commands of our own:
  start --now            start at once, whatever it waits for
  stop -r, force-stop -r first stop the services that need it
  ready                  say that the service is ready (notification-fd 0)
  reset                  forget that it failed
",
            $of_our_own,
            "Without a service:\n",
            $of_all,
            "\
  boot [FILE]            print what the boot took, from its record (/run/sunup/boot)

A SERVICE that starts with . or / or ends with / is a directory; any other is
looked up in $SVDIR, or else in the first that exists of /service, /var/service,
/etc/service, /run/runit/service and /etc/runit/sv. $SVWAIT replaces the 7 seconds.
"
        )
    };
}

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

/// sv of busybox has no verbs of ours.
pub const BUSYBOX: Applet = Applet {
    spec: &BUSYBOX_SPEC,
    run,
};

const BUSYBOX_SPEC: Spec = Spec {
    notes: commands!("", ""),
    ..SPEC
};

/// sv as an init script: the base name of `argv[0]` is the service.
pub const INIT_SCRIPT: Applet = Applet {
    spec: &INIT_SCRIPT_SPEC,
    run: run_as_init_script,
};

const OPTIONS: &[Opt] = &[
    Opt::flag(b'v', "wait up to 7 seconds for the effect, then report it"),
    Opt::valued(b'w', "SEC", "wait up to SEC seconds; implies -v"),
];

const SPEC: Spec = Spec {
    name: "sv",
    synopsis: "[-v] [-w SEC] COMMAND SERVICE... | boot [FILE]",
    about: "query and control services",
    options: OPTIONS,
    order: Order::Posix,
    notes: COMMANDS,
    usage_code: 100,
};

const INIT_SCRIPT_SPEC: Spec = Spec {
    name: "sv",
    synopsis: "[-v] [-w SEC] COMMAND, by the name of a service",
    usage_code: 2,
    ..SPEC
};

const COMMANDS: &str = commands!(
    "\
Commands with options of their own (`sv list --help`, sv-list(8), and so on):
  list                   list the services and what they do
  enable                 let services be supervised, now and after each boot, and start them
  disable                stop services, and let them be supervised no more
  new                    write a service directory for a command
  edit                   open a file of a service in an editor, and look for mistakes
  lint                   look for mistakes in service directories
  health                 say what is not up and ready, though it should be
  log                    print what services have logged, and follow it
  watch                  print what services do, and each change
  metrics                print metrics for Prometheus
  tree                   print what services need, as a tree
  why                    say why a service is down, or up, and what ends that
  top                    show the services that need most, again and again
",
    "  status                 the status of each service\n"
);

/// Seconds to wait without -w and SVWAIT.
const WAIT_S: u64 = 7;
/// The exit code counts failed services up to here.
const FAILURES_MAX: usize = 99;

fn run(call: &Call) -> u8 {
    let [word, names @ ..] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "say a command and a service");
    };
    if *word == b"boot" {
        return match names {
            [] => boot::print(None),
            [file] => boot::print(Some(file)),
            _ => usage_error(&SPEC, "boot: name one record at most"),
        };
    }
    if let Some(verb) = verbs::find(word) {
        return match wait_ms(call) {
            Err(mistake) => usage_error(&SPEC, &mistake),
            Ok(wait_ms) => verb.call(names, wait_ms),
        };
    }
    match asked(call, Verb::parse(word, &verbs::words())) {
        Err(mistake) => usage_error(&SPEC, &mistake),
        Ok((Verb::Status, _)) if !personality::is_busybox() => status(names),
        Ok(_) if names.is_empty() => usage_error(&SPEC, "say which service"),
        Ok((Verb::Status, _)) => count(report::status(names).failed as usize),
        Ok((Verb::Act(action), wait_ms)) => act_on(action, names, wait_ms),
    }
}

/// A line or a JSON object for each service; without names, for each of the scan directory.
fn status(names: &[&[u8]]) -> u8 {
    let (is_json, names) = match names {
        [b"--json", names @ ..] => (true, names),
        names => (false, names),
    };
    let of_all = match directories::enabled() {
        _ if !names.is_empty() => Vec::new(),
        Ok(of_all) => of_all,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    let of_all: Vec<&[u8]> = of_all.iter().map(Vec::as_slice).collect();
    let names = if names.is_empty() { &of_all } else { names };
    if is_json {
        return verb::or_unwritten(count(list::status_as_json(names) as usize));
    }
    count(report::status(names).failed as usize)
}

/// Names of services, perhaps with an option before them.
fn act_on(action: Action, names: &[&[u8]], wait_ms: Option<u64>) -> u8 {
    let optioned = names.split_first().and_then(|(option, names)| {
        let action = action.with(option)?;
        Some((action, names))
    });
    let (action, names) = optioned.unwrap_or((action, names));
    if names.is_empty() {
        return usage_error(&SPEC, "say which service");
    }
    count(act(&action, names, wait_ms))
}

fn run_as_init_script(call: &Call) -> u8 {
    let name = call.argv0.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let Some(word) = call.args.operands.first() else {
        return usage_error(&INIT_SCRIPT_SPEC, "say a command");
    };
    match asked(call, Verb::of_init_script(word)) {
        Err(mistake) => usage_error(&INIT_SCRIPT_SPEC, &mistake),
        Ok((Verb::Status, _)) => report::status(&[name]).lsb_code,
        Ok((Verb::Act(action), wait_ms)) => u8::from(act(&action, &[name], wait_ms) > 0),
    }
}

fn count(failed: usize) -> u8 {
    failed.min(FAILURES_MAX) as u8
}

/// The command, and how long to wait for its effect, in milliseconds; `None`
/// when it need not be waited for.
fn asked(call: &Call, verb: Result<Verb, String>) -> Result<(Verb, Option<u64>), String> {
    let verb = verb?;
    let wait_ms = wait_ms(call)?;
    let waits = match verb {
        Verb::Status => false,
        // In busybox -w only gives the time, and -v asks to wait.
        Verb::Act(action) => {
            let told = personality::pick(&b"vw"[..], b"v");
            action.waits || told.iter().any(|letter| call.args.has(*letter))
        }
    };
    Ok((verb, waits.then_some(wait_ms)))
}

/// How long to wait, in milliseconds.
fn wait_ms(call: &Call) -> Result<u64, String> {
    let from_env = || std::env::var_os("SVWAIT").map(OsStringExt::into_vec);
    let seconds = match (call.args.value(b'w'), from_env()) {
        (Some(text), _) => seconds(text).ok_or_else(|| not_seconds("-w", text))?,
        (None, Some(text)) => seconds(&text).ok_or_else(|| not_seconds("SVWAIT", &text))?,
        (None, None) => WAIT_S,
    };
    Ok(seconds.saturating_mul(1000))
}

fn seconds(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn not_seconds(whose: &str, text: &[u8]) -> String {
    format!(
        "{whose}: {}: not a whole number of seconds",
        text.escape_ascii()
    )
}

/// Does what the command means for other services, sends it to all, and waits for all;
/// returns how many failed.
///
/// Of services that are to stop, those that others stop before come last, in their order.
/// Which these are our supervisor says, for to look for others takes longer than a stop.
fn act(action: &Action, names: &[&[u8]], wait_ms: Option<u64>) -> usize {
    let mut out = Output::new();
    if action.others == Others::Start {
        order::pull(names, &mut out);
    }
    let names: Vec<Vec<u8>> = match action.others {
        Others::Stop => order::with_dependents(names),
        _ => names.iter().map(|name| name.to_vec()).collect(),
    };
    let mut teller = Teller {
        action,
        waiter: wait_ms.map(|ms| wait::Waiter::new(*action, ms, names.len())),
        out: &mut out,
        failed: 0,
    };
    let mut later = Vec::new();
    for name in &names {
        match teller.find(name) {
            Ok(service) if service.may_be_named && action.stops() => later.push(name.clone()),
            found => teller.tell(name, found),
        }
    }
    if action.others == Others::Name && !later.is_empty() {
        order::name_dependents(&later, &names, teller.out);
    }
    for name in order::to_stop(later) {
        let found = teller.find(&name);
        teller.tell(&name, found);
    }
    let Teller { waiter, failed, .. } = teller;
    failed + waiter.map_or(0, |waiter| waiter.finish(&mut out))
}

/// Sends a command to services, one after the other.
struct Teller<'a> {
    action: &'a Action,
    waiter: Option<wait::Waiter>,
    out: &'a mut Output,
    failed: usize,
}

impl Teller<'_> {
    fn find(&mut self, name: &[u8]) -> Result<Service, Trouble> {
        match &mut self.waiter {
            Some(waiter) => waiter.find(name, self.out),
            None => Service::named(name),
        }
    }

    fn tell(&mut self, name: &[u8], found: Result<Service, Trouble>) {
        let done = found.and_then(|service| match &mut self.waiter {
            Some(waiter) => waiter.add(name, service),
            None => send(self.action, &service),
        });
        if let Err(trouble) = done {
            self.failed += usize::from(!trouble.is_success_of(self.action));
            self.out.say(&trouble.line_after(self.action, name));
            if let Some(hint) = trouble.hint(name) {
                self.out.hint(&hint);
            }
        }
    }
}

fn send(action: &Action, service: &Service) -> Result<(), Trouble> {
    service.status()?;
    service.control()?.send(action.bytes)
}
