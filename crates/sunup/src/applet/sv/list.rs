//! `sv list`: the services of the scan directory, and with `-a` those that could be enabled.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use model::options::{Opt, Order, Spec};
use model::snapshot::{Snapshot, json};

use super::directories::{database, enabled, services};
use super::output::Output;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::say;
use crate::sys::clock;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "list",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv list",
    synopsis: "[-aj] [-n]",
    about: "list the services and what they do",
    options: &[
        Opt::flag(b'a', "also list what could be enabled").long("all"),
        Opt::flag(b'j', "a JSON object for each").long("json"),
        Opt::flag(b'n', "the names alone").long("names"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let enabled = match enabled() {
        Ok(names) => names,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    let mut out = Output::new();
    for name in &enabled {
        print(call, &look(name, Depth::All), &mut out);
    }
    if call.args.has(b'a') {
        for seen in disabled(enabled.into_iter().collect()) {
            print(call, &seen, &mut out);
        }
    }
    0
}

fn print(call: &Call, seen: &Snapshot, out: &mut Output) {
    let line = if call.args.has(b'j') {
        json::object(seen, clock::now()).end().into_bytes()
    } else {
        seen.name.escape_ascii().to_string().into_bytes()
    };
    out.say(&[&line, &b"\n"[..]].concat());
}

/// What the database has beside these.
fn disabled(mut known: BTreeSet<Vec<u8>>) -> Vec<Snapshot> {
    let mut found = Vec::new();
    for dir in database() {
        for name in services(&dir).unwrap_or_default() {
            let path = dir.join(OsStr::from_bytes(&name));
            if known.insert(name.clone()) {
                found.push(Snapshot {
                    name,
                    dir: path.into_os_string().into_vec(),
                    supervised: Some(false),
                    ..Snapshot::default()
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}
