//! `lab test`: all checks of the sources, one suite after the other, and one
//! summary at the end.
//!
//! A suite is a run of cargo, or of the tests of behaviour against programs of
//! others ([`crate::under_test`]). What it says is kept, and shown if it fails.
//! Nothing is left out silently: what the tests need is installed, or named.

use std::fs::{self, File, Permissions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use indicatif::ProgressBar;

use crate::debian::{self, Need};
use crate::moment::Moment;
use crate::under_test::Programs;
use crate::{reference, workspace};

/// What to test.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Leave out what needs QEMU, or a tree of Debian's packages
    #[arg(long, conflicts_with = "only")]
    pub quick: bool,
    /// Run this suite alone; may be given more than once
    #[arg(long, value_enum, value_name = "SUITE")]
    pub only: Vec<Suite>,
    /// Run the tests of behaviour alone, against these programs: runit, busybox, or those of a directory
    #[arg(long, value_name = "PROGRAMS", conflicts_with_all = ["quick", "only"])]
    pub under_test: Option<String>,
}

/// A part of the tests. Their order is that of their cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The format of the sources
    Format,
    /// Clippy, without a warning
    Lint,
    /// What decides
    Model,
    /// The binary, with real processes
    Sunup,
    /// The same as an ordinary user, when it is root who tests
    User,
    /// This tool, and machines in namespaces
    Lab,
    /// What busybox's programs do in the tests of behaviour
    Busybox,
    /// What runit's programs do in the tests of behaviour
    Runit,
    /// Machines in QEMU
    Vm,
    /// Debian's packages and boot; only root can make their tree
    Debian,
}

/// What the tests run, beside cargo.
const NEEDS: &[Need] = &[
    Need("busybox", "busybox-static"),
    Need("cpio", "cpio"),
    Need("dpkg-deb", "dpkg"),
    Need("gzip", "gzip"),
    Need("mkfifo", "coreutils"),
    Need("perl", "perl-base"),
    Need("runsv", "runit"),
    Need("s6-svscan", "s6"),
    Need("nsenter", "util-linux"),
    Need("setpriv", "util-linux"),
    Need("setsid", "util-linux"),
    Need("unshare", "util-linux"),
];

/// What [`Suite::Debian`] makes its tree with.
const MMDEBSTRAP: Need = Need("mmdebstrap", "mmdebstrap");

/// What [`Suite::Vm`] and [`Suite::Debian`] run.
const QEMU: Need = Need("qemu-system-x86_64", "qemu-system-x86");

/// An ordinary user: nobody.
const USER: &str =
    "['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--']";

/// Names the directory of the reference busybox to the tests of the binary.
pub(crate) const REFERENCE: &str = "SUNUP_REFERENCE";

/// How many tests a run of libtest plays at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// How long a test of the binary waits for an event (s).
pub(crate) const PATIENCE: &str = "SUNUP_PATIENCE";

/// What became of a suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs the tests; whether all passed.
pub fn run(options: &Options) -> Result<bool> {
    let suites = options.suites(debian::is_root());
    for tool in ["fmt", "clippy"] {
        provide_component(tool)?;
    }
    debian::provide(NEEDS)?;
    if suites.contains(&Suite::Vm) || suites.contains(&Suite::Debian) {
        debian::provide(&[QEMU])?;
    }
    if suites.contains(&Suite::Debian) {
        debian::provide(&[MMDEBSTRAP])?;
    } else if suites.contains(&Suite::Vm) && !debian::is_root() {
        eprintln!("lab: the suite debian is left out: only root can make Debian's tree");
    }
    let mut table = String::from("\n  suite      passed  failed  seconds\n");
    let mut total = Count::default();
    let mut add = |name: &str, run: &dyn Fn() -> Result<Count>| -> Result<()> {
        let start = Moment::now();
        let count = run()?;
        table += &row(name, count, Moment::now().since(start));
        total.passed += count.passed;
        total.failed += count.failed;
        total.skipped += count.skipped;
        Ok(())
    };
    for suite in suites {
        add(&suite.name(), &|| run_suite(suite))?;
    }
    if let Some(name) = &options.under_test {
        add(name, &|| run_under_test(name))?;
    }
    println!("{table}\n{}", summary(total));
    Ok(total.failed == 0)
}

impl Options {
    fn suites(&self, root: bool) -> Vec<Suite> {
        let wanted = |suite: &Suite| match suite {
            _ if self.under_test.is_some() => false,
            _ if !self.only.is_empty() => self.only.contains(suite),
            // An ordinary user has run these tests with the suite before.
            Suite::User => root,
            Suite::Vm => !self.quick,
            Suite::Debian => root && !self.quick,
            _ => true,
        };
        let all = Suite::value_variants().iter().copied();
        all.filter(wanted).collect()
    }
}

fn row(name: &str, count: Count, time: Duration) -> String {
    format!(
        "  {:<10} {:>6}  {:>6}  {:>7.1}\n",
        name,
        count.passed,
        count.failed,
        time.as_secs_f64()
    )
}

fn summary(total: Count) -> String {
    let skipped = match total.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    format!("{} passed, {} failed{skipped}", total.passed, total.failed)
}

impl Suite {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Cargo's arguments; a suite without is no run of cargo.
    fn words(self) -> &'static str {
        match self {
            Self::Format => "fmt --all --check",
            Self::Lint => "clippy --workspace --all-targets -- -D warnings",
            Self::Model => "test --package model",
            Self::Sunup | Self::User => "test --package sunup",
            Self::Lab => "test --package lab -- --skip in_qemu --skip in_debian",
            // One machine at a time: they wait for each other anyway.
            Self::Busybox | Self::Runit => "",
            Self::Vm => "test --package lab --test it --test vm -- in_qemu --test-threads=1",
            Self::Debian => "test --package lab --test debian -- --test-threads=1",
        }
    }

    fn is_one_check(self) -> bool {
        matches!(self, Self::Format | Self::Lint)
    }
}

/// Runs a suite and shows what it said if it failed.
fn run_suite(suite: Suite) -> Result<Count> {
    let name = suite.name();
    if suite.words().is_empty() {
        return run_under_test(&name);
    }
    let log = tempfile::NamedTempFile::new().context("make a file for a suite's output")?;
    let mut command = workspace::cargo();
    command
        .args(suite.words().split(' '))
        .stdout(log.reopen()?)
        .stderr(append(log.path())?);
    if matches!(suite, Suite::Sunup | Suite::User) {
        command.env(REFERENCE, reference::busybox()?);
        if std::env::var_os(THREADS).is_none() {
            // Most of the time these wait for a second to be over.
            let processors = thread::available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (2 * processors).to_string());
        }
        // A disk that others use may take a minute to write what is left of the build,
        // and who goes down waits for it.
        if std::env::var_os(PATIENCE).is_none() {
            command.env(PATIENCE, "180");
        }
    }
    let place = match suite {
        Suite::User => Some(as_user(&mut command)?),
        _ => None,
    };
    let bar = progress(&name);
    let status = command.status().context("run cargo")?;
    bar.finish_and_clear();
    drop(place);
    let said = String::from_utf8_lossy(&fs::read(log.path())?).into_owned();
    let mut count = count(&said);
    if suite.is_one_check() {
        count.passed = u32::from(status.success());
    } else if count.passed + count.failed == 0 {
        count.failed = 1;
    }
    if !status.success() && count.failed == 0 {
        count.failed = 1;
    }
    if count.failed > 0 {
        println!("{said}\nlab: {name}: failed ({status}); its output is above");
    }
    Ok(count)
}

/// Runs the tests of behaviour against other programs. Those that are not
/// applicable are no tests of them, and not counted.
fn run_under_test(name: &str) -> Result<Count> {
    let bar = progress(name);
    let outcome = Programs::find(name)?.test()?;
    bar.finish_and_clear();
    for wrong in &outcome.wrong {
        println!("{wrong}");
    }
    println!("lab: {name}: {}", outcome.summary());
    Ok(Count {
        passed: outcome.passed,
        failed: outcome.wrong.len().try_into().unwrap_or(u32::MAX),
        skipped: 0,
    })
}

/// Both of a suite's streams end up in one file, in order.
fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

/// Has cargo run the tests, not the compiler, as nobody; the value is the
/// directory that they may write to.
fn as_user(command: &mut Command) -> Result<tempfile::TempDir> {
    if !debian::is_root() {
        bail!("only root can test as another user; the suite `sunup` runs as you");
    }
    let dir = tempfile::tempdir()?;
    let work = dir.path().join("tmp");
    fs::create_dir(&work)?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    fs::set_permissions(&work, Permissions::from_mode(0o1777))?;
    command
        .args(["--config", &format!("target.'cfg(all())'.runner = {USER}")])
        .env("TMPDIR", &work);
    if !open_to_all(&workspace::scratch()?) {
        command.arg("--target-dir").arg(dir.path().join("target"));
        let copy = dir.path().join("reference");
        reference::copy(&reference::busybox()?, &copy)?;
        command.env(REFERENCE, copy);
    }
    Ok(dir)
}

/// Whether everybody may enter `dir`.
fn open_to_all(dir: &Path) -> bool {
    let may_enter = |dir: &Path| fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 1 == 1);
    dir.ancestors().all(may_enter)
}

/// The sums of libtest's lines `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(said: &str) -> Count {
    let mut sum = Count::default();
    for line in said.lines() {
        let Some((_, numbers)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            continue;
        };
        for field in numbers.split("; ") {
            match field.split_once(' ') {
                Some((n, "passed")) => sum.passed += n.parse().unwrap_or(0),
                Some((n, "failed")) => sum.failed += n.parse().unwrap_or(0),
                Some((n, "ignored")) => sum.skipped += n.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    sum
}

fn progress(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("lab: testing: {name}");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(format!("testing: {name}"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Rust's own parts are rustup's business.
fn provide_component(tool: &str) -> Result<()> {
    let known = workspace::cargo().args([tool, "--version"]).output();
    if known.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!("cargo {tool} is missing: run `rustup component add rustfmt clippy`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_libtest_says() {
        let said = "running 3 tests\n\
             test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: not this\n";
        let want = Count {
            passed: 15,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(count(said), want);
        assert_eq!(summary(want), "15 passed, 2 failed, 1 skipped");
        assert_eq!(summary(Count::default()), "0 passed, 0 failed");
    }

    #[test]
    fn selects_suites() {
        let quick = Options {
            quick: true,
            ..Options::default()
        };
        assert!(!quick.suites(true).contains(&Suite::Vm));
        assert!(!quick.suites(true).contains(&Suite::Debian));
        assert!(!Options::default().suites(false).contains(&Suite::Debian));
        assert!(quick.suites(true).contains(&Suite::User));
        assert!(!quick.suites(false).contains(&Suite::User));
        let only = Options {
            only: vec![Suite::Vm],
            ..Options::default()
        };
        assert_eq!(only.suites(true), [Suite::Vm]);
    }
}
