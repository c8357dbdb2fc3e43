//! `lab test`: all checks of the sources, side by side, and one summary at the end.
//!
//! The test binaries are built once ([`binaries`]), and each suite makes jobs of
//! them ([`plan`]) for the runner ([`crate::runner`]). Nothing is left out silently:
//! what the tests need is installed, or named ([`environment`]), and what was not
//! run because nothing of it has changed ([`unchanged`]) is told.

mod binaries;
mod environment;
mod plan;
mod repeat;
mod summary;
mod unchanged;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::arch::Arch;
use crate::runner::{End, Outcome, Run, Runner};
use crate::under_test::Programs;
use crate::{boot, debian, foreign, reference, workspace};
use plan::Plan;
use summary::Summary;
use unchanged::Note;

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
    /// Run what runit's and busybox's programs do, too, if nothing of it has changed since it passed
    #[arg(long)]
    pub all: bool,
    /// Run everything so many times, and say how often each test fails
    #[arg(long, value_name = "N")]
    pub repeat: Option<u32>,
    /// Run only tests whose names hold this
    #[arg(value_name = "PART")]
    pub filter: Option<String>,
    /// Keep so many processors busy meanwhile
    #[arg(long, value_name = "K", default_value_t = 0, requires = "repeat")]
    pub load: usize,
}

/// A part of the tests.
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
    /// Our package on Debian 13, whatever runs here; only root can, and run only if it is named
    Trixie,
    /// A machine in QEMU with ten thousand services; run only if it is named
    Scale,
    /// Machines of another kind in QEMU; run only if it is named
    Ports,
    /// What a browser makes of `lab chart`'s page and of `lab docs`' site; run only if it is named
    Page,
    /// The tests that tini and dumb-init bring along, fetched from Debian; run only if it is named
    Peers,
}

impl Suite {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Whether it starts programs, as opposed to sources that are looked at and
    /// decisions that are called.
    fn has_processes(self) -> bool {
        !matches!(self, Self::Format | Self::Lint | Self::Model)
    }

    /// The package whose test binaries it runs.
    fn package(self) -> Option<&'static str> {
        match self {
            Self::Format | Self::Lint => None,
            Self::Model => Some("model"),
            Self::Sunup | Self::User | Self::Busybox | Self::Runit => Some("sunup"),
            Self::Lab
            | Self::Vm
            | Self::Debian
            | Self::Trixie
            | Self::Scale
            | Self::Ports
            | Self::Page
            | Self::Peers => Some("lab"),
        }
    }
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
            Suite::Trixie | Suite::Scale | Suite::Ports | Suite::Page | Suite::Peers => false,
            _ => true,
        };
        let all = Suite::value_variants().iter().copied();
        all.filter(wanted).collect()
    }
}

/// Runs the tests; whether all passed.
///
/// # Errors
/// What the tests need and is not to be had, and what cannot be built.
pub fn run(options: &Options) -> Result<bool> {
    let root = debian::is_root();
    let suites = options.suites(root);
    for suite in [Suite::User, Suite::Debian, Suite::Trixie] {
        if suites.contains(&suite) && !root {
            bail!("only root can run the suite {}", suite.name());
        }
    }
    let mut summary = Summary::default();
    name_left_out(&suites, root, &mut summary);
    let (binaries, reference) = build(options, &suites)?;
    if suites.contains(&Suite::Vm) || suites.contains(&Suite::Scale) {
        tell_kernel(&mut summary)?;
    }
    let mut others = Others::default();
    let mut plan = Plan::new(binaries, reference);
    for suite in &suites {
        match suite {
            Suite::Busybox | Suite::Runit => {
                others.add(&suite.name(), options, &mut plan, &mut summary)?;
            }
            suite => plan.add(*suite),
        }
    }
    if let Some(name) = &options.under_test {
        others.add(name, options, &mut plan, &mut summary)?;
    }
    if let Some(part) = &options.filter {
        plan.select(part);
    }
    plan.sort();
    let runner = Runner::new(workspace::lab());
    if let Some(times) = options.repeat {
        return repeat::run(
            &runner,
            &plan.jobs,
            times,
            options.load,
            &|suite, test, run| others.expects(suite, test, run),
        );
    }
    let outcomes = runner.run(&plan.jobs, &|suite, test, run| {
        others.expects(suite, test, run)
    })?;
    summary.take(&outcomes, &|suite, test, run| {
        others.expects(suite, test, run)
    });
    others.close(options, &outcomes, &mut summary);
    print!("{}", summary.text());
    Ok(summary.passed())
}

/// Says what is not run, and how to have it run.
fn name_left_out(suites: &[Suite], root: bool, summary: &mut Summary) {
    if !root && suites.contains(&Suite::Vm) {
        summary.left_out("debian: only root can make Debian's tree");
    }
    if suites.contains(&Suite::Sunup) && suites.contains(&Suite::User) {
        summary.left_out(&format!(
            "user: {}, which root's run shows for everybody (`--only user` runs them)",
            plan::ALIKE.join(" and ")
        ));
    }
    if suites.contains(&Suite::Vm) && suites.contains(&Suite::Debian) {
        summary.left_out("debian: its shutdown in QEMU (`cargo lab test --only debian` runs it)");
    }
    if suites.contains(&Suite::Lab) && !suites.contains(&Suite::Ports) {
        summary.left_out("trixie: the package on Debian 13 (`cargo lab test --only trixie`)");
        summary.left_out("scale: ten thousand services in QEMU (`cargo lab test --only scale`)");
        summary.left_out("ports: machines of another kind (`cargo lab test --only ports`)");
    }
    if suites.contains(&Suite::Lab) && !suites.contains(&Suite::Peers) {
        summary.left_out("peers: the tests of tini and dumb-init (`cargo lab test --only peers`)");
    }
    if suites.contains(&Suite::Lab) && !suites.contains(&Suite::Page) {
        summary.left_out("page: a boot's page and the documents in a browser (`cargo lab test --only page`, with Debian's package chromium)");
    }
}

/// Says on which kernel the machines in QEMU are, and what of them is not tested there.
fn tell_kernel(summary: &mut Summary) -> Result<()> {
    let kernel = boot::Parts::default().kernel()?;
    summary.note(&format!("vm: on {}", kernel.name));
    if kernel.place.is_none() {
        summary.left_out("vm: mdev as the kernel's hotplug helper, and the watchdog: Debian's kernel has neither (`cargo lab kernel` builds one that has)");
    }
    Ok(())
}

/// Builds all that is tested and gets all that it is tested with, side by side.
fn build(options: &Options, suites: &[Suite]) -> Result<(Vec<binaries::Binary>, Option<PathBuf>)> {
    let mut suites = suites.to_vec();
    suites.extend(options.under_test.as_ref().map(|_| Suite::Runit));
    let mut packages: Vec<&str> = suites.iter().filter_map(|suite| suite.package()).collect();
    packages.dedup();
    let needs = environment::needs(&suites);
    let missing = !debian::missing(&needs).is_empty();
    if missing && !debian::is_root() {
        debian::provide(&needs)?;
    } else if !missing {
        environment::check(&suites)?;
    }
    eprintln!("lab: building the tests");
    thread::scope(|scope| {
        let tests = scope.spawn(|| match packages[..] {
            [] => Ok(Vec::new()),
            _ => binaries::build(&packages),
        });
        let release = scope.spawn(|| {
            let needed = packages.contains(&"lab");
            needed.then(workspace::build_sunup).transpose()
        });
        if missing {
            debian::provide(&needs)?;
            environment::check(&suites)?;
        }
        let reference = if packages.contains(&"sunup") || packages.contains(&"lab") {
            Some(reference::busybox()?)
        } else {
            None
        };
        if packages.contains(&"lab") {
            debian::busybox(&workspace::scratch()?)?;
        }
        if suites.contains(&Suite::Ports) {
            let arch = Arch::Aarch64;
            arch.target().build()?;
            foreign::busybox(arch, &workspace::scratch()?)?;
            foreign::kernel(arch, &workspace::scratch()?)?;
        }
        if [Suite::Vm, Suite::Scale, Suite::Debian]
            .iter()
            .any(|suite| suites.contains(suite))
        {
            debian::kernel(&workspace::scratch()?)?;
        }
        join(release)?;
        Ok((join(tests)?, reference))
    })
}

fn join<T>(handle: thread::ScopedJoinHandle<Result<T>>) -> Result<T> {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The suites that run tests of behaviour against programs of others.
#[derive(Default)]
struct Others {
    by_name: BTreeMap<String, (Programs, Note)>,
}

impl Others {
    /// Plans the run against programs, if anything has changed since it passed.
    fn add(
        &mut self,
        name: &str,
        options: &Options,
        plan: &mut Plan,
        summary: &mut Summary,
    ) -> Result<()> {
        let programs = Programs::find(name)?;
        let note = Note::of(name, programs.dir())?;
        let asked = options.all
            || options.repeat.is_some()
            || options.under_test.is_some()
            || options.filter.is_some()
            || !options.only.is_empty();
        if !asked && note.holds() {
            summary.left_out(&format!(
                "{name}: it passed, and neither tests nor programs have changed since (--all runs it)"
            ));
            return Ok(());
        }
        plan.add_others(name, &programs)?;
        self.by_name.insert(name.to_owned(), (programs, note));
        Ok(())
    }

    /// Whether a test ended as it should.
    fn expects(&self, suite: &str, test: &str, run: &Run) -> bool {
        match self.by_name.get(suite) {
            Some((programs, _)) => programs.expects(test, run),
            None => run.end == End::Passed,
        }
    }

    /// What is to be said beside numbers, and noted for the next time.
    fn close(&self, options: &Options, outcomes: &[Outcome], summary: &mut Summary) {
        for (name, (programs, note)) in &self.by_name {
            let of_suite = outcomes.iter().filter(|outcome| outcome.suite == *name);
            let judged = programs.judge(of_suite);
            summary.note(&format!("{name}: {}", judged.told()));
            summary.absent(name, judged.absent());
            if options.filter.is_some() {
                // Of some tests alone nothing can be said about the list.
                continue;
            }
            for wrong in &judged.wrong {
                summary.wrong(name, wrong);
            }
            note.keep(judged.wrong.is_empty() && summary.passed_suite(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
