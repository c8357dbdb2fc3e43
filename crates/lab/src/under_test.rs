//! The tests of behaviour, run against programs of others: runit's, busybox's, or
//! those of any directory. What fails is compared with the list of what is known
//! to differ ([`crate::known`]).
//!
//! Each test is a process with a pid namespace of its own, which ends with it: a
//! supervisor that nothing can stop is no trouble, and neither is a test that
//! hangs. What surprises is looked at once more, alone, and a failure with more patience.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Seek};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

use crate::known::List;
use crate::suite::{PATIENCE, REFERENCE};
use crate::{debian, moment, reference, workspace};

/// Modules about what sunup alone has: its command line, how it takes mistakes, its
/// pages, sources and records.
const OWN: [&str; 12] = [
    "bad_input",
    "cli",
    "crash_loop",
    "exits",
    "manual",
    "personality",
    "scale",
    "started",
    "tidy",
    "torture",
    "trust",
    "upgrade",
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

/// Tests wait for events most of the time.
const TESTS_AT_ONCE: usize = 12;

/// How long a test waits for an event, and how long it may take.
#[derive(Clone, Copy)]
struct Limits {
    patience: Duration,
    end: Duration,
}

/// At first: what differs is mostly seen by an event that does not come.
const QUICK: Limits = Limits {
    patience: Duration::from_secs(10),
    end: Duration::from_secs(50),
};
/// For what surprises: the machine may have been busy, or its disk.
const PATIENT: Limits = Limits {
    patience: Duration::from_mins(3),
    end: Duration::from_mins(5),
};

/// More failures than this are no chance, and not worth the time of a second look.
const FAILED_MAX: usize = 8;
/// The same of what passed.
const PASSED_MAX: usize = 24;

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
pub struct Outcome {
    /// Tests that ended as they should.
    pub passed: u32,
    /// What is wrong, in lines: tests that ended otherwise, and lists that do not hold.
    pub wrong: Vec<String>,
    /// How many tests failed as listed, and were not applicable.
    pub differ: u32,
    /// By the program that is not there.
    pub absent: BTreeMap<String, u32>,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Passed,
    /// With what it said.
    Failed(String),
    /// It needs a program that is not there.
    Absent(String),
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

    /// Runs the tests of behaviour.
    ///
    /// # Errors
    /// Tests that cannot be built or run; one that fails is no error.
    pub fn test(&self) -> Result<Outcome> {
        let suite = Suite::build(&self.dir)?;
        let tests = suite.tests()?;
        let mut wrong = Vec::new();
        if let Some(Known { list, letter }) = &self.known {
            let document = workspace::root().join("docs/compatibility.md");
            let document = fs::read_to_string(document).context("read docs/compatibility.md")?;
            wrong = list.mistakes(*letter, &document, &tests);
        }
        let ends = suite.run_all(&tests, |test, end| !self.expects(test, end))?;
        let mut outcome = self.judge(&ends);
        outcome.wrong.splice(0..0, wrong);
        Ok(outcome)
    }

    fn is_listed(&self, test: &str) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.list.fails.contains_key(test))
    }

    fn expects(&self, test: &str, end: &End) -> bool {
        match end {
            End::Passed => !self.is_listed(test),
            End::Failed(_) => self.is_listed(test),
            End::Absent(program) => match &self.known {
                Some(known) => known.list.absent.contains_key(program) && !self.is_listed(test),
                None => true,
            },
        }
    }

    fn judge(&self, ends: &BTreeMap<String, End>) -> Outcome {
        let mut outcome = Outcome::default();
        for (test, end) in ends {
            if !self.expects(test, end) {
                outcome.wrong.push(match end {
                    End::Passed => format!("{test}: no longer differs; remove its line"),
                    End::Failed(said) => format!("{test}: failed\n{said}"),
                    End::Absent(program) => format!(
                        "{test}: there is no {program}, and no line `- {program}: WHY`, or one for the test"
                    ),
                });
                continue;
            }
            match end {
                End::Passed => outcome.passed += 1,
                End::Failed(_) => {
                    outcome.passed += 1;
                    outcome.differ += 1;
                }
                End::Absent(program) => *outcome.absent.entry(program.clone()).or_default() += 1,
            }
        }
        let listed = self.known.iter().flat_map(|known| known.list.absent.keys());
        let needless = listed.filter(|program| !outcome.absent.contains_key(*program));
        let lines = needless.map(|p| format!("- {p}: no test misses it; remove its line"));
        outcome.wrong.extend(lines);
        outcome
    }
}

impl Outcome {
    /// What there is to tell beside numbers.
    pub fn summary(&self) -> String {
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

/// The tests of sunup as a program, and what they get.
struct Suite<'a> {
    binary: PathBuf,
    /// The busybox that programs are compared with.
    reference: PathBuf,
    programs: &'a Path,
    /// What tests leave behind is removed with it.
    temporary: TempDir,
}

impl<'a> Suite<'a> {
    fn build(programs: &'a Path) -> Result<Self> {
        let output = workspace::cargo()
            .args(["test", "--package=sunup", "--test=it", "--no-run"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .context("run cargo test")?;
        let messages = output.stdout.split(|b| *b == b'\n');
        let mut values = messages.filter_map(|m| serde_json::from_slice::<Value>(m).ok());
        let binary = values.find_map(|m| {
            let is_it = m["target"]["name"] == "it";
            m["executable"]
                .as_str()
                .filter(|_| is_it)
                .map(PathBuf::from)
        });
        let Some(binary) = binary.filter(|_| output.status.success()) else {
            bail!("build the tests: cargo says why above");
        };
        let temporary = tempfile::tempdir()?;
        // Tests give up root's privileges, and look at what is theirs.
        fs::set_permissions(temporary.path(), Permissions::from_mode(0o755))?;
        Ok(Self {
            binary,
            reference: reference::busybox()?,
            programs,
            temporary,
        })
    }

    /// The names of the tests of behaviour.
    fn tests(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.binary).arg("--list").output();
        let output = output.with_context(|| format!("run {}", self.binary.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
        let own = |name: &&str| name.split("::").next().is_some_and(|m| OWN.contains(&m));
        let tests: Vec<String> = names.filter(|n| !own(n)).map(str::to_owned).collect();
        if tests.is_empty() {
            bail!("{} lists no tests", self.binary.display());
        }
        Ok(tests)
    }

    /// Runs tests, and those whose end is a surprise once more.
    fn run_all(
        &self,
        tests: &[String],
        surprise: impl Fn(&str, &End) -> bool,
    ) -> Result<BTreeMap<String, End>> {
        let mut ends = self.run_some(tests, QUICK, TESTS_AT_ONCE)?;
        let surprises = ends
            .iter()
            .filter(|(test, end)| surprise(test, end) && !matches!(end, End::Absent(_)));
        // What passed is listed, and patience makes it no likelier to fail.
        let (passed, failed): (Vec<_>, Vec<_>) = surprises
            .map(|(test, end)| (test.clone(), end == &End::Passed))
            .partition(|(_, passed)| *passed);
        for (again, most, limits) in [(passed, PASSED_MAX, QUICK), (failed, FAILED_MAX, PATIENT)] {
            if again.len() <= most {
                let again: Vec<String> = again.into_iter().map(|(test, _)| test).collect();
                ends.extend(self.run_some(&again, limits, 1)?);
            }
        }
        Ok(ends)
    }

    fn run_some(
        &self,
        tests: &[String],
        limits: Limits,
        at_once: usize,
    ) -> Result<BTreeMap<String, End>> {
        let next = AtomicUsize::new(0);
        let ends = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let end = self.run(test, limits).map(|end| (test.clone(), end));
                        ends.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(end);
                    }
                });
            }
        });
        let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        ends.into_iter().collect()
    }

    /// Runs one test.
    fn run(&self, test: &str, limits: Limits) -> Result<End> {
        let mut file = tempfile::tempfile()?;
        let mut command = Command::new("unshare");
        if !debian::is_root() {
            command.args(["--user", "--map-current-user"]);
        }
        let mut child = command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "setsid"])
            .arg(&self.binary)
            .args([test, "--exact", "--test-threads=1"])
            .env("SUNUP_UNDER_TEST", self.programs)
            .env(REFERENCE, &self.reference)
            .env(PATIENCE, limits.patience.as_secs().to_string())
            .env("RUST_BACKTRACE", "0")
            .env("TMPDIR", self.temporary.path())
            .current_dir(workspace::root().join("crates/sunup"))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file.try_clone()?)
            .spawn()
            .context("run unshare (package util-linux)")?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let in_time = poll(&mut fds, Some(&moment::timespec(limits.end)))? > 0;
        // With unshare goes everything that the test started.
        child.kill()?;
        let status = child.wait()?;
        file.rewind()?;
        let mut said = io::read_to_string(file)?;
        if !in_time {
            said = format!("{said}\nno end within {:?}", limits.end);
        }
        let absent = said.split_once("under test: no ").map(|(_, rest)| rest);
        let program = absent.and_then(|rest| rest.split_whitespace().next());
        Ok(match program {
            _ if in_time && status.success() => End::Passed,
            Some(program) => End::Absent(program.to_owned()),
            None => End::Failed(said),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_otherwise_than_listed_is_wrong() {
        let list = "- mdev: none\n- getty: none\nsv::a D1\nsv::b D1\n";
        let programs = Programs {
            dir: PathBuf::new(),
            known: Some(Known {
                list: list.parse().unwrap(),
                letter: 'R',
            }),
        };
        let failed = || End::Failed("why".into());
        let absent = |program: &str| End::Absent(program.into());
        let ends = [
            ("sv::a", failed()),
            ("sv::b", End::Passed),
            ("sv::c", failed()),
            ("sv::d", End::Passed),
            ("sv::e", absent("mdev")),
            ("sv::f", absent("init")),
        ];
        let ends = ends.map(|(name, end)| (name.to_owned(), end));
        let outcome = programs.judge(&BTreeMap::from(ends));
        assert_eq!(
            outcome.wrong,
            [
                "sv::b: no longer differs; remove its line",
                "sv::c: failed\nwhy",
                "sv::f: there is no init, and no line `- init: WHY`, or one for the test",
                "- getty: no test misses it; remove its line",
            ]
        );
        assert_eq!((outcome.passed, outcome.differ), (2, 1));
        assert_eq!(
            outcome.summary(),
            "1 tests show known differences; not applicable: 1 for want of mdev"
        );
    }
}
