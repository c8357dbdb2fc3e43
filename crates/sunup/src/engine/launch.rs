//! Starting what the state machines ask for: run, finish and control scripts.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::format::adopt::{Part, World, prefix};
use model::format::kill::Kill;
use model::restart::Report;
use model::service::{Exit, Failure, Role};
use model::supervisor::Job;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::half::Half;
use super::open_unit::OpenUnit;
use crate::machine::world::world;
use crate::personality;
use crate::sys::file;
use crate::sys::spawn::Pid;
use crate::sys::spawner::{FilesLimit, Gift, Plan, Record, Session, SpawnError, Spawner, Start};

/// The kernel reads no more of a script (BINPRM_BUF_SIZE).
const FIRST_LINE_BYTES: usize = 256;

/// What all starts have in common.
pub struct Launcher {
    spawner: Spawner,
    session: Session,
    files: Option<FilesLimit>,
    /// The boot and pid namespace of our pids; without it no process can be adopted
    /// later.
    pub world: Option<World>,
}

/// What is started.
enum Program {
    /// `./setup`.
    Setup,
    /// `./run`.
    Run,
    /// `./finish CODE STATUS`, and what its environment says besides.
    Finish(Exit, Option<Report>),
    /// `./control/LETTER [PID]`.
    Script(u8, Option<u32>),
    /// `./check`.
    Check,
}

/// Why nothing was started.
pub struct Refusal {
    /// For the state machine.
    pub failure: Failure,
    /// For the user; `None` if there is nothing to report.
    pub complaint: Option<String>,
}

impl Launcher {
    /// Reads the pid namespace and raises the limit of open files; children get the old
    /// limit. `lifted`: a predecessor raised it already, and this was the old limit.
    pub fn new(session: Session, lifted: Option<FilesLimit>) -> io::Result<Self> {
        Ok(Self {
            spawner: Spawner::new()?,
            session,
            files: lifted.or_else(raise_files_limit),
            world: world()?,
        })
    }

    /// Restores the old limit of open files, in a forked child.
    pub fn give_files_limit_back(&self) {
        if let Some(limit) = &self.files {
            limit.set_again();
        }
    }

    /// How many files a child may open.
    pub fn files_of_child(&self) -> u64 {
        let limit = self.files.unwrap_or_else(FilesLimit::now);
        limit.numbers().0
    }

    /// The limit that children get, if ours was raised.
    pub const fn files_limit(&self) -> Option<&FilesLimit> {
        self.files.as_ref()
    }

    /// Starts a child of the unit, to be finished, with what it gets beside what all get.
    /// `dir` is the path of its directory, for messages.
    pub fn launch(
        &mut self,
        unit: &OpenUnit,
        job: Job,
        gift: Gift,
        dir: impl FnOnce() -> PathBuf,
    ) -> Result<Start, Refusal> {
        let role = job.id().role;
        let program = Program::of(job);
        let Some(half) = unit.half(role) else {
            return Err(Refusal {
                failure: Failure::Absent,
                complaint: None,
            });
        };
        if half.place().held().is_none() {
            return Err(lost(&program, &dir()));
        }
        let plan = self.plan((unit, role), half, &program, gift);
        let started = plan
            .map_err(|e| SpawnError::Step("start", e))
            .and_then(|plan| self.spawner.start(plan));
        started.map_err(|error| refuse(&dir(), &program.path(), error))
    }

    /// Waits for the outcome of a start; the pid of the child.
    pub fn finish(
        &self,
        start: Start,
        job: Job,
        dir: impl FnOnce() -> PathBuf,
    ) -> Result<Pid, Refusal> {
        let finished = self.spawner.finish(start);
        finished.map_err(|error| refuse(&dir(), &Program::of(job).path(), error))
    }

    /// Stops waiting for the outcome: the child counts as started.
    pub fn abandon(
        &self,
        start: Start,
        job: Job,
        dir: impl FnOnce() -> PathBuf,
    ) -> Result<Pid, Refusal> {
        let abandoned = self.spawner.abandon(start);
        abandoned.map_err(|error| refuse(&dir(), &Program::of(job).path(), error))
    }

    /// As [`Spawner::is_over`].
    pub fn is_over(&self, start: &Start, wait_ns: u64, asks: bool) -> bool {
        self.spawner.is_over(start, wait_ns, asks)
    }

    /// As [`Spawner::process`].
    pub fn process(&self, start: &Start) -> Option<Pid> {
        self.spawner.process(start)
    }

    /// As [`Spawner::take_leader`].
    pub fn take_leader(&self, pid: Pid) -> bool {
        self.spawner.take_leader(pid)
    }

    /// As [`Spawner::forget`].
    pub fn forget(&self) {
        self.spawner.forget();
    }

    /// Waits until no child uses the descriptors of this process.
    pub fn wait(&self) {
        self.spawner.wait();
    }

    fn plan(
        &self,
        (unit, role): (&OpenUnit, Role),
        half: &Half,
        program: &Program,
        mut gift: Gift,
    ) -> io::Result<Plan> {
        let path = CString::new(program.path())?;
        let mut argv = vec![path.clone()];
        for arg in program.arguments() {
            argv.push(CString::new(arg)?);
        }
        for variable in program.variables() {
            gift.variables.push(CString::new(variable)?);
        }
        let pipe = unit.pipe.as_ref();
        let stdio = match role {
            Role::Main => pipe
                .and_then(|p| p.write.as_ref())
                .map(|write| (write.as_raw_fd(), 1)),
            Role::Log => match pipe.map(super::adopt::LogPipe::read) {
                None => None,
                Some(Some(read)) => Some((read.as_raw_fd(), 0)),
                // It cannot be opened again for now.
                Some(None) => return Err(Errno::MFILE.into()),
            },
        };
        let part = match program {
            Program::Setup => Some(Part::Setup),
            Program::Run => Some(Part::Run),
            Program::Finish(..) => Some(Part::Finish),
            Program::Script(..) | Program::Check => None,
        };
        let inode = pipe.map_or(0, super::adopt::LogPipe::inode);
        let record = part.zip(self.world.as_ref()).map(|(part, world)| Record {
            file: half.supervise.record_fd().as_raw_fd(),
            prefix: prefix(part, world, inode),
        });
        let leads = matches!(program, Program::Setup | Program::Run) && role == Role::Main;
        let session = match unit.kill {
            Kill::Group if leads => Session::Group,
            // It is killed with what it has started, if it hangs.
            _ if matches!(program, Program::Check) => Session::Detached,
            _ => self.session,
        };
        Ok(Plan {
            cwd: half.home().as_raw_fd(),
            program: path,
            argv,
            stdio,
            gift,
            session,
            files: self.files,
            record,
        })
    }
}

impl Program {
    fn of(job: Job) -> Self {
        match job {
            Job::Setup(_) => Self::Setup,
            Job::Run(_) => Self::Run,
            Job::Finish(_, exit, report) => Self::Finish(exit, report),
            Job::Prepare(_) => Self::Script(b'u', None),
            Job::Check(_) => Self::Check,
            Job::Script(_, sig, pid) => Self::Script(sig.letter(), Some(pid)),
            Job::Epilogue(_, letter, pid) => Self::Script(letter, Some(pid)),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Setup => "./setup".into(),
            Self::Run => "./run".into(),
            Self::Finish(..) => "./finish".into(),
            Self::Check => "./check".into(),
            Self::Script(letter, _) => format!("./control/{}", char::from(*letter)),
        }
    }

    fn variables(&self) -> Vec<String> {
        let Self::Finish(_, Some(report)) = self else {
            return vec![];
        };
        let (result, tries) = (report.outcome.word(), report.tries);
        vec![
            format!("SUNUP_RESULT={result}"),
            format!("SUNUP_TRIES={tries}"),
        ]
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Setup | Self::Run | Self::Check => vec![],
            Self::Finish(exit, _) => {
                let (code, status) = exit.finish_args();
                // busybox leaves the bit for a core out.
                let status = personality::pick(status, status & 0x7f);
                vec![code.to_string(), status.to_string()]
            }
            Self::Script(_, pid) => pid.iter().map(u32::to_string).collect(),
        }
    }
}

/// The directory was closed, and cannot be opened again at present.
fn lost(program: &Program, dir: &Path) -> Refusal {
    let (failure, hint) = match program {
        Program::Setup | Program::Run => (Failure::Resources, "; trying again later"),
        Program::Finish(..) | Program::Script(..) | Program::Check => (Failure::Exec, ""),
    };
    let program = program.path();
    Refusal {
        failure,
        complaint: Some(format!(
            "start {}: its directory cannot be found{hint}",
            dir.join(program.strip_prefix("./").unwrap_or(&program))
                .display()
        )),
    }
}

/// Turns an error into what the state machine and the user need to know.
fn refuse(dir: &Path, program: &str, error: SpawnError) -> Refusal {
    let path = dir.join(program.strip_prefix("./").unwrap_or(program));
    let (step, e) = match error {
        SpawnError::Fork(e) => ("start", e),
        SpawnError::Step(step, e) => (step, e),
    };
    let errno = Errno::from_io_error(&e);
    let failure = match errno {
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => Failure::Resources,
        Some(Errno::NOENT) if !path.exists() => Failure::Absent,
        _ => Failure::Exec,
    };
    if failure == Failure::Absent && program == "./finish" {
        return Refusal {
            failure,
            complaint: None,
        };
    }
    let hint = match (failure, errno) {
        (Failure::Resources, _) => "; trying again later",
        (Failure::Exec, Some(Errno::NOENT)) if step == "start" => &what_is_missing(&path),
        (_, Some(Errno::ACCESS)) if step == "start" && !path.is_file() => "; it is not a file",
        (_, Some(Errno::ACCESS)) if step == "start" && is_executable(&path) => {
            "; it is executable, but its interpreter or its file system (noexec) forbids it"
        }
        (_, Some(Errno::ACCESS)) if step == "start" => "; make it executable with chmod +x",
        (_, Some(Errno::NOEXEC)) => "; a script must begin with a line like #!/bin/sh",
        _ => "",
    };
    Refusal {
        failure,
        complaint: Some(format!("{step} {}: {e}{hint}", path.display())),
    }
}

/// Why a file that is there could not be executed, because "no such file" is there.
fn what_is_missing(file: &Path) -> String {
    let Some(name) = interpreter(file) else {
        return "; the loader of its libraries (ld.so), which it names, does not exist".into();
    };
    // It runs in its own directory.
    let there = file.with_file_name(OsStr::from_bytes(&name));
    if there.exists() {
        return format!(
            "; what its interpreter {} needs does not exist",
            name.escape_ascii()
        );
    }
    let advice = if name.ends_with(b"\r") {
        ": the line ends in CR (an editor of DOS); remove it"
    } else {
        ""
    };
    format!(
        "; its first line names {}, which does not exist{advice}",
        name.escape_ascii()
    )
}

/// The interpreter that a script's first line names.
pub fn interpreter(script: &Path) -> Option<Vec<u8>> {
    let start = file::open(script, OFlags::RDONLY).and_then(|f| file::head(f, FIRST_LINE_BYTES));
    let start = start.ok()?;
    let line = start.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut words = line.split(|b| b" \t".contains(b));
    words.find(|word| !word.is_empty()).map(<[u8]>::to_vec)
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o111 != 0)
}

/// The hard limit of open files that process 1 has from the kernel (INR_OPEN_MAX in its
/// sources). If it is still this number, no administrator has chosen it.
const FILES_UNCHOSEN: u64 = 4096;

/// Raises the limit of open files, because each service needs three. The soft limit
/// becomes the hard limit. If no administrator chose the hard limit, and we may, the hard
/// limit becomes the kernel's maximum first. Returns the old limit if anything changed.
fn raise_files_limit() -> Option<FilesLimit> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let old = FilesLimit::now();
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = || std::fs::read_to_string("/proc/sys/fs/nr_open").ok();
    let hard = maximum
        .filter(|hard| *hard == FILES_UNCHOSEN)
        .and_then(|hard| Some(hard.max(most()?.trim().parse().ok()?)));
    let lifted = [hard.or(maximum), maximum].into_iter().any(|limit| {
        let limit = Rlimit {
            current: limit,
            maximum: limit,
        };
        setrlimit(Resource::Nofile, limit).is_ok()
    });
    (lifted && getrlimit(Resource::Nofile) != Rlimit { current, maximum }).then_some(old)
}
