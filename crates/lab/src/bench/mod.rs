//! `lab bench`: performance beside the peers, in one run, as ratios.
//!
//! The peers take turns (A B C A B C ...), so that what else the machine does
//! hits all of them alike; what counts is the ratio of their medians, not the
//! times. Everything lives on a file system in memory. The service is a program
//! that announces itself ([`probe`]). All that was started is ended by its pid
//! on every way out, Ctrl-C included.

mod beside;
mod boot;
mod chart;
pub mod ear;
mod face;
mod graph;
mod lateness;
mod lines;
mod lives;
mod logs;
mod measures;
pub mod peers;
pub mod probe;
pub mod processes;
mod readiness;
mod report;
mod results;
mod stats;
mod tree;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

use crate::workspace;
use ear::Interrupt;
use lives::{Bench, Effort, Life};
use measures::Part;
use peers::{Name, Peer};
use results::{Machine, Results};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Compare these alone [default: all]
    #[arg(long = "peer", value_enum, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    peers: Vec<Name>,
    /// Numbers of services; what is not about the start is measured with 1000, or the first [default: 100 1000 5000]
    #[arg(long = "n", value_name = "N", num_args = 1.., value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Measure these alone [default: all]
    #[arg(long, value_enum, value_name = "PART", num_args = 1.., value_delimiter = ',')]
    only: Vec<Part>,
    /// How often the peers take turns [default: 5]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// One short round with 20 services: whether everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Where to write README.md, bench.json and chart.svg [default: the target directory's lab/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What is not about supervisors.
#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Boots our machine and one of busybox alone on the same kernel, and counts instructions
    Boot(boot::Options),
}

/// What takes most of the measurements, if it is asked for.
const MAIN_SIZE: usize = 1000;

const FULL: Effort = Effort {
    kills: 200,
    kill_time: Duration::from_secs(20),
    commands: 5,
    false_starts: 100,
    failing: &[500, 5000],
    ready: 20,
    kills_late: 10,
    oneshots: 100,
    arrivals: 4,
    idle: Duration::from_secs(30),
    log_mib: 256,
};

const QUICK: Effort = Effort {
    kills: 3,
    kill_time: Duration::from_secs(2),
    commands: 1,
    false_starts: 5,
    failing: &[500],
    ready: 2,
    kills_late: 1,
    oneshots: 20,
    arrivals: 1,
    idle: Duration::from_millis(500),
    log_mib: 4,
};

/// Something to do with each peer in turn.
#[derive(Clone, Copy, Debug)]
enum Job {
    Live(Life, usize),
    Log,
}

/// Measures, prints the table and writes the files.
pub fn run(options: &Options) -> Result<()> {
    if let Some(What::Boot(options)) = &options.what {
        return boot::run(options);
    }
    let interrupt = Interrupt::new().context("listen for signals")?;
    processes::adopt_orphans()?;
    let own = tempfile::tempdir().context("make a directory for links")?;
    let mut bench = Bench {
        parts: all_unless(&options.only),
        effort: if options.quick { QUICK } else { FULL },
        place: PathBuf::new(),
        interrupt: &interrupt,
        results: Results::default(),
    };
    let peers = provide(options, own.path(), &mut bench.results)?;
    bench.place = place(&mut bench.results)?;
    bench.results.machine = Machine::here(&bench.place.display().to_string());
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 5 });
    let jobs = options.jobs(&bench);
    let bar = progress(rounds * jobs.len() * peers.len());
    for round in 0..rounds {
        for job in &jobs {
            for peer in &peers {
                bar.set_message(format!("round {}: {job}: {}", round + 1, peer.name.word()));
                bench.work(job.in_round(round), peer)?;
                bar.inc(1);
            }
        }
        if bar.is_hidden() {
            eprintln!("lab: bench: round {} of {rounds} is done", round + 1);
        }
    }
    bar.finish_and_clear();
    let out = match &options.out {
        Some(dir) => dir.clone(),
        None => workspace::scratch()?.join("bench"),
    };
    report::write(&bench.results, &out)
}

impl Options {
    fn sizes(&self) -> Vec<usize> {
        match (&self.sizes, self.quick) {
            (sizes, _) if !sizes.is_empty() => sizes.clone(),
            (_, true) => vec![20],
            (_, false) => vec![100, MAIN_SIZE, 5000],
        }
    }

    /// What is done in a round.
    fn jobs(&self, bench: &Bench) -> Vec<Job> {
        let sizes = self.sizes();
        let main = sizes.iter().find(|n| **n == MAIN_SIZE).or(sizes.first());
        let main = main.copied().unwrap_or(MAIN_SIZE);
        let mut jobs = Vec::new();
        if bench.has(Part::Start) {
            let others = sizes.iter().filter(|n| **n != main);
            jobs.extend(others.map(|n| Job::Live(Life::Start, *n)));
            jobs.push(Job::Live(Life::StartSessions, main));
        }
        let most = sizes.iter().copied().max().unwrap_or(main);
        let apart = [
            (Part::PickUp, Life::Arrivals, main),
            (Part::FalseStart, Life::FalseStarts, 0),
            (Part::BesideStarts, Life::BesideStarts, main),
            (Part::BesideHang, Life::BesideHang, 0),
            (Part::Lines, Life::Lines, 0),
            (Part::Ready, Life::ReadyOne, 1),
            (Part::Ready, Life::ReadyAll, main),
            (Part::Needs, Life::Needs, most),
            (Part::Chain, Life::Chain, main),
            (Part::Oneshots, Life::Oneshots, bench.effort.oneshots),
            (Part::Kill, Life::Deaf, 1),
            (Part::Follow, Life::Follow, 0),
            (Part::Watch, Life::Watch, main),
        ];
        let others = [Part::BesideFailing, Part::Log];
        let is_apart = |part| others.contains(part) || apart.iter().any(|a| a.0 == *part);
        if !bench.parts.iter().all(is_apart) {
            jobs.push(Job::Live(Life::Whole(true), main));
        }
        let asked = apart.into_iter().filter(|(part, ..)| bench.has(*part));
        jobs.extend(asked.map(|(_, life, n)| Job::Live(life, n)));
        if bench.has(Part::BesideFailing) {
            let numbers = bench.effort.failing.iter();
            jobs.extend(numbers.map(|n| Job::Live(Life::BesideFailing, *n)));
        }
        if bench.has(Part::Log) {
            jobs.push(Job::Log);
        }
        jobs
    }
}

impl Job {
    /// Watching idle trees takes long, and once does.
    fn in_round(self, round: usize) -> Self {
        match self {
            Self::Live(Life::Whole(_), n) => Self::Live(Life::Whole(round == 0), n),
            other => other,
        }
    }
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Live(Life::Start, n) => write!(f, "start of {n}"),
            Self::Live(Life::StartSessions, n) => write!(f, "start of {n} in sessions"),
            Self::Live(Life::Arrivals, n) => write!(f, "new services among {n}"),
            Self::Live(Life::FalseStarts, _) => write!(f, "starts of what fails"),
            Self::Live(Life::BesideStarts, n) => write!(f, "one beside starts of {n}"),
            Self::Live(Life::BesideFailing, n) => write!(f, "one beside {n} that fail"),
            Self::Live(Life::BesideHang, _) => write!(f, "one beside an exec that hangs"),
            Self::Live(Life::Lines, _) => write!(f, "lines under kills"),
            Self::Live(Life::ReadyOne, _) => write!(f, "one until it is ready"),
            Self::Live(Life::ReadyAll, n) => write!(f, "readiness of {n}"),
            Self::Live(Life::Needs, n) => write!(f, "needs of {n}"),
            Self::Live(Life::Chain, n) => write!(f, "a chain of {n}"),
            Self::Live(Life::Oneshots, n) => write!(f, "{n} oneshots"),
            Self::Live(Life::Deaf, _) => write!(f, "one deaf to TERM"),
            Self::Live(Life::Follow, _) => write!(f, "lines of a log"),
            Self::Live(Life::Watch, n) => write!(f, "a watch of {n}"),
            Self::Live(Life::Whole(_), n) => write!(f, "life of {n}"),
            Self::Log => write!(f, "logs"),
        }
    }
}

impl Bench<'_> {
    /// Does a job with one peer. What the peer cannot do is noted, and the others
    /// go on; only the user stops everything.
    fn work(&mut self, job: Job, peer: &Peer) -> Result<()> {
        let word = peer.name.word();
        let done = match job {
            Job::Live(_, n) if n > peer.services_max() => {
                let max = peer.services_max();
                self.results
                    .note(format!("{word} takes no more than {max} services."));
                Ok(())
            }
            Job::Live(life, n) => self.live(life, peer, n),
            Job::Log => {
                let mut all = logs::STAMPS.into_iter();
                all.try_for_each(|(stamp, what)| self.log(peer, stamp, what))
            }
        };
        let Err(e) = done else { return Ok(()) };
        processes::end_all()?;
        self.interrupt.check()?;
        self.results.note(format!("{word}: {job}: failed: {e:#}."));
        Ok(())
    }
}

fn all_unless<T: ValueEnum + Clone>(named: &[T]) -> Vec<T> {
    if named.is_empty() {
        return T::value_variants().to_vec();
    }
    named.to_vec()
}

/// The peers that are asked for, or all that are to be had.
fn provide(options: &Options, own: &Path, results: &mut Results) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for name in all_unless(&options.peers) {
        eprintln!("lab: bench: getting {} ready", name.word());
        let peer = Peer::provide(name, own)?;
        results.add_peer(&peer);
        peers.push(peer);
    }
    Ok(peers)
}

/// A directory in memory that programs can be run from; any other is noted.
fn place(results: &mut Results) -> Result<PathBuf> {
    /// `TMPFS_MAGIC` of linux/magic.h.
    const TMPFS: u64 = 0x0102_1994;
    let candidates = [std::env::temp_dir(), "/dev/shm".into(), "/run".into()];
    for dir in candidates {
        let in_memory = rustix::fs::statfs(&dir).is_ok_and(|s| s.f_type as u64 == TMPFS);
        if in_memory && runs_programs(&dir).unwrap_or(false) {
            return Ok(dir);
        }
    }
    let dir = std::env::temp_dir();
    if !runs_programs(&dir)? {
        bail!(
            "{}: programs cannot be run from there; set TMPDIR",
            dir.display()
        );
    }
    results.note("The services were on a disk, for there was no tmpfs to write to.".into());
    Ok(dir)
}

fn runs_programs(dir: &Path) -> Result<bool> {
    let own = TempDir::new_in(dir)?;
    let program = own.path().join("probe");
    probe::write(&program, probe::PLAIN)?;
    let Ok(mut child) = Command::new(&program).stdout(io::pipe()?.1).spawn() else {
        return Ok(false);
    };
    child.kill()?;
    child.wait()?;
    Ok(true)
}

fn progress(steps: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps as u64);
    match ProgressStyle::with_template("[{bar:30}] {percent}% {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
