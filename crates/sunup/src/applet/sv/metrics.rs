//! `sv metrics`: the services as metrics, for the textfile collector of Prometheus'
//! node-exporter.

use model::options::{Order, Spec};
use model::snapshot::Snapshot;
use model::snapshot::metrics::metrics;

use super::directories::enabled;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::say;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "metrics",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv metrics",
    synopsis: "[SERVICE...]",
    about: "print metrics for Prometheus",
    options: &[],
    order: Order::Permute,
    notes: "\
Without a SERVICE, of all services of the scan directory.
",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let names = match enabled() {
        _ if !call.args.operands.is_empty() => call
            .args
            .operands
            .iter()
            .map(|name| name.to_vec())
            .collect(),
        Ok(names) => names,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    let seen: Vec<Snapshot> = names.iter().map(|name| look(name, Depth::All)).collect();
    say::print(&metrics(&seen));
    0
}
