//! The runner of `lab test`: what hangs ends with all its processes, and chance is
//! told from fault.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lab::runner::{End, Job, Kind, Lane, Outcome, Runner, Setting};
use tempfile::tempdir;

use super::common::lab;

/// Runs a script as a check in `dir`.
fn run(dir: &Path, script: &str, deadline: Duration) -> Outcome {
    let job = Job {
        suite: "suite".into(),
        lane: Lane::Waits,
        program: "sh".into(),
        kind: Kind::Check("check".into(), vec!["-c".into(), script.into()]),
        setting: Arc::new(Setting {
            dir: dir.to_path_buf(),
            ..Setting::default()
        }),
        again: None,
        deadline,
    };
    let runner = Runner::new(lab());
    let passed = |_: &str, _: &str, run: &lab::runner::Run| run.end == End::Passed;
    let mut outcomes = runner.run(&[job], &passed).unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

fn ends(outcome: &Outcome) -> Vec<End> {
    outcome.runs.iter().map(|run| run.end).collect()
}

#[test]
fn what_hangs_ends_with_all_its_processes() {
    let dir = tempdir().unwrap();
    // A session of its own, whose parent is gone: only the warden can find it.
    let script = "echo begun; (setsid sh -c 'echo $$ >>pids; exec sleep 1000' &); exec sleep 1000";
    // Each run may be ended before it has said a word: enough that one has.
    let outcome = run(dir.path(), script, Duration::from_secs(3));
    assert!(!outcome.flaky);
    assert!(ends(&outcome).iter().all(|end| *end == End::Failed));
    let said = &outcome.last().unwrap().said;
    assert!(said.contains("no end within"), "{said}");
    assert!(said.contains("begun"), "{said}");
    for pid in fs::read_to_string(dir.path().join("pids")).unwrap().lines() {
        assert!(!Path::new("/proc").join(pid).exists(), "{pid} is left");
    }
}

#[test]
fn chance_is_told_from_fault() {
    let dir = tempdir().unwrap();
    let script = "[ -e there ] || { : >there; echo not yet; exit 1; }";
    let outcome = run(dir.path(), script, Duration::from_mins(2));
    assert!(outcome.flaky);
    assert_eq!(ends(&outcome), [End::Failed, End::Passed, End::Passed]);
    assert!(outcome.runs[0].said.contains("not yet"));

    let outcome = run(dir.path(), "exit 1", Duration::from_mins(2));
    assert!(!outcome.flaky);
    assert_eq!(ends(&outcome), [End::Failed, End::Failed]);

    let outcome = run(dir.path(), "true", Duration::from_mins(2));
    assert_eq!(ends(&outcome), [End::Passed]);
}
