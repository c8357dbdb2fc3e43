//! `lab bench` from end to end: every measure, a peer of each kind, the shape of
//! what comes out, and nothing left behind. Never how fast anything is.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::common::{lab, succeed};

/// runit is told in busybox's words, and daemontools looks at its directory but
/// every five seconds.
const PEERS: [&str; 4] = ["bare", "busybox", "s6", "sunup"];

/// Measures of all supervisors. Those of loggers and of `-P` are of some.
const MEASURES: [&str; 14] = [
    "start",
    "status-files",
    "memory",
    "page-tables",
    "kernel-memory",
    "processes",
    "descriptors",
    "restart",
    "restart-all",
    "pick-up",
    "status",
    "restart-one",
    "restart-one-up",
    "stop-all",
];

#[test]
fn a_quick_run_measures_everything_of_everybody() {
    let out = tempfile::tempdir().unwrap();
    let output = succeed(
        Command::new(lab())
            .args(["bench", "--quick", "--n", "20", "--peer"])
            .args(PEERS)
            .arg("--out")
            .arg(out.path()),
    );
    let json = fs::read(out.path().join("bench.json")).unwrap();
    let results: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(results["notes"], serde_json::json!([]));
    let peers: Vec<&str> = results["peers"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(peers, PEERS);
    for measure in MEASURES {
        for peer in PEERS.iter().filter(|peer| **peer != "bare") {
            assert!(has_samples(&results, measure, peer), "{measure} of {peer}");
        }
    }
    for (measure, peer) in [
        ("start", "bare"),
        ("log-plain", "bare"),
        ("log-plain", "s6"),
        ("log-tai64n", "s6"),
        ("log-human", "busybox"),
        ("start-sessions", "busybox"),
        ("wake-ups", "sunup"),
        ("false-starts", "sunup"),
        ("false-starts", "busybox"),
        ("check-beside-starts", "sunup"),
        ("check-beside-starts", "busybox"),
        ("check-beside-starts-worst", "sunup"),
        ("command-beside-failing", "sunup"),
        ("command-beside-failing", "busybox"),
        ("restart-beside-hang", "sunup"),
        ("restart-beside-hang", "s6"),
        ("sv-start-ready", "sunup"),
        ("sv-start-ready", "s6"),
        ("all-ready", "sunup"),
        ("all-ready", "s6"),
        ("start-needs", "sunup"),
        ("edge-memory", "sunup"),
        ("chain", "sunup"),
        ("chain", "bare"),
        ("chain-step", "sunup"),
        ("stop-chain", "sunup"),
        ("oneshots", "sunup"),
        ("oneshots", "bare"),
        ("kill-lateness", "sunup"),
        ("kill-lateness", "s6"),
        ("list", "sunup"),
        ("enable", "sunup"),
        ("log-shown", "bare"),
        ("log-shown", "busybox"),
        ("log-shown", "sunup"),
        ("watch-line", "sunup"),
        ("restart-cpu", "sunup"),
        ("restart-cpu-watched", "sunup"),
    ] {
        assert!(has_samples(&results, measure, peer), "{measure} of {peer}");
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("| sv stop of all "), "{table}");
    let readme = fs::read_to_string(out.path().join("README.md")).unwrap();
    assert!(readme.contains("| sv stop of all "), "{readme}");
    let chart = fs::read_to_string(out.path().join("chart.svg")).unwrap();
    assert!(chart.contains("sv stop of all"), "{chart}");
}

/// Whether there are samples, all of them numbers that can be.
fn has_samples(results: &Value, measure: &str, peer: &str) -> bool {
    let series = results["series"].as_array().unwrap();
    let found = series
        .iter()
        .find(|s| s["what"] == measure && s["peer"] == peer);
    found.is_some_and(|s| {
        let samples = s["samples"].as_array().unwrap();
        !samples.is_empty() && samples.iter().all(|v| v.as_f64().is_some_and(|v| v >= 0.0))
    })
}

/// Whether a process runs a program of that directory.
fn somebody_runs_in(dir: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap();
    let mut programs =
        processes.filter_map(|entry| fs::read_link(entry.ok()?.path().join("exe")).ok());
    programs.any(|program| program.starts_with(dir))
}

#[test]
fn ctrl_c_ends_what_was_started() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let dir = place.path().to_str().unwrap();
    let mut child = Command::new(lab())
        .args(["bench", "--only", "idle", "--peer", "sunup", "--n", "5"])
        .env("TMPDIR", dir)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !somebody_runs_in(dir) {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("stopped by a signal"), "{said}");
    assert!(!somebody_runs_in(dir));
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
}
