//! `sv health`: whether all that should be up is up and ready, for a container's health check
//! and for monitoring. What that means is decided in [`model::snapshot::health`].

use model::format::json::Object;
use model::options::{Opt, Order, Spec};
use model::snapshot::health::complaint;

use super::directories::{enabled, locate};
use super::entry::shown_name;
use super::output::Output;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::say;
use crate::sys::clock;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "health",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv health",
    synopsis: "[-jq] [SERVICE...]",
    about: "say what is not up and ready, though it should be",
    options: &[
        Opt::flag(b'j', "a JSON object for each").long("json"),
        Opt::flag(b'q', "print nothing").long("quiet"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let asked = &call.args.operands;
    let names = match enabled() {
        _ if !asked.is_empty() => asked.iter().map(|name| name.to_vec()).collect(),
        Ok(names) => names,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    let mut out = Output::new();
    let mut is_well = true;
    for name in &names {
        let mut seen = look(name, Depth::All);
        seen.enabled = locate(name).is_dir();
        let log = seen.log.as_deref().map(|log| ("/log", log));
        for (suffix, seen) in [("", &seen)].into_iter().chain(log) {
            let Some(why) = complaint(seen, !asked.is_empty(), clock::wall()) else {
                continue;
            };
            is_well = false;
            let line = if call.args.has(b'j') {
                let mut json = Object::new();
                json.bytes("name", &[name, suffix.as_bytes()].concat());
                json.text("state", seen.state().word());
                json.text("text", &why);
                json.end() + "\n"
            } else {
                [&shown_name(name), suffix, ": ", &why, "\n"].concat()
            };
            if !call.args.has(b'q') {
                out.say(line.as_bytes());
            }
        }
    }
    // Docker keeps 2 for itself, and monitoring has other codes, too.
    u8::from(!is_well)
}
