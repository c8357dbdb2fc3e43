//! `lab test --repeat N`: the same tests many times, beside loops that keep
//! processors busy, to find out which of them fail by chance, and how often.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;

use crate::runner::{Expects, Job, Runner};

/// Runs jobs so many times; whether nothing ever failed.
pub fn run(
    runner: &Runner,
    jobs: &[Job],
    times: u32,
    load: usize,
    expects: Expects,
) -> Result<bool> {
    let stop = AtomicBool::new(false);
    let failed = thread::scope(|scope| {
        for _ in 0..load {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let failed = count(runner, jobs, times, expects);
        stop.store(true, Ordering::Relaxed);
        failed
    })?;
    for (name, (failures, said)) in &failed {
        println!("---- {name}, the last of its failures:\n{said}\n");
        println!("{name}: failed {failures} of {times}");
    }
    let tests: usize = jobs.iter().map(|job| job.names().len()).sum();
    println!(
        "{tests} tests {times} times: {} of them failed",
        failed.len()
    );
    Ok(failed.is_empty())
}

/// How often each test failed that ever did, and what it said the last time.
fn count(
    runner: &Runner,
    jobs: &[Job],
    times: u32,
    expects: Expects,
) -> Result<BTreeMap<String, (u32, String)>> {
    let mut failed: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for round in 1..=times {
        for (job, name, run) in runner.run_once(jobs)? {
            if !expects(&job.suite, &name, &run) {
                let entry = failed.entry(format!("{} {name}", job.suite)).or_default();
                *entry = (entry.0 + 1, run.said);
            }
        }
        eprintln!(
            "lab: round {round} of {times}: {} tests have failed",
            failed.len()
        );
    }
    Ok(failed)
}
