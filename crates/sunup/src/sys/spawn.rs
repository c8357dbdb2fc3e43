//! Starting processes.
//!
//! [`Spawner`] is for services: the child shares memory and descriptors with the
//! supervisor (`CLONE_VM | CLONE_VFORK | CLONE_FILES`) until it execs, or takes
//! the few descriptors that it needs, so its cost does not grow with the
//! supervisor, and a failed exec is known at once, with the step that failed.
//! [`fork`] is for init and getty, whose children open terminals and ask
//! questions first.
//!
//! A child must not hold its parent's signal mask or SIGPIPE disposition; both
//! functions reset them. (std's `Command` hands a blocked mask on.)

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::signal;

/// A process id; positive.
pub type Pid = i32;

/// In which session and process group the child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// That of the supervisor.
    Inherit,
    /// A new one, whose leader is gone by the time the program runs. So it is
    /// under `runsvdir -P` of runit, where runsv leads: the program itself is no
    /// leader, and `exec setsid ...` in a run script does not fork.
    Detached,
}

/// What a child becomes. Everything is prepared before the fork.
pub struct Plan {
    /// Directory to change to first.
    pub cwd: RawFd,
    /// Path of the program, relative to `cwd`.
    pub program: CString,
    /// Arguments, `argv[0]` included.
    pub argv: Vec<CString>,
    /// A descriptor, and which of 0, 1 and 2 it becomes; the others are the supervisor's.
    pub stdio: Option<(RawFd, RawFd)>,
    /// Session and process group.
    pub session: Session,
    /// The limit of open files, if the supervisor raised its own.
    pub files: Option<FilesLimit>,
    /// A file that the child fills with its own identity just before the exec:
    /// text that the caller chose, then the child's pid and its boot-clock time
    /// in nanoseconds.
    pub record: Option<Record>,
}

/// See [`Plan::record`].
pub struct Record {
    /// The file, open for writing; the record is its beginning.
    pub file: RawFd,
    /// What the record starts with.
    pub prefix: Vec<u8>,
}

/// Limits of open files, soft and hard.
#[derive(Clone, Copy)]
pub struct FilesLimit(libc::rlimit);

impl FilesLimit {
    /// Those of this process.
    pub fn now() -> Self {
        let mut limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: `limit` is valid for writing.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
        Self(limit)
    }

    /// Soft and hard one.
    pub const fn numbers(&self) -> (u64, u64) {
        (self.0.rlim_cur, self.0.rlim_max)
    }

    /// As [`FilesLimit::numbers`] gave them.
    pub const fn of(rlim_cur: u64, rlim_max: u64) -> Self {
        Self(libc::rlimit { rlim_cur, rlim_max })
    }

    /// Makes them this process' limits. Lowering is always permitted; a child
    /// of which that was not expected lives with what it has.
    pub fn set_again(&self) {
        // SAFETY: the limit is valid for reading.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.0) };
    }
}

/// Why there is no child.
#[derive(Debug)]
pub enum SpawnError {
    /// The kernel gave no process; try again later.
    Fork(io::Error),
    /// The named step failed in the child; there is nothing to wait for.
    Step(&'static str, io::Error),
}

const STACK_BYTES: usize = 32 * 1024;

/// What the child and the parent share: the parent sleeps until the child has
/// exec'd or ended, so there is no race.
struct Shared<'a> {
    plan: &'a Plan,
    argv: Vec<*const c_char>,
    envp: *const *const c_char,
    inner_stack: *mut c_void,
    slot: RawFd,
    pid: Pid,
    failed: Option<(&'static str, c_int)>,
}

/// Starts programs; keeps what children need between two starts.
pub struct Spawner {
    stacks: Vec<u128>,
    /// A low number, for a child's descriptor: what lies above it is not copied.
    slot: OwnedFd,
    /// What the slot holds in between.
    idle: OwnedFd,
}

impl Spawner {
    /// Reserves the stacks and the slot.
    ///
    /// # Errors
    /// No descriptors are to be had.
    pub fn new() -> io::Result<Self> {
        let idle = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let slot = rustix::io::fcntl_dupfd_cloexec(&idle, 3)?;
        Ok(Self {
            // Two: the session leader runs on the first, the program's process on the second.
            stacks: vec![0; 2 * STACK_BYTES / size_of::<u128>()],
            slot,
            idle,
        })
    }

    /// Starts a program and returns its pid. The supervisor must be
    /// single-threaded and must have no signal handlers (it uses
    /// [`signal::SignalFd`]).
    pub fn spawn(&mut self, plan: &Plan) -> Result<Pid, SpawnError> {
        let slot = self.slot.as_raw_fd();
        if let Some((from, _)) = plan.stdio {
            copy(from, slot).map_err(|e| SpawnError::Step(STDIO, e))?;
        }
        let spawned = self.clone_child(plan);
        if plan.stdio.is_some() {
            // It would keep the pipe open. Both descriptors are there, so this cannot fail.
            drop(copy(self.idle.as_raw_fd(), slot));
        }
        spawned
    }

    fn clone_child(&mut self, plan: &Plan) -> Result<Pid, SpawnError> {
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        let (first, second) = self
            .stacks
            .as_mut_slice()
            .split_at_mut(STACK_BYTES / size_of::<u128>());
        let mut shared = Shared {
            plan,
            argv: pointers(&plan.argv),
            // SAFETY: `environ` is libc's; nothing in this single-threaded program changes it meanwhile.
            envp: unsafe { environ },
            inner_stack: second.as_mut_ptr_range().end.cast(),
            slot: self.slot.as_raw_fd(),
            pid: 0,
            failed: None,
        };
        let (entry, leader) = match plan.session {
            Session::Inherit => (
                program_process as extern "C" fn(*mut c_void) -> c_int,
                false,
            ),
            Session::Detached => (leader_process as extern "C" fn(*mut c_void) -> c_int, true),
        };
        // SAFETY: the child runs `entry` on a stack of its own that outlives it: with CLONE_VFORK
        // this thread sleeps until the child has exec'd or ended. `shared` outlives it likewise.
        let pid = unsafe {
            libc::clone(
                entry,
                first.as_mut_ptr_range().end.cast(),
                SHARED | libc::SIGCHLD,
                (&raw mut shared).cast(),
            )
        };
        if pid < 0 {
            return Err(SpawnError::Fork(io::Error::last_os_error()));
        }
        // The leader has ended; a failed child has, too. Both must be reaped here.
        if leader || shared.failed.is_some() {
            reap(pid);
        }
        if leader && shared.failed.is_some() && shared.pid > 0 {
            reap(shared.pid);
        }
        match shared.failed {
            Some((FORK, e)) => Err(SpawnError::Fork(io::Error::from_raw_os_error(e))),
            Some((step, e)) => Err(SpawnError::Step(step, io::Error::from_raw_os_error(e))),
            None => Ok(if leader { shared.pid } else { pid }),
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

const FORK: &str = "fork";
const STDIO: &str = "set up standard input and output";

/// What a child shares with the supervisor, which sleeps meanwhile.
const SHARED: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;

/// Makes `to` a copy of `from` that is closed by an exec.
fn copy(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup3 has no memory effects; both numbers belong to the caller.
    signal::check(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }).map(drop)
}

fn reap(pid: Pid) {
    // SAFETY: waitpid writes no status through a null pointer.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0 {
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            break;
        }
    }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Leads a new session, starts the program in it as the supervisor's own child
/// (`CLONE_PARENT`), and ends.
extern "C" fn leader_process(arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the `Shared` of `vfork`, whose thread sleeps.
    let shared = unsafe { &mut *arg.cast::<Shared>() };
    // SAFETY: setsid cannot fail in a fresh child; clone is as in `vfork`, on the second stack.
    let pid = unsafe {
        libc::setsid();
        libc::clone(
            program_process,
            shared.inner_stack,
            SHARED | libc::CLONE_PARENT | libc::SIGCHLD,
            arg,
        )
    };
    if pid < 0 {
        shared.failed = Some((FORK, errno()));
    } else {
        shared.pid = pid;
    }
    0
}

/// Takes the steps of the plan and execs; comes back only on failure.
extern "C" fn program_process(arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the `Shared` of `vfork`, whose thread sleeps.
    let shared = unsafe { &mut *arg.cast::<Shared>() };
    if let Err(step) = become_program(shared) {
        shared.failed = Some((step, errno()));
    }
    127
}

/// System calls only: no allocation, no lock, for the memory is the supervisor's.
fn become_program(shared: &Shared) -> Result<(), &'static str> {
    let plan = shared.plan;
    // SAFETY: all pointers are into the plan, which outlives the child.
    unsafe {
        if libc::fchdir(plan.cwd) < 0 {
            return Err("change to the directory");
        }
        if let Some(limit) = &plan.files {
            limit.set_again();
        }
        if let Some(record) = &plan.record {
            write_record(record);
        }
        // From here on the supervisor's locks are no longer held by this process.
        if !own_descriptors(shared.slot) {
            return Err("have descriptors of its own");
        }
        if let Some((_, to)) = plan.stdio
            && libc::dup2(shared.slot, to) < 0
        {
            return Err(STDIO);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        signal::unblock_all();
        libc::execve(plan.program.as_ptr(), shared.argv.as_ptr(), shared.envp);
    }
    Err("start")
}

/// What is copied is counted in words of the kernel's bitmap of descriptors.
const COPIED: RawFd = 64;

/// So many of the lowest numbers are never kept: where descriptors run short, those
/// that are needed for a moment are still to be had, and what goes on can be dealt with.
const FLEETING: RawFd = 8;

/// Moves a descriptor that is kept for long out of the way of starts: else it is
/// among those that each child copies and closes. Without room there it stays.
///
/// # Errors
/// MFILE: no number is left but those for what is needed for a moment.
pub fn aside(mut fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    move_aside(&mut fd);
    if fd.as_raw_fd() >= COPIED {
        return Ok(fd);
    }
    let limit = getrlimit(Resource::Nofile).current;
    let end = limit.and_then(|limit| RawFd::try_from(limit).ok());
    let end = end.map_or(COPIED, |end| end.min(COPIED));
    // The kernel gives the lowest number that is free.
    let is_kept = fd.as_raw_fd() < end - FLEETING;
    is_kept.then_some(fd).ok_or(Errno::MFILE)
}

/// As [`aside`], but what has no room stays whatever its number.
pub fn move_aside(fd: &mut OwnedFd) {
    if fd.as_raw_fd() < COPIED
        && let Ok(moved) = rustix::io::fcntl_dupfd_cloexec(&*fd, COPIED)
    {
        *fd = moved;
    }
}

/// Takes copies of the descriptors up to `last`, and of no more: to copy and
/// close the thousands of a supervisor would cost more than all the rest. They
/// are shared no longer then.
fn own_descriptors(last: RawFd) -> bool {
    let first = last as libc::c_uint + 1;
    // SAFETY: both calls change nothing but which descriptors this process has.
    unsafe {
        let flags = libc::CLOSE_RANGE_UNSHARE as libc::c_uint;
        // Kernels before 5.9 must copy all.
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) == 0
            || libc::unshare(libc::CLONE_FILES) == 0
    }
}

/// Length of every record.
const RECORD_BYTES: usize = model::format::adopt::BYTES;

/// Writes `PREFIX PID BOOT_NS`, blanks up to the length, and a newline. A failure
/// costs only the adoption of this process by a later supervisor, so the service
/// starts all the same.
fn write_record(record: &Record) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut text = [b' '; RECORD_BYTES];
    // SAFETY: `now` is valid for writing; the buffer is valid for the calls.
    unsafe {
        let pid = libc::getpid();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now);
        let ns = (now.tv_sec as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(now.tv_nsec as u64);
        let mut at = append(&mut text, 0, &record.prefix);
        at = append_number(&mut text, at, pid as u64);
        at = append(&mut text, at, b" ");
        append_number(&mut text, at, ns);
        append(&mut text, RECORD_BYTES - 1, b"\n");
        libc::pwrite(record.file, text.as_ptr().cast(), text.len(), 0);
    }
}

/// Copies what fits and returns the new end.
fn append(to: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let room = to.get_mut(at..).unwrap_or_default();
    for (slot, byte) in room.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    at + bytes.len().min(room.len())
}

fn append_number(to: &mut [u8], at: usize, mut n: u64) -> usize {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start = start.saturating_sub(1);
        if let Some(d) = digits.get_mut(start) {
            *d = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    append(to, at, digits.get(start..).unwrap_or_default())
}

/// Forks and runs `child` in the new process, which ends with its result. Its
/// signals are as at boot: default actions, none blocked. The caller must be
/// single-threaded.
pub fn fork(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    fork_alike(|| {
        signal::reset_all();
        child()
    })
}

/// As [`fork`], but what is blocked stays blocked, and what is ignored ignored:
/// a signal that comes before the child has made its own arrangements waits.
pub fn fork_alike(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: with a single thread, the child may run any code: no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = child();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(c_int::from(code)) }
        }
        pid => Ok(pid),
    }
}

/// Makes `to` a copy of `from` that survives an exec. For a forked child: what
/// was open as `to` is closed, whoever owned it.
pub fn place(from: BorrowedFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup2 has no memory effects; the child that calls this execs next.
    signal::check(unsafe { libc::dup2(from.as_raw_fd(), to) }).map(drop)
}

/// Replaces this process: `path` is taken as it is, `env` is the whole
/// environment, or the present one. Returns only on failure.
pub fn exec(path: &CStr, argv: &[CString], env: Option<&[CString]>) -> io::Error {
    let argv = pointers(argv);
    // SAFETY: both arrays end with a null pointer and point to C strings that outlive the call.
    unsafe {
        match env {
            Some(env) => libc::execve(path.as_ptr(), argv.as_ptr(), pointers(env).as_ptr()),
            None => libc::execv(path.as_ptr(), argv.as_ptr()),
        };
    }
    io::Error::last_os_error()
}

/// As [`exec`] with the present environment, but `argv[0]` is looked up in PATH
/// when it holds no slash.
pub fn exec_in_path(program: &CStr, argv: &[CString]) -> io::Error {
    let argv = pointers(argv);
    // SAFETY: the array ends with a null pointer and points to C strings that outlive the call.
    unsafe { libc::execvp(program.as_ptr(), argv.as_ptr()) };
    io::Error::last_os_error()
}
