//! Snapshots as metrics, for Prometheus and what else reads its text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Its end is marked as
//! OpenMetrics asks for; for the text format that is a comment.
//!
//! A row is there only if its value is known. Of a service without a supervisor there is one
//! row alone, which says so: what was true before is not said again.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::line::Goal;
use super::{Snapshot, State};
use crate::format::status::Phase;
use crate::process::Exit;

/// What is measured, and how to read it from a snapshot.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Snapshot) -> Option<String>,
}

const METRICS: [Metric; 9] = [
    Metric {
        name: "sunup_supervisor_up",
        kind: "gauge",
        help: "Whether a supervisor has the service.",
        value: |seen| seen.supervised.map(boolean),
    },
    Metric {
        name: "sunup_service_up",
        kind: "gauge",
        help: "Whether its program runs, or it is a oneshot that is done.",
        value: |seen| known(seen).map(|state| boolean(Goal::Up.is_met_by(state))),
    },
    Metric {
        name: "sunup_service_ready",
        kind: "gauge",
        help: "Whether it is up, and ready as far as it says that.",
        value: |seen| known(seen).map(|state| boolean(Goal::Ready.is_met_by(state))),
    },
    Metric {
        name: "sunup_service_state",
        kind: "gauge",
        help: "1 for the state that it is in; other states have no row.",
        value: |seen| known(seen).map(|_| "1".into()),
    },
    Metric {
        name: "sunup_service_start_time_seconds",
        kind: "gauge",
        help: "When its program was started, as a Unix time.",
        value: start,
    },
    Metric {
        name: "sunup_service_restarts_total",
        kind: "counter",
        help: "How many of its runs have ended since it is supervised.",
        value: |seen| ended(seen).map(|last| (u64::from(last.restarts) + 1).to_string()),
    },
    Metric {
        name: "sunup_service_last_exit_code",
        kind: "gauge",
        help: "The exit code of its last run that has ended; 128 and the signal if one killed it.",
        value: |seen| exit_code(ended(seen)?.exit),
    },
    Metric {
        name: "sunup_service_memory_bytes",
        kind: "gauge",
        help: "The resident memory of its process, without its children.",
        value: |seen| {
            known(seen)
                .and(seen.usage)
                .map(|usage| usage.memory_bytes.to_string())
        },
    },
    Metric {
        name: "sunup_service_cpu_seconds_total",
        kind: "counter",
        help: "The time of processors that its present process has used.",
        value: |seen| {
            let ms = known(seen).and(seen.usage)?.cpu_ms?;
            Some(format!("{}.{:03}", ms / 1000, ms % 1000))
        },
    },
];

/// The whole text. Log services have the names `NAME/log`.
pub fn metrics(services: &[Snapshot]) -> String {
    let mut rows: Vec<(String, &Snapshot)> = Vec::new();
    for seen in services {
        rows.push((label(&seen.name), seen));
        if let Some(log) = &seen.log {
            rows.push((label(&[&seen.name, &b"/log"[..]].concat()), log));
        }
    }
    let mut text = String::new();
    for metric in METRICS {
        let Metric {
            name,
            kind,
            help,
            value,
        } = metric;
        text.extend([
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ]);
        for (label, seen) in &rows {
            let Some(value) = value(seen) else { continue };
            text.extend([name, "{service=\"", label, "\""]);
            if name == "sunup_service_state" {
                text.extend([",state=\"", seen.state().word(), "\""]);
            }
            text.extend(["} ", &value, "\n"]);
        }
    }
    text.push_str("# EOF\n");
    text
}

/// A value of a label: UTF-8, in which three characters are escaped. Other bytes, and what a
/// terminal would obey, are escaped before that.
fn label(name: &[u8]) -> String {
    let is_plain = |text: &&str| !text.chars().any(|c| c.is_control() && c != '\n');
    let text = match core::str::from_utf8(name).ok().filter(is_plain) {
        Some(text) => text.to_string(),
        None => name.escape_ascii().to_string(),
    };
    let mut label = String::new();
    for c in text.chars() {
        match c {
            '\\' => label.push_str("\\\\"),
            '"' => label.push_str("\\\""),
            '\n' => label.push_str("\\n"),
            c => label.push(c),
        }
    }
    label
}

fn boolean(is: bool) -> String {
    u8::from(is).to_string()
}

/// Its state, if it has a supervisor that says it.
fn known(seen: &Snapshot) -> Option<State> {
    let state = seen.state();
    let is_known = !matches!(state, State::Gone | State::Disabled | State::Unknown);
    is_known.then_some(state)
}

fn start(seen: &Snapshot) -> Option<String> {
    let is_run = |phase| phase == Phase::Run;
    known(seen)?;
    let status = seen
        .status
        .filter(|status| is_run(status.phase) && status.pid != 0)?;
    let (seconds, millis) = (
        status.changed.unix_seconds(),
        status.changed.nanos() / 1_000_000,
    );
    Some(format!("{seconds}.{millis:03}"))
}

fn ended(seen: &Snapshot) -> Option<&crate::format::state::last::Last> {
    known(seen).and_then(|_| seen.last())
}

fn exit_code(exit: Exit) -> Option<String> {
    match (exit, exit.signal()) {
        (Exit::Code(code), _) => Some(code.to_string()),
        (_, Some(signal)) => Some((128 + u32::from(signal)).to_string()),
        (_, None) => None,
    }
}
