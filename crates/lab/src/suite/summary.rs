//! What the tests came to: a table of suites, what failed with its output, what was
//! left to chance, what was not run, and one line of numbers at the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::runner::{End, Expects, Outcome};

/// More tests than this that fail and then pass are no chance.
const FLAKY_MAX: usize = 2;
/// So many of the slowest tests are named, and of those that took most of the processors.
const NAMED: usize = 5;

/// What a suite came to.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    passed: u32,
    failed: u32,
    work: Duration,
    took: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Summary {
    rows: BTreeMap<String, Row>,
    failures: String,
    flaky: Vec<(String, String)>,
    slowest: Vec<(Duration, String)>,
    costliest: Vec<(Duration, String)>,
    left_out: Vec<String>,
    notes: Vec<String>,
}

impl Summary {
    /// Takes what the runner found.
    pub fn take(&mut self, outcomes: &[Outcome], expects: Expects) {
        for outcome in outcomes {
            let Some(last) = outcome.last() else {
                continue;
            };
            let name = format!("{} {}", outcome.suite, outcome.name);
            let good = last.end != End::NotRun && expects(&outcome.suite, &outcome.name, last);
            let row = self.rows.entry(outcome.suite.clone()).or_default();
            row.passed += u32::from(good);
            row.failed += u32::from(!good);
            for run in &outcome.runs {
                row.work += run.work;
                row.took += run.took;
                self.slowest.push((run.took, name.clone()));
                self.costliest.push((run.work, name.clone()));
            }
            let mut told = String::new();
            for (run, number) in outcome.runs.iter().zip(1..) {
                let _ = writeln!(
                    told,
                    "---- {name}, run {number}: {:?}\n{}",
                    run.end, run.said
                );
            }
            if !good && last.end == End::Passed {
                told += "it passes, and is listed as one that differs: remove its line\n";
            }
            if !good {
                self.failures += &told;
            } else if outcome.flaky {
                self.flaky.push((name, told));
            }
        }
    }

    /// Tests that did not apply are none that passed.
    pub fn absent(&mut self, suite: &str, tests: u32) {
        let row = self.rows.entry(suite.to_owned()).or_default();
        row.passed = row.passed.saturating_sub(tests);
    }

    /// Something beside a test's end is wrong with a suite.
    pub fn wrong(&mut self, suite: &str, why: &str) {
        let _ = writeln!(self.failures, "{suite}: {why}");
        self.rows.entry(suite.to_owned()).or_default().failed += 1;
    }

    /// Something was not run; why.
    pub fn left_out(&mut self, why: &str) {
        self.left_out.push(why.to_owned());
    }

    /// Something worth a line.
    pub fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }

    /// Whether nothing of a suite failed.
    pub fn passed_suite(&self, suite: &str) -> bool {
        self.rows.get(suite).is_none_or(|row| row.failed == 0)
    }

    /// Whether the run is good.
    pub fn passed(&self) -> bool {
        self.failed() == 0
    }

    fn failed(&self) -> u32 {
        let many = self.flaky.len() > FLAKY_MAX;
        self.rows.values().map(|row| row.failed).sum::<u32>() + u32::from(many)
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = self.failures.clone();
        for (_, told) in &self.flaky {
            text += told;
        }
        text += "\n  suite      passed  failed  seconds of tests  of processors\n";
        for (name, row) in &self.rows {
            let (took, work) = (row.took.as_secs_f64(), row.work.as_secs_f64());
            let _ = writeln!(
                text,
                "  {name:<10} {:>6}  {:>6}  {took:>16.1}  {work:>13.1}",
                row.passed, row.failed
            );
        }
        for (time, name) in most(&self.slowest) {
            let _ = writeln!(text, "slow: {name}: {:.1} s", time.as_secs_f64());
        }
        for (time, name) in most(&self.costliest) {
            let time = time.as_secs_f64();
            let _ = writeln!(text, "costly: {name}: {time:.1} s of processors");
        }
        for line in &self.notes {
            let _ = writeln!(text, "{line}");
        }
        for line in &self.left_out {
            let _ = writeln!(text, "not run: {line}");
        }
        for (name, _) in &self.flaky {
            let _ = writeln!(
                text,
                "flaky: {name}: it failed, and passed twice alone; see above"
            );
        }
        if self.flaky.len() > FLAKY_MAX {
            let _ = writeln!(
                text,
                "flaky: {} tests are too many, which is a failure",
                self.flaky.len()
            );
        }
        let passed: u32 = self.rows.values().map(|row| row.passed).sum();
        let _ = writeln!(text, "\n{passed} passed, {} failed", self.failed());
        text
    }
}

/// Those with the longest times.
fn most(times: &[(Duration, String)]) -> Vec<(Duration, String)> {
    let mut most = times.to_vec();
    most.sort_by(|a, b| b.cmp(a));
    most.truncate(NAMED);
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Run;

    fn outcome(name: &str, ends: &[End], flaky: bool) -> Outcome {
        let run = |end: &End| Run {
            end: *end,
            said: format!("said by {name}"),
            took: Duration::from_secs(1),
            work: Duration::ZERO,
        };
        Outcome {
            suite: "model".into(),
            name: name.into(),
            runs: ends.iter().map(run).collect(),
            flaky,
        }
    }

    fn summary(outcomes: &[Outcome]) -> Summary {
        let mut summary = Summary::default();
        summary.take(outcomes, &|_, _, run| run.end == End::Passed);
        summary
    }

    #[test]
    fn what_failed_is_told_with_what_it_said() {
        let failed = outcome("b", &[End::Failed, End::Failed], false);
        let summary = summary(&[outcome("a", &[End::Passed], false), failed]);
        assert!(!summary.passed());
        let text = summary.text();
        assert!(
            text.contains("said by b") && !text.contains("said by a"),
            "{text}"
        );
        assert!(text.ends_with("\n1 passed, 1 failed\n"), "{text}");
    }

    #[test]
    fn two_may_be_chance_and_three_are_not() {
        let flaky = |name| outcome(name, &[End::Failed, End::Passed, End::Passed], true);
        let two = summary(&[flaky("a"), flaky("b")]);
        assert!(two.passed());
        assert!(two.text().contains("flaky: model a"));
        assert!(two.text().ends_with("\n2 passed, 0 failed\n"));
        let three = summary(&[flaky("a"), flaky("b"), flaky("c")]);
        assert!(!three.passed());
        assert!(three.text().ends_with("\n3 passed, 1 failed\n"));
    }

    #[test]
    fn what_was_not_run_is_told() {
        let mut summary = summary(&[]);
        summary.left_out("runit: why");
        assert!(summary.text().contains("\nnot run: runit: why\n"));
        assert!(summary.text().ends_with("\n0 passed, 0 failed\n"));
    }
}
