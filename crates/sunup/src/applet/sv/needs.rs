//! `sv tree`: what services need, or who needs them, with their states.

use std::collections::BTreeSet;

use model::graph::Kind;
use model::options::{Opt, Order, Spec};
use model::snapshot::tree::{Marks, Needs};

use super::directories::{enabled, locate, services};
use super::order::{Places, last, sibling};
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::say;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "tree",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv tree",
    synopsis: "[-dr] [SERVICE...]",
    about: "print what services need, as a tree",
    options: &[
        Opt::flag(b'd', "a graph for dot(1)").long("dot"),
        Opt::flag(b'r', "who needs them").long("reverse"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let mut roots: Vec<Vec<u8>> = Vec::new();
    for name in &call.args.operands {
        // Without a slash at its end, as others name it.
        roots.push(sibling(name, last(name)));
    }
    if let (true, Err(mistake)) = (roots.is_empty(), enabled()) {
        say::line("sv", mistake);
        return 1;
    }
    let (mut needs, known) = gather(&roots);
    if call.args.has(b'r') {
        needs = needs.reversed();
    }
    let missing = roots.iter().filter(|root| !known.contains(*root));
    let mut failed = 0;
    for name in missing {
        failed = 1;
        say::line(
            "sv",
            format_args!("there is no service {}", name.escape_ascii()),
        );
    }
    roots.retain(|root| known.contains(root));
    if failed == 0 && roots.is_empty() {
        roots = needs.tops();
    }
    let state = |name: &Vec<u8>| {
        let state = if known.contains(name) {
            look(name, Depth::Row).state().word()
        } else {
            "not enabled"
        };
        (last(name).escape_ascii().to_string(), state.to_owned())
    };
    let shown = |name: &Vec<u8>| {
        let (name, state) = state(name);
        name + ": " + &state
    };
    let text = if call.args.has(b'd') {
        needs.dot(&roots, state)
    } else {
        needs.tree(&roots, marks(), shown)
    };
    say::print(&text);
    failed
}

/// What all services beside these say of each other, and who they are.
fn gather(roots: &[Vec<u8>]) -> (Needs, BTreeSet<Vec<u8>>) {
    let mut places = Places::default();
    let mut around = BTreeSet::new();
    for root in roots {
        around.insert(sibling(root, b""));
    }
    if roots.is_empty() {
        around.insert(Vec::new());
    }
    let (mut needs, mut known) = (Needs::default(), BTreeSet::new());
    for place in around {
        let any = locate(&[&place, &b"any"[..]].concat());
        for name in services(any.parent().unwrap_or(&any)).unwrap_or_default() {
            let name = [&place[..], &name].concat();
            needs.add(&name);
            for (kind, other) in places.edges(&name, &Kind::ALL) {
                needs.add_edge(&name, kind, &sibling(&name, &other));
            }
            known.insert(name);
        }
    }
    (needs, known)
}

/// By the locale.
fn marks() -> Marks {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let mut values = names.iter().filter_map(std::env::var_os);
    let locale = values.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.as_encoded_bytes().to_ascii_lowercase();
    if locale.ends_with(b"utf-8") || locale.ends_with(b"utf8") {
        Marks::UTF_8
    } else {
        Marks::ASCII
    }
}
