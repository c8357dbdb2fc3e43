//! Which jobs a suite is: what of it shares a process, what runs beside what, and
//! how its processes are started.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Suite;
use super::binaries::Binary;
use super::environment::{AS_USER, MUSL_TARGET, OTHER_TARGET};
use crate::runner::{DEADLINE, Job, Kind, Lane, Setting};
use crate::under_test::{PATIENCE, Programs, REFERENCE};
use crate::workspace;

/// Tests that take long by themselves, and how long they may: part of a name.
const LONG: [(&str, Duration); 9] = [
    // In software emulation, on a machine that others use.
    (SCALE, Duration::from_mins(30)),
    ("a_thousand_services", Duration::from_mins(5)),
    ("shutdown_in_debian_in_qemu", Duration::from_mins(10)),
    ("five_thousand_services", Duration::from_mins(5)),
    // A compiler, and a mirror that may be far away.
    ("built_with_the_feature", Duration::from_mins(10)),
    ("the_tree_of_packages", Duration::from_mins(10)),
    (PORTS, Duration::from_mins(10)),
    // dpkg, again and again; on Debian 13 beside a tree that is made first.
    (TRIXIE, Duration::from_mins(15)),
    (PACKAGE, Duration::from_mins(10)),
];

/// The tests of machines of another kind begin with it.
const PORTS: &str = "ports::";

/// The test that takes longest of all.
const SCALE: &str = "ten_thousand_services";

/// The tests of our own package in Debian, and those of them that need Debian 13.
const PACKAGE: &str = "ours::";
const TRIXIE: &str = "in_trixie";

/// A workspace of its own. Mangled input is tried by the tests of the model.
const FUZZ: [&str; 5] = [
    "check",
    "--quiet",
    "--locked",
    "--manifest-path",
    "fuzz/Cargo.toml",
];

const CLIPPY: [&str; 7] = [
    "clippy",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// For which target comes behind it.
const OTHER_CHECK: [&str; 5] = ["check", "--quiet", "--package", "sunup", "--target"];

/// Checks by cargo may compile everything.
const CHECK: Duration = Duration::from_mins(15);

/// How long a test waits for an event (s), so that it says itself what did not come.
const WAIT: &str = "100";

/// Tests of lab that fill the machine with processes, and those that compile.
const CROWDS: [&str; 2] = ["bench::", "five_thousand"];
const COMPILES: [&str; 1] = ["built_with_the_feature"];

/// What is the same for everybody, so root's run is enough: how the supervisor shares out its
/// turns, and what sv says in each state. They cost most, for they start thousands of
/// processes. The pages of the guide are for root. What a user may do (locks, signals, limits, /proc of
/// others) is in all other tests, and these run as both.
pub const ALIKE: [&str; 3] = ["turns::", "sv::verbs::", "guide::pages::"];

/// Has the words behind it run where everybody may enter the directory `$1`, though
/// one above it is closed: that one is covered, for the test alone.
const OPEN_VIEW: &str = r#"set -e
closed=$1 open=$2; shift 2
hold=$(mktemp -d)
mount --make-rprivate /
mount --bind "$open" "$hold"
mount -t tmpfs -o mode=755 view "$closed"
mkdir -p "$open"
mount --move "$hold" "$open"
rmdir "$hold"
cd "$OLDPWD" 2>/dev/null || cd "$open"
exec "$@"
"#;

/// See the module.
pub struct Plan {
    binaries: Vec<Binary>,
    reference: Option<PathBuf>,
    /// What is to be run, so far.
    pub jobs: Vec<Job>,
}

impl Plan {
    /// An empty one.
    pub fn new(binaries: Vec<Binary>, reference: Option<PathBuf>) -> Self {
        Self {
            binaries,
            reference,
            jobs: Vec::new(),
        }
    }

    /// Adds the jobs of a suite of our own programs.
    pub fn add(&mut self, suite: Suite) {
        match suite {
            Suite::Format => self.check(suite, "cargo fmt", &["fmt", "--all", "--check"]),
            Suite::Lint => {
                self.check(suite, "cargo clippy", &CLIPPY);
                self.check(suite, "cargo check of the fuzzer", &FUZZ);
                let others = [
                    ("another machine", OTHER_TARGET),
                    ("another C library", MUSL_TARGET),
                ];
                for (what, target) in others {
                    if workspace::has_target(target) {
                        let words = [&OTHER_CHECK[..], &[target]].concat();
                        self.check(suite, &format!("cargo check for {what}"), &words);
                    }
                }
            }
            Suite::Model => self.in_groups(suite, "model", Lane::Works),
            Suite::Sunup => self.sunup(suite, &[], |_| true),
            Suite::User => {
                let mut before = open_view(&workspace::root());
                before.extend(AS_USER.map(OsString::from));
                let root = Suite::Sunup.name();
                let root_runs_all = self.jobs.iter().any(|job| job.suite == root);
                self.sunup(suite, &before, |test| {
                    !root_runs_all || !ALIKE.iter().any(|part| test.starts_with(part))
                });
            }
            Suite::Lab => self.lab(),
            Suite::Vm => self.vm(),
            Suite::Scale => self.one_of_vm(suite, |test| test.contains(SCALE)),
            Suite::Ports => self.one_of_vm(suite, |test| test.starts_with(PORTS)),
            Suite::Page => self.all_of(suite, "page"),
            Suite::Peers => self.all_of(suite, "peers"),
            Suite::Debian => self.debian(),
            Suite::Trixie => self.trixie(),
            Suite::Busybox | Suite::Runit => {}
        }
    }

    /// Adds the tests of behaviour against programs of others.
    ///
    /// # Errors
    /// If there are none.
    pub fn add_others(&mut self, name: &str, programs: &Programs) -> Result<()> {
        let binary = self.binaries.iter().find(|b| b.is("sunup", "test", "it"));
        let binary = binary.context("the package sunup has no tests called `it`")?;
        let reference = self.reference.clone().unwrap_or_default();
        for test in programs.tests(&binary.tests)? {
            let [setting, again] = programs.settings(&binary.dir, &reference);
            self.jobs.push(Job {
                suite: name.to_owned(),
                lane: if programs.is_listed(&test) {
                    Lane::Differs
                } else {
                    Lane::Waits
                },
                program: binary.path.clone(),
                setting: Arc::new(setting),
                again: Some(Arc::new(again)),
                deadline: programs.deadline(&test),
                kind: Kind::Tests(vec![test]),
            });
        }
        Ok(())
    }

    /// What may take longest comes first, so that nothing long is left for the end.
    pub fn sort(&mut self) {
        self.jobs.sort_by_key(|job| std::cmp::Reverse(job.deadline));
    }

    /// Leaves out tests whose names lack a part.
    pub fn select(&mut self, part: &str) {
        for job in &mut self.jobs {
            if let Kind::Tests(names) = &mut job.kind {
                names.retain(|name| name.contains(part));
            }
        }
        self.jobs
            .retain(|job| job.names().iter().any(|name| name.contains(part)));
    }

    fn check(&mut self, suite: Suite, name: &str, args: &[&str]) {
        let command = workspace::cargo();
        let job = Job {
            suite: suite.name(),
            lane: Lane::Works,
            program: command.get_program().into(),
            kind: Kind::Check(name.to_owned(), args.iter().map(OsString::from).collect()),
            setting: Arc::new(Setting {
                dir: workspace::root(),
                ..Setting::default()
            }),
            again: None,
            deadline: CHECK,
        };
        self.jobs.push(job);
    }

    /// Each binary of a package in one process.
    fn in_groups(&mut self, suite: Suite, package: &str, lane: Lane) {
        for binary in self.of(package, |_| true) {
            let tests = binary.tests.clone();
            self.group(suite, &binary, lane, tests, &[]);
        }
    }

    /// Unit tests in one process, and each test of processes in one of its own.
    fn sunup(&mut self, suite: Suite, before: &[OsString], wanted: impl Fn(&str) -> bool) {
        for binary in self.of("sunup", |_| true) {
            let tests = binary.tests.iter().filter(|test| wanted(test));
            let tests: Vec<String> = tests.cloned().collect();
            if binary.kind == "test" {
                for test in tests {
                    self.group(suite, &binary, Lane::Waits, vec![test], before);
                }
            } else {
                self.group(suite, &binary, Lane::Works, tests, before);
            }
        }
    }

    fn lab(&mut self) {
        for binary in self.of("lab", |b| {
            !matches!(b.target.as_str(), "debian" | "page" | "peers")
        }) {
            let here = |test: &&String| !test.contains("in_qemu") && !test.starts_with(PORTS);
            let tests: Vec<String> = binary.tests.iter().filter(here).cloned().collect();
            if binary.kind != "test" {
                self.group(Suite::Lab, &binary, Lane::Works, tests, &[]);
            } else if binary.target == "vm" {
                // They share a machine.
                self.group(Suite::Lab, &binary, Lane::Crowds, tests, &[]);
            } else {
                for test in tests {
                    let is_one_of = |parts: &[&str]| parts.iter().any(|part| test.contains(part));
                    let lane = match () {
                        () if is_one_of(&CROWDS) => Lane::Crowds,
                        () if is_one_of(&COMPILES) => Lane::Works,
                        () => Lane::Waits,
                    };
                    self.group(Suite::Lab, &binary, lane, vec![test], &[]);
                }
            }
        }
    }

    /// The one that is longest comes first.
    fn vm(&mut self) {
        let in_qemu = |test: &&String| test.contains("in_qemu") && !test.contains(SCALE);
        for binary in self.of("lab", |b| b.target == "vm" || b.target == "it") {
            let tests: Vec<String> = binary.tests.iter().filter(in_qemu).cloned().collect();
            let (long, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(|t| is_long(t));
            for tests in [long, others] {
                self.group(Suite::Vm, &binary, Lane::Emulates, tests, &[]);
            }
        }
    }

    /// Some of the machines in QEMU.
    fn one_of_vm(&mut self, suite: Suite, is_one: impl Fn(&str) -> bool) {
        for binary in self.of("lab", |b| b.target == "vm") {
            let tests = binary.tests.iter().filter(|test| is_one(test));
            let tests = tests.cloned().collect();
            self.group(suite, &binary, Lane::Emulates, tests, &[]);
        }
    }

    /// Of one binary; a browser, and the peers' tests, start several processes for each test.
    fn all_of(&mut self, suite: Suite, target: &str) {
        for binary in self.of("lab", |b| b.target == target) {
            let tests = binary.tests.clone();
            self.group(suite, &binary, Lane::Crowds, tests, &[]);
        }
    }

    /// The tree comes first, which all others need; of the others, all but what runs
    /// in QEMU and what installs our package share two machines. The package has a lane
    /// of its own, and waits for the tree there. Our own tree in QEMU shows what a kernel does at
    /// the end: with that, Debian's is left out, which takes longer than any other machine.
    fn debian(&mut self) {
        let vm = Suite::Vm.name();
        let has_qemu = self.jobs.iter().any(|job| job.suite == vm);
        for binary in self.of("lab", |b| b.target == "debian") {
            let here = binary.tests.iter().filter(|test| !test.contains(TRIXIE));
            let (tree, others): (Vec<_>, Vec<_>) = here
                .cloned()
                .partition(|t| t.contains("the_tree_of_packages"));
            let (package, others): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|t| t.starts_with(PACKAGE));
            let (emulated, shared): (Vec<_>, Vec<_>) = others
                .into_iter()
                .partition(|test| test.contains("in_qemu"));
            self.group(Suite::Debian, &binary, Lane::Debian, tree, &[]);
            self.group(Suite::Debian, &binary, Lane::Debian, shared, &[]);
            self.group(Suite::Debian, &binary, Lane::Package, package, &[]);
            if !has_qemu {
                self.group(Suite::Debian, &binary, Lane::Emulates, emulated, &[]);
            }
        }
    }

    fn trixie(&mut self) {
        for binary in self.of("lab", |b| b.target == "debian") {
            let is_one = |test: &&String| test.contains(TRIXIE);
            let tests = binary.tests.iter().filter(is_one).cloned().collect();
            self.group(Suite::Trixie, &binary, Lane::Debian, tests, &[]);
        }
    }

    fn of(&self, package: &str, wanted: impl Fn(&Binary) -> bool) -> Vec<Binary> {
        let of_package = self
            .binaries
            .iter()
            .filter(|b| b.is_of(package) && wanted(b));
        of_package.cloned().collect()
    }

    /// Tests of a binary in one process.
    fn group(
        &mut self,
        suite: Suite,
        binary: &Binary,
        lane: Lane,
        tests: Vec<String>,
        before: &[OsString],
    ) {
        let Some(first) = tests.first() else {
            return;
        };
        let deadline = LONG.iter().find(|(part, _)| first.contains(part));
        let mut env = binary.env();
        env.push((PATIENCE.into(), WAIT.into()));
        env.extend(
            self.reference
                .iter()
                .map(|dir| (REFERENCE.into(), dir.clone().into())),
        );
        let setting = Setting {
            before: before.to_vec(),
            env,
            dir: binary.dir.clone(),
        };
        self.jobs.push(Job {
            suite: suite.name(),
            lane,
            program: binary.path.clone(),
            deadline: deadline.map_or(DEADLINE, |(_, time)| *time),
            kind: Kind::Tests(tests),
            setting: Arc::new(setting),
            again: None,
        });
    }
}

fn is_long(test: &str) -> bool {
    LONG.iter().any(|(part, _)| test.contains(part))
}

/// The words before a test that an ordinary user runs; none, if everybody may enter
/// the sources and what is built of them.
fn open_view(root: &Path) -> Vec<OsString> {
    let may_enter = |dir: &&Path| fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 1 == 1);
    let closed = root.ancestors().filter(|dir| !may_enter(dir)).last();
    let Some(closed) = closed else {
        return Vec::new();
    };
    let words = ["unshare", "--mount", "sh", "-c", OPEN_VIEW, "sh"].map(OsString::from);
    words
        .into_iter()
        .chain([closed.into(), root.into()])
        .collect()
}
