//! The tests of behaviour, run against programs of others: runit's, busybox's, or
//! those of any directory. What fails is compared with the list of what is known
//! to differ ([`crate::known`]).
//!
//! Each test has a pid namespace of its own, which ends with it: a supervisor that
//! nothing can stop is no trouble. What surprises is looked at once more, alone and
//! with more patience ([`crate::runner`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::known::List;
use crate::runner::{End, Outcome, Run, Setting};
use crate::{debian, reference, workspace};

/// Names the directory of the reference busybox to the tests of the binary.
pub const REFERENCE: &str = "SUNUP_REFERENCE";

/// How long a test of the binary waits for an event (s).
pub const PATIENCE: &str = "SUNUP_PATIENCE";

/// How long a test waits for an event at first (s), for what differs is mostly seen
/// by one that does not come; and when it is run again.
const WAITS: [&str; 2] = ["10", "100"];

/// How long a test may take at first; one that is listed is likely to hang.
const DEADLINE: Duration = Duration::from_mins(1);
const LISTED: Duration = Duration::from_secs(25);

/// Modules about what sunup alone has: its command line, how it takes mistakes, its
/// pages, sources and records.
const OWN: &[&str] = &[
    "bad_input",
    "access",
    "boot_record",
    "cli",
    "common",
    "container",
    "crash_loop",
    "exits",
    "face",
    "graph",
    "guide",
    "hints",
    "initramfs",
    "instances",
    "killed",
    "manual",
    "memory",
    "no_room",
    "notify",
    "oneshots",
    "order",
    "personality",
    "plain",
    "pristine",
    "ready",
    "restarts",
    "scale",
    "scan_dir",
    "settings",
    "stage1",
    "started",
    "state_lines",
    "stops",
    "sulogin",
    "switch_root",
    "tidy",
    "torture",
    "trust",
    "turns",
    "upgrade",
    "waiting",
    "ward",
];

/// What Debian's package runit installs.
const RUNIT: [&str; 8] = [
    "/sbin/runit",
    "/usr/bin/chpst",
    "/usr/bin/runsv",
    "/usr/bin/runsvdir",
    "/usr/bin/sv",
    "/usr/bin/svlogd",
    "/usr/sbin/runsvchdir",
    "/usr/sbin/utmpset",
];

/// Other names of runit's chpst.
const CHPST: [&str; 6] = [
    "envdir",
    "envuidgid",
    "pgrphack",
    "setlock",
    "setuidgid",
    "softlimit",
];

/// Programs to test.
pub struct Programs {
    dir: PathBuf,
    /// Without a list nothing may fail, and what is absent is not applicable.
    known: Option<Known>,
}

struct Known {
    list: List,
    /// In the table of defects.
    letter: char,
}

/// What became of the tests of one directory.
#[derive(Debug, Default)]
pub struct Judged {
    /// What is wrong beside tests that ended otherwise: lists that do not hold.
    pub wrong: Vec<String>,
    /// How many tests failed as listed.
    differ: u32,
    /// How many were not applicable, by the program that is not there.
    absent: BTreeMap<String, u32>,
}

impl Programs {
    /// `runit` and `busybox` are those of Debian, provided as needed; everything
    /// else is a directory.
    ///
    /// # Errors
    /// What is missing, or cannot be made.
    pub fn find(name: &str) -> Result<Self> {
        let (dir, letter) = match name {
            "runit" => (runit()?, Some('R')),
            "busybox" => (reference::busybox()?, Some('B')),
            other => {
                let dir = fs::canonicalize(other).with_context(|| format!("find {other}"))?;
                (dir, None)
            }
        };
        let known = match letter {
            Some(letter) => Some(Known {
                list: List::read(&lists().join(name).with_extension("txt"))?,
                letter,
            }),
            None => None,
        };
        Ok(Self { dir, known })
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The tests of behaviour among all.
    ///
    /// # Errors
    /// If there are none.
    pub fn tests(&self, all: &[String]) -> Result<Vec<String>> {
        let own = |name: &&String| name.split("::").next().is_some_and(|m| OWN.contains(&m));
        let tests: Vec<String> = all.iter().filter(|name| !own(name)).cloned().collect();
        if tests.is_empty() {
            bail!("there are no tests of behaviour");
        }
        Ok(tests)
    }

    /// How a test is run in `place`, at first and again.
    pub fn settings(&self, place: &Path, reference: &Path) -> [Setting; 2] {
        let mut before = vec!["unshare"];
        if !debian::is_root() {
            before.extend(["--user", "--map-current-user"]);
        }
        before.extend(["--pid", "--fork", "--kill-child", "--mount-proc", "setsid"]);
        let before: Vec<OsString> = before.into_iter().map(OsString::from).collect();
        WAITS.map(|patience| Setting {
            before: before.clone(),
            env: vec![
                ("SUNUP_UNDER_TEST".into(), self.dir.clone().into()),
                (REFERENCE.into(), reference.into()),
                (PATIENCE.into(), patience.into()),
                ("RUST_BACKTRACE".into(), "0".into()),
            ],
            dir: place.to_path_buf(),
        })
    }

    /// How long a test may take at first.
    pub fn deadline(&self, test: &str) -> Duration {
        if self.is_listed(test) {
            LISTED
        } else {
            DEADLINE
        }
    }

    /// Whether it is known to differ.
    pub fn is_listed(&self, test: &str) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.list.fails.contains_key(test))
    }

    /// Whether a test ended as the list says.
    pub fn expects(&self, test: &str, run: &Run) -> bool {
        match absent(run) {
            _ if run.end == End::Passed => !self.is_listed(test),
            None => self.is_listed(test),
            Some(program) => match &self.known {
                Some(known) => known.list.absent.contains_key(program) && !self.is_listed(test),
                None => true,
            },
        }
    }

    /// What all tests came to.
    pub fn judge<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) -> Judged {
        let mut judged = Judged::default();
        let mut tests = Vec::new();
        for outcome in outcomes {
            tests.push(outcome.name.clone());
            let Some(run) = outcome.last() else {
                continue;
            };
            match absent(run) {
                Some(program) => *judged.absent.entry(program.to_owned()).or_default() += 1,
                None if run.end == End::Failed => judged.differ += 1,
                None => {}
            }
        }
        if let Some(Known { list, letter }) = &self.known {
            let document = workspace::root().join("docs/compatibility.md");
            match fs::read_to_string(document) {
                Ok(document) => judged
                    .wrong
                    .extend(list.mistakes(*letter, &document, &tests)),
                Err(e) => judged
                    .wrong
                    .push(format!("read docs/compatibility.md: {e}")),
            }
            let needless = list
                .absent
                .keys()
                .filter(|p| !judged.absent.contains_key(*p));
            let lines = needless.map(|p| format!("- {p}: no test misses it; remove its line"));
            judged.wrong.extend(lines);
        }
        judged
    }
}

/// The program for want of which a test did not pass.
fn absent(run: &Run) -> Option<&str> {
    let (_, rest) = run.said.split_once("under test: no ")?;
    rest.split_whitespace()
        .next()
        .filter(|_| run.end == End::Failed)
}

impl Judged {
    /// How many tests were not applicable.
    pub fn absent(&self) -> u32 {
        self.absent.values().sum()
    }

    /// What there is to tell beside numbers.
    pub fn told(&self) -> String {
        let absent: Vec<String> = self
            .absent
            .iter()
            .map(|(program, tests)| format!("{tests} for want of {program}"))
            .collect();
        let absent = match &absent[..] {
            [] => String::new(),
            some => format!("; not applicable: {}", some.join(", ")),
        };
        format!("{} tests show known differences{absent}", self.differ)
    }
}

/// Where the lists are.
fn lists() -> PathBuf {
    workspace::root().join("crates/sunup/tests/known")
}

/// A directory with links to the programs of the installed package.
fn runit() -> Result<PathBuf> {
    let dir = workspace::scratch()?.join("under-test/runit");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    for program in RUNIT {
        if !Path::new(program).exists() {
            bail!("{program} is missing: install Debian's package runit");
        }
        link(Path::new(program), &dir)?;
    }
    for name in CHPST {
        let link = dir.join(name);
        if !link.exists() {
            symlink("chpst", &link).with_context(|| format!("link {}", link.display()))?;
        }
    }
    Ok(dir)
}

fn link(program: &Path, dir: &Path) -> Result<()> {
    let link = dir.join(program.file_name().unwrap_or_default());
    if !link.exists() {
        symlink(program, &link).with_context(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, end: End, said: &str) -> Outcome {
        let run = Run {
            end,
            said: said.into(),
            took: Duration::ZERO,
            work: Duration::ZERO,
        };
        Outcome {
            suite: "runit".into(),
            name: name.into(),
            runs: vec![run],
            flaky: false,
        }
    }

    #[test]
    fn what_ends_otherwise_than_listed_is_wrong() {
        let list = "- mdev: none\n- getty: none\nsv::a D1\nsv::b D1\n";
        let programs = Programs {
            dir: PathBuf::new(),
            known: Some(Known {
                list: list.parse().unwrap(),
                letter: '-',
            }),
        };
        let outcomes = [
            (outcome("sv::a", End::Failed, "why"), true),
            (outcome("sv::b", End::Passed, ""), false),
            (outcome("sv::c", End::Failed, "why"), false),
            (outcome("sv::d", End::Passed, ""), true),
            (outcome("sv::e", End::Failed, "under test: no mdev\n"), true),
            (
                outcome("sv::f", End::Failed, "under test: no init\n"),
                false,
            ),
        ];
        for (outcome, expected) in &outcomes {
            let run = outcome.last().unwrap();
            assert_eq!(
                programs.expects(&outcome.name, run),
                *expected,
                "{}",
                outcome.name
            );
        }
        let judged = programs.judge(outcomes.iter().map(|(outcome, _)| outcome));
        let needless = "- getty: no test misses it; remove its line";
        assert!(judged.wrong.contains(&needless.to_owned()));
        assert_eq!(judged.absent(), 2);
        assert_eq!(
            judged.told(),
            "2 tests show known differences; not applicable: 1 for want of init, 1 for want of mdev"
        );
    }
}
