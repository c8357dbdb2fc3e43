//! Runs tests of all suites side by side: each is a process of its own under a
//! warden ([`warden`]), with a deadline of its own and its output in a file.
//!
//! What waits runs beside what works: a [`Lane`] is a queue with a width, and all
//! lanes move at once. What ends otherwise than expected is run again when all is
//! done, alone and twice: so chance is told from fault, and is told.

mod board;
mod clock;
mod play;
pub mod warden;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use board::Board;
use clock::Clock;

/// How long a test may take, as it has time ([`clock`]).
pub const DEADLINE: Duration = Duration::from_mins(2);

/// A queue of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Jobs that wait most of their time: several for each processor.
    Waits,
    /// Jobs that keep a processor busy: one for each.
    Works,
    /// Machines in QEMU, one at a time.
    Emulates,
    /// What shares one machine in namespaces, or is itself a crowd.
    Crowds,
    /// Debian's tree, and the machines made of it.
    Debian,
    /// Our package in Debian, by dpkg again and again.
    Package,
    /// Jobs that are to fail: they wait for what does not come, and need no processor.
    Differs,
}

impl Lane {
    const ALL: [Self; 7] = [
        Self::Waits,
        Self::Works,
        Self::Emulates,
        Self::Crowds,
        Self::Debian,
        Self::Package,
        Self::Differs,
    ];

    /// How many of its jobs run at once.
    fn width(self) -> usize {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        match self {
            Self::Waits | Self::Differs => 6 * processors,
            Self::Works => processors,
            Self::Emulates | Self::Crowds | Self::Debian | Self::Package => 1,
        }
    }

    /// Nice value of its jobs. What comes one after the other and needs processors is what all
    /// wait for in the end, so it comes first, and the rest is done beside it. A machine has
    /// clocks, so it comes before what compiles.
    const fn nice(self) -> i32 {
        match self {
            Self::Emulates => -10,
            Self::Crowds | Self::Debian | Self::Package => -8,
            Self::Works => -5,
            Self::Waits | Self::Differs => 0,
        }
    }
}

/// What a job starts.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Tests of one of cargo's test binaries, one after the other in one process.
    Tests(Vec<String>),
    /// A program that is one check, with its arguments, under a name.
    Check(String, Vec<OsString>),
}

/// How the processes of a suite are started.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Words before the program.
    pub before: Vec<OsString>,
    /// Variables of the environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub dir: PathBuf,
}

/// Something to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whose job it is.
    pub suite: String,
    /// Where it waits for its turn.
    pub lane: Lane,
    /// The program.
    pub program: PathBuf,
    /// What of it.
    pub kind: Kind,
    /// How it is started.
    pub setting: Arc<Setting>,
    /// With more patience: how a test of others is run again, which only then counts.
    pub again: Option<Arc<Setting>>,
    /// How long each test of it may take.
    pub deadline: Duration,
}

impl Job {
    /// What there is to tell of.
    pub fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Tests(names) => names.clone(),
            Kind::Check(name, _) => vec![name.clone()],
        }
    }

    /// The same for one of its tests alone.
    fn alone(&self, name: &str) -> Self {
        let mut job = self.clone();
        if let Kind::Tests(names) = &mut job.kind {
            *names = vec![name.to_owned()];
        }
        job
    }
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Passed,
    /// By itself, or at its deadline.
    Failed,
    /// It never began: one before it took the process with it.
    NotRun,
}

/// One run of a test.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// What it said, if it did not pass.
    pub said: String,
    /// How long it took.
    pub took: Duration,
    /// Time of processors that it and all its processes took.
    pub work: Duration,
}

/// What became of a test in the end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its suite.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// All runs, first to last.
    pub runs: Vec<Run>,
    /// What was expected did not happen at first, and always after.
    pub flaky: bool,
}

impl Outcome {
    /// The run that counts.
    pub fn last(&self) -> Option<&Run> {
        self.runs.last()
    }
}

/// Whether a run of a suite's test ended as expected.
pub type Expects<'a> = &'a (dyn Fn(&str, &str, &Run) -> bool + Sync);

/// See the module.
pub struct Runner {
    /// lab's own binary, which is the warden.
    lab: PathBuf,
    clock: Clock,
    board: Board,
    /// A job could not be started at all: nothing more is.
    stop: AtomicBool,
}

impl Runner {
    /// One that has run nothing yet; `lab` is lab's binary.
    pub fn new(lab: PathBuf) -> Self {
        Self {
            lab,
            clock: Clock::new(),
            board: Board::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs all jobs, and what surprises again.
    ///
    /// # Errors
    /// A job that cannot be started; one that fails is no error.
    pub fn run(&self, jobs: &[Job], expects: Expects) -> Result<Vec<Outcome>> {
        let played = self.run_once(jobs)?;
        let all_again = || {
            let each = played.into_iter();
            let each = each.map(|(job, name, run)| self.look_again(&job, name, run, expects));
            each.collect::<Result<Vec<_>>>()
        };
        let outcomes = thread::scope(|scope| {
            let again = scope.spawn(all_again);
            self.board.tell_until(|| again.is_finished());
            again
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        self.board.finish();
        outcomes
    }

    /// Runs all jobs, each of them once.
    ///
    /// # Errors
    /// As for [`Runner::run`].
    pub fn run_once(&self, jobs: &[Job]) -> Result<Vec<(Job, String, Run)>> {
        self.board
            .expect(jobs.iter().map(|job| job.names().len()).sum());
        let queues = Lane::ALL.map(|lane| {
            let of_lane = jobs.iter().filter(|job| job.lane == lane);
            (
                lane,
                Mutex::new(of_lane.cloned().collect::<VecDeque<Job>>()),
            )
        });
        let played = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let mut workers = Vec::new();
            for (lane, queue) in &queues {
                for _ in 0..lane.width() {
                    workers.push(scope.spawn(|| self.work(queue, &played)));
                }
            }
            self.board
                .tell_until(|| workers.iter().all(thread::ScopedJoinHandle::is_finished));
            let ends = workers.into_iter().map(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ends.collect::<Result<()>>()
        })?;
        Ok(played.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn work(
        &self,
        queue: &Mutex<VecDeque<Job>>,
        played: &Mutex<Vec<(Job, String, Run)>>,
    ) -> Result<()> {
        loop {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(job) = next.filter(|_| !self.stop.load(Ordering::Relaxed)) else {
                return Ok(());
            };
            let runs = self.play(&job, &job.setting).inspect_err(|_| {
                self.stop.store(true, Ordering::Relaxed);
            })?;
            let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
            played.extend(runs.into_iter().map(|(name, run)| (job.clone(), name, run)));
        }
    }

    /// What surprised is run twice more, alone; what never began, or was run with
    /// little patience, once at least.
    fn look_again(&self, job: &Job, name: String, run: Run, expects: Expects) -> Result<Outcome> {
        let expected = |run: &Run| run.end != End::NotRun && expects(&job.suite, &name, run);
        let counts = run.end != End::NotRun && job.again.is_none();
        let mut runs = vec![run];
        let mut flaky = false;
        if !expected(&runs[0]) {
            let mut alone = job.alone(&name);
            if job.again.is_some() {
                alone.deadline = job.deadline.max(DEADLINE);
            }
            let setting = job.again.as_ref().unwrap_or(&job.setting);
            for _ in 0..=u32::from(counts) {
                runs.extend(self.play(&alone, setting)?.into_iter().map(|(_, run)| run));
                if !runs.last().is_some_and(expected) {
                    break;
                }
            }
            flaky = counts && runs.last().is_some_and(expected);
        }
        Ok(Outcome {
            suite: job.suite.clone(),
            name,
            runs,
            flaky,
        })
    }
}
