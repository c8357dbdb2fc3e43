//! `sv list`: the services of the scan directory, and with `-a` those that could be enabled;
//! and `sv status --json`.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use model::glob;
use model::options::{Opt, Order, Spec};
use model::snapshot::table::{row, table};
use model::snapshot::{Snapshot, json};
use model::sorted::sort_by;

use super::directories::{database, enabled, scan_directory, services};
use super::output::Output;
use super::parts::{self, Reported};
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use super::view;
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
    synopsis: "[-ajn] [PATTERN...]",
    about: "list the services and what they do",
    options: &[
        Opt::flag(b'a', "also list what could be enabled").long("all"),
        Opt::flag(b'j', "a JSON object for each").long("json"),
        Opt::flag(b'n', "the names alone").long("names"),
    ],
    order: Order::Permute,
    notes: "\
A PATTERN is of a shell: *, ?, [a-z]. Quote it, or the shell looks for files.
",
    usage_code: 100,
};

/// What is printed of a service.
type Print = fn(&Snapshot) -> String;

fn run(call: &Call) -> u8 {
    let of_all = match enabled() {
        Ok(names) => names,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    let others = if call.args.has(b'a') {
        disabled(&of_all)
    } else {
        Vec::new()
    };
    let is_asked = |name: &[u8]| are_asked(&call.args.operands, name);
    let mut names: Vec<&[u8]> = of_all.iter().map(Vec::as_slice).collect();
    names.retain(|name| is_asked(name));
    let others: Vec<_> = others.iter().filter(|seen| is_asked(&seen.name)).collect();
    if names.is_empty() && others.is_empty() {
        return nothing(call, of_all.is_empty());
    }
    if call.args.has(b'n') {
        let mut out = Output::new();
        let others = others.iter().map(|seen| &seen.name[..]);
        for name in names.into_iter().chain(others) {
            out.say(format!("{}\n", name.escape_ascii()).as_bytes());
        }
    } else if call.args.has(b'j') {
        print_all(&names, &others, Depth::All, object, &mut Output::new());
    } else {
        let mut out = Output::kept();
        print_all(&names, &others, Depth::Row, table_row, &mut out);
        let rows = out.into_lines().unwrap_or_default();
        say::print(&table(&String::from_utf8_lossy(&rows), view::of_stdout()));
    }
    0
}

fn print_all(names: &[&[u8]], others: &[&Snapshot], depth: Depth, print: Print, out: &mut Output) {
    look_at_all(names, depth, print, out);
    for seen in others {
        out.say(print(seen).as_bytes());
    }
}

/// `sv status --json`; returns how many services could not be seen.
pub fn status_as_json(names: &[&[u8]]) -> u32 {
    look_at_all(names, Depth::All, object, &mut Output::new()).failed
}

/// Looks at all, and prints each.
pub fn look_at_all(names: &[&[u8]], depth: Depth, print: Print, out: &mut Output) -> Reported {
    parts::report(names, out, &|names, out| {
        let mut failed = 0;
        for name in names {
            let seen = look(name, depth);
            let log = seen.log.as_deref();
            let troubles = [
                seen.trouble.as_ref(),
                log.and_then(|log| log.trouble.as_ref()),
            ];
            failed += u32::from(troubles.iter().any(Option::is_some));
            out.say(print(&seen).as_bytes());
        }
        Reported {
            failed,
            lsb_code: 0,
        }
    })
}

fn table_row(seen: &Snapshot) -> String {
    row(seen, None, clock::moment())
}

fn object(seen: &Snapshot) -> String {
    json::object(seen, clock::now()).end() + "\n"
}

/// Whether one of the patterns matches; without a pattern, all are meant.
pub fn are_asked(patterns: &[&[u8]], name: &[u8]) -> bool {
    let mut patterns = patterns.iter();
    patterns.len() == 0 || patterns.any(|pattern| glob::matches(pattern, name))
}

/// There is nothing to list: says what to do next.
fn nothing(call: &Call, is_empty: bool) -> u8 {
    let dir = scan_directory().unwrap_or_default();
    let dir = dir.display();
    if !call.args.operands.is_empty() {
        say::line("sv", "no service has such a name; `sv list -a` lists all");
        return 1;
    }
    if is_empty && call.args.has(b'a') {
        say::line(
            "sv",
            format_args!("{dir} has no service, and there is none to enable"),
        );
    } else {
        say::line(
            "sv",
            format_args!("{dir} has no service; `sv list -a` lists what can be enabled"),
        );
    }
    0
}

/// What the database has beside these, which are sorted.
fn disabled(enabled: &[Vec<u8>]) -> Vec<Snapshot> {
    let mut found = Vec::new();
    for dir in database() {
        for name in services(&dir).unwrap_or_default() {
            let path = dir.join(OsStr::from_bytes(&name));
            if enabled.binary_search(&name).is_err() {
                found.push(Snapshot {
                    name,
                    dir: path.into_os_string().into_vec(),
                    supervised: Some(false),
                    ..Snapshot::default()
                });
            }
        }
    }
    sort_by(&mut found, |a, b| a.name.cmp(&b.name));
    // Of two databases the first one counts.
    found.dedup_by(|later, first| later.name == first.name);
    found
}
