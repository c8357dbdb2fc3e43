//! Starting services. The child shares memory and descriptors with the supervisor
//! (`CLONE_VM | CLONE_FILES`) until it execs, or takes the few descriptors that it
//! needs, so its cost does not grow with the supervisor, and a failed exec is
//! known, with the step that failed.
//!
//! The supervisor continues meanwhile: while one processor loads a program, the other
//! prepares the next. So each child has its own [`Seat`] with everything that it needs,
//! and touches nothing else. The kernel reports when the child no longer needs the seat
//! (`CLONE_CHILD_CLEARTID`). [`Spawner::start`] takes a seat, and [`Spawner::finish`]
//! gives it back with the outcome. A child that hangs in its exec keeps its seat, and
//! others are made, up to a bound; nobody has to wait for it.
//!
//! A child must not hold its parent's signal mask or SIGPIPE disposition: they are
//! reset. (std's `Command` hands a blocked mask on.)

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};
use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};

use super::child;
use super::clock;
use super::memory::Stack;
use super::raw::{self, syscall};
use super::signal;
use super::spawn::{Pid, pointers};

/// In which session and process group the child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// That of the supervisor.
    Inherit,
    /// A new one, whose leader ends at once. As under runit's `runsvdir -P`, where runsv
    /// is the leader, the program itself is not the leader, and `exec setsid ...` in a
    /// run script does not fork.
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
pub struct FilesLimit(Rlimit);

/// Stands for "no limit", as it does for the kernel.
const UNLIMITED: u64 = u64::MAX;

impl FilesLimit {
    /// Those of this process.
    pub fn now() -> Self {
        Self(getrlimit(Resource::Nofile))
    }

    /// Soft and hard one.
    pub fn numbers(&self) -> (u64, u64) {
        let number = |limit: Option<u64>| limit.unwrap_or(UNLIMITED);
        (number(self.0.current), number(self.0.maximum))
    }

    /// As [`FilesLimit::numbers`] gave them.
    pub fn of(current: u64, maximum: u64) -> Self {
        let limit = |number: u64| (number != UNLIMITED).then_some(number);
        Self(Rlimit {
            current: limit(current),
            maximum: limit(maximum),
        })
    }

    /// Makes them this process' limits. Lowering is always permitted; if anything else
    /// fails, the child keeps its limits.
    pub fn set_again(&self) {
        let _expected = setrlimit(Resource::Nofile, self.0);
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

/// How many simultaneous starts use a machine's processors well.
pub const SEATS: usize = 8;
/// How many starts may be under way at once, including those that hang. Further ones are
/// tried again later.
pub const SEATS_MAX: usize = 128;

/// After this time (ns) we ask whether the child has ended: kernels before 4.9 do not
/// report one that was killed.
const ASK_AGAIN_NS: u64 = 1_000_000_000;
/// The time (ns) between two checks whether a child has its own descriptors.
const LOOK_NS: u64 = 1_000_000;

const STDIO: &str = "set up standard input and output";

const FORK: &str = "fork";

/// What a child shares with the supervisor.
const SHARED: c_int = libc::CLONE_VM | libc::CLONE_FILES;
/// If a child would change `errno`, its parent must sleep.
const SLEEP: c_int = if raw::LEAVES_ERRNO_ALONE {
    0
} else {
    libc::CLONE_VFORK
};
/// With CLONE_VFORK the parent has already waited. (musl's clone refuses the flag.)
const CLEARTID: c_int = if SLEEP == 0 {
    libc::CLONE_CHILD_CLEARTID
} else {
    0
};

/// The place of a child on its way to its program.
struct Seat {
    /// Not zero while a child runs on the supervisor's memory.
    busy: AtomicU32,
    /// Not zero once it needs no descriptors of the supervisor any more.
    owns: AtomicU32,
    /// Of the program's process, from the kernel; 0 if there is none.
    pid: AtomicI32,
    /// That child's alone meanwhile, else the supervisor's.
    way: UnsafeCell<Way>,
    /// A low number, for a descriptor of the child: what lies above all slots is not copied.
    slot: OwnedFd,
    /// Whose it is until the start is finished: the program's process, or its leader.
    child: Cell<Option<Pid>>,
    /// That child leads a session, and makes the program's process.
    is_led: Cell<bool>,
    /// Of the program's process, and of the leader.
    stacks: [Stack; 2],
}

/// What a child needs and what it leaves.
struct Way {
    plan: Option<Plan>,
    argv: Vec<*const c_char>,
    envp: *const *const c_char,
    stack: *mut c_void,
    busy: *const AtomicU32,
    owns: *const AtomicU32,
    pid: *const AtomicI32,
    slot: RawFd,
    /// The highest descriptor that it keeps.
    last: RawFd,
    failed: Option<(&'static str, c_int)>,
}

/// A start under way, to be finished: the number of its seat.
#[must_use]
#[derive(Debug)]
pub struct Start(usize);

/// Starts programs; keeps what children need between two starts.
pub struct Spawner {
    #[expect(
        clippy::vec_box,
        reason = "children know where they are: they do not move"
    )]
    seats: Vec<Box<Seat>>,
    /// What the slots hold in between.
    idle: OwnedFd,
}

impl Spawner {
    /// Makes the seats.
    ///
    /// # Errors
    /// No descriptors or no memory are to be had.
    pub fn new() -> io::Result<Self> {
        let idle = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let seats = vec![];
        let mut spawner = Self { seats, idle };
        for _ in 0..SEATS {
            spawner.add_seat()?;
        }
        Ok(spawner)
    }

    fn add_seat(&mut self) -> io::Result<usize> {
        if self.seats.len() >= SEATS_MAX {
            return Err(Errno::AGAIN.into());
        }
        let slot = rustix::io::fcntl_dupfd_cloexec(&self.idle, 3)?;
        let seat = Seat::new(slot)?;
        self.seats.push(Box::new(seat));
        Ok(self.seats.len() - 1)
    }

    /// Starts a program. The supervisor must be single-threaded and must have no
    /// signal handlers (it uses [`signal::SignalFd`]); what the plan names must
    /// stay open until [`Spawner::wait`] or [`Spawner::finish`].
    ///
    /// # Errors
    /// There is no child, or no seat for it.
    pub fn start(&mut self, plan: Plan) -> Result<Start, SpawnError> {
        let free = self.seats.iter().position(|seat| seat.is_free());
        let number = free.map_or_else(|| self.add_seat(), Ok);
        let number = number.map_err(SpawnError::Fork)?;
        let slots = self.seats.iter().map(|seat| seat.slot.as_raw_fd());
        let last = slots.max().unwrap_or(0);
        let Some(seat) = self.seats.get(number) else {
            return Err(SpawnError::Fork(Errno::AGAIN.into()));
        };
        if let Some((from, _)) = plan.stdio {
            copy(from, seat.slot.as_raw_fd()).map_err(|e| SpawnError::Step(STDIO, e))?;
        }
        let is_led = plan.session == Session::Detached;
        match seat.clone_child(plan, last) {
            Ok(child) => {
                seat.child.set(Some(child));
                seat.is_led.set(is_led);
                Ok(Start(number))
            }
            Err(errno) => {
                self.leave(seat);
                Err(SpawnError::Fork(io::Error::from_raw_os_error(errno)))
            }
        }
    }

    fn seat(&self, start: &Start) -> Option<(&Seat, Pid)> {
        let seat = self.seats.get(start.0)?;
        Some((seat, seat.child.get()?))
    }

    /// Whether [`Spawner::finish`] has nothing to wait for; waits so long (ns) for that.
    /// `asks`: it may be that nobody tells of the end.
    pub fn is_over(&self, start: &Start, wait_ns: u64, asks: bool) -> bool {
        self.seat(start)
            .is_none_or(|(seat, _)| seat.is_done(wait_ns) || asks && seat.has_ended())
    }

    /// The process of a start, once there is one.
    pub fn process(&self, start: &Start) -> Option<Pid> {
        let (seat, _) = self.seat(start)?;
        Some(seat.pid.load(Ordering::Acquire)).filter(|pid| *pid > 0)
    }

    /// Reaps a child that has ended, if it led the session of a start.
    pub fn take_leader(&self, pid: Pid) -> bool {
        let mut seats = self.seats.iter();
        let seat = seats.find(|seat| seat.is_led.get() && seat.child.get() == Some(pid));
        seat.inspect(|seat| seat.take_leader()).is_some()
    }

    /// Waits until it is known whether the program was started; returns its pid.
    ///
    /// # Errors
    /// It was not started; there is no child to wait for.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is over, and cannot be finished again"
    )]
    pub fn finish(&self, start: Start) -> Result<Pid, SpawnError> {
        let Some((seat, _)) = self.seat(&start) else {
            // Not one of ours.
            return Err(SpawnError::Fork(Errno::INVAL.into()));
        };
        seat.wait();
        seat.take_leader();
        let pid = seat.pid.load(Ordering::Acquire);
        match self.leave(seat) {
            Some((FORK, errno)) => Err(SpawnError::Fork(io::Error::from_raw_os_error(errno))),
            Some((step, errno)) => {
                reap(pid);
                Err(SpawnError::Step(step, io::Error::from_raw_os_error(errno)))
            }
            // Somebody killed the leader before it came to that.
            None if pid == 0 => Err(SpawnError::Fork(Errno::AGAIN.into())),
            None => Ok(pid),
        }
    }

    /// Stops waiting for a start: its process counts as the program's. If the start still
    /// fails, the process ends.
    ///
    /// # Errors
    /// There is no process.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is over, and cannot be finished again"
    )]
    pub fn abandon(&self, start: Start) -> Result<Pid, SpawnError> {
        let Some((seat, _)) = self.seat(&start) else {
            return Err(SpawnError::Fork(Errno::INVAL.into()));
        };
        // A leader has no program that could hang.
        seat.take_leader();
        seat.child.set(None);
        if seat.owns.load(Ordering::Acquire) != 0 {
            // As when it is left.
            drop(copy(self.idle.as_raw_fd(), seat.slot.as_raw_fd()));
        }
        match seat.pid.load(Ordering::Acquire) {
            0 => Err(SpawnError::Fork(Errno::AGAIN.into())),
            pid => Ok(pid),
        }
    }

    /// In a fork of this process: the children on their way run on other memory.
    pub fn forget(&self) {
        for seat in &self.seats {
            seat.busy.store(0, Ordering::Release);
            self.leave(seat);
        }
    }

    /// Waits until no child uses descriptors of the supervisor by their number.
    pub fn wait(&self) {
        let mine = |seat: &Seat| seat.owns.load(Ordering::Acquire) == 0;
        for seat in &self.seats {
            while mine(seat) && !seat.is_done(LOOK_NS) && !seat.has_ended() {}
        }
    }

    /// Frees a seat once its child no longer needs it; returns what failed in the child.
    fn leave(&self, seat: &Seat) -> Option<(&'static str, c_int)> {
        seat.wait();
        seat.child.set(None);
        seat.is_led.set(false);
        // SAFETY: the seat is free, so this is the only reference.
        let way = unsafe { &mut *seat.way.get() };
        if way.plan.take().is_some_and(|plan| plan.stdio.is_some()) {
            // It would keep a pipe open. Both descriptors are there, so this cannot fail.
            drop(copy(self.idle.as_raw_fd(), seat.slot.as_raw_fd()));
        }
        way.failed.take()
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        for seat in self.seats.drain(..) {
            if seat.is_free() {
                continue;
            }
            seat.take_leader();
            // A child that hangs needs it as long as it does.
            Box::leak(seat);
        }
    }
}

impl Seat {
    fn new(slot: OwnedFd) -> io::Result<Self> {
        let number = slot.as_raw_fd();
        Ok(Self {
            busy: AtomicU32::new(0),
            owns: AtomicU32::new(1),
            pid: AtomicI32::new(0),
            way: UnsafeCell::new(Way {
                plan: None,
                argv: vec![],
                envp: std::ptr::null(),
                stack: std::ptr::null_mut(),
                busy: std::ptr::null(),
                owns: std::ptr::null(),
                pid: std::ptr::null(),
                slot: number,
                last: number,
                failed: None,
            }),
            slot,
            child: Cell::new(None),
            is_led: Cell::new(false),
            stacks: [Stack::new()?, Stack::new()?],
        })
    }

    /// Whether no child uses it.
    fn is_free(&self) -> bool {
        self.child.get().is_none() && self.busy.load(Ordering::Acquire) == 0
    }

    /// Makes the child of a free seat: the program's process, or the leader of its session.
    fn clone_child(&self, plan: Plan, last: RawFd) -> Result<Pid, c_int> {
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        let is_led = plan.session == Session::Detached;
        // SAFETY: the seat is free, so this is the only reference to what it shares.
        let way = unsafe { &mut *self.way.get() };
        let [stack, leaders] = &self.stacks;
        way.argv = pointers(&plan.argv);
        way.plan = Some(plan);
        // SAFETY: `environ` is libc's; nothing in this single-threaded program changes it meanwhile.
        way.envp = unsafe { environ };
        way.stack = stack.top();
        way.busy = &raw const self.busy;
        way.owns = &raw const self.owns;
        way.pid = &raw const self.pid;
        way.last = last;
        way.failed = None;
        self.pid.store(0, Ordering::Release);
        self.owns.store(0, Ordering::Release);
        self.busy.store(1, Ordering::Release);
        let way = self.way.get();
        // SAFETY: each process runs on a stack of its own, and what it uses of this memory stays
        // as it is until the kernel clears `busy`, and the leader is reaped.
        let cloned = unsafe {
            if is_led {
                let flags = SHARED | SLEEP | libc::SIGCHLD;
                let (none, busy) = (std::ptr::null_mut(), std::ptr::null_mut());
                raw::clone(leader_process, leaders.top(), flags, way.cast(), none, busy)
            } else {
                clone_program(way, 0)
            }
        };
        cloned.inspect_err(|_| self.busy.store(0, Ordering::Release))
    }

    /// Whether the child has its program, or has ended; waits so long (ns) for that.
    fn is_done(&self, wait_ns: u64) -> bool {
        if self.busy.load(Ordering::Acquire) != 0 && wait_ns != 0 {
            // Not a private futex: the kernel wakes shared ones only. An interrupt or a
            // late call does no harm.
            let most = clock::timespec(wait_ns);
            let _woken = futex::wait(&self.busy, futex::Flags::empty(), 1, Some(&most));
        }
        self.busy.load(Ordering::Acquire) == 0
    }

    /// Waits until the child has its program, or has ended.
    fn wait(&self) {
        while !self.is_done(ASK_AGAIN_NS) && !self.has_ended() {}
        self.busy.store(0, Ordering::Release);
    }

    /// Reaps the leader, which ends at once, if there is one that was not reaped.
    fn take_leader(&self) {
        if let Some(leader) = self.child.get().filter(|_| self.is_led.take()) {
            reap(leader);
        }
    }

    /// Whether the program's process ended; it is not reaped.
    fn has_ended(&self) -> bool {
        let lives = |pid: Pid| {
            let pid = rustix::process::Pid::from_raw(pid);
            pid.is_some_and(|pid| child::has_ended(pid) == Ok(false))
        };
        // A leader makes it, and has ended then.
        !self.child.get().is_some_and(lives) && !lives(self.pid.load(Ordering::Acquire))
    }
}

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

/// Makes the process that becomes the program; its pid.
///
/// # Safety
/// `way` and what it points to stay as they are until the kernel clears `busy`.
unsafe fn clone_program(way: *mut Way, more: c_int) -> Result<Pid, c_int> {
    // SAFETY: the child has a stack of its own, and the caller answers for the rest.
    unsafe {
        let tids = libc::CLONE_PARENT_SETTID | CLEARTID;
        let flags = SHARED | SLEEP | more | tids | libc::SIGCHLD;
        let (stack, pid, busy) = ((*way).stack, &*(*way).pid, &*(*way).busy);
        let cloned = raw::clone(
            program_process,
            stack,
            flags,
            way.cast(),
            pid.as_ptr(),
            busy.as_ptr(),
        );
        if CLEARTID == 0 {
            busy.store(0, Ordering::Release);
        }
        cloned
    }
}

/// Leads a new session, starts the program in it as the supervisor's own child
/// (`CLONE_PARENT`), and ends.
extern "C" fn leader_process(way: *mut c_void) -> c_int {
    let way = way.cast::<Way>();
    // SAFETY: `way` is a seat's; setsid cannot fail in a fresh child. Without another process
    // what is written here is this one's until the supervisor has reaped it.
    unsafe {
        let _session = syscall(libc::SYS_setsid, [0; 4]);
        if let Err(errno) = clone_program(way, libc::CLONE_PARENT) {
            (*way).failed = Some((FORK, errno));
            let busy = &*(*way).busy;
            busy.store(0, Ordering::Release);
            let _woken = futex::wake(busy, futex::Flags::empty(), 1);
        }
    }
    0
}

/// Takes the steps of the plan and execs; returns only on failure.
extern "C" fn program_process(way: *mut c_void) -> c_int {
    let way = way.cast::<Way>();
    // SAFETY: `way` is a seat's, and all but `pid` is this process' as long as that is busy.
    unsafe {
        if let Some(plan) = &(*way).plan
            && let Err(failed) = become_program(way, plan)
        {
            (*way).failed = Some(failed);
        }
    }
    127
}

/// Only makes system calls that leave `errno` alone, and neither allocates nor locks: the
/// memory is the supervisor's, which keeps running.
///
/// # Safety
/// As for [`clone_program`], in its process.
unsafe fn become_program(way: *const Way, plan: &Plan) -> Result<(), (&'static str, c_int)> {
    let step = |name| move |errno| (name, errno);
    // SAFETY: all pointers are into the way and its plan, which outlive the child.
    unsafe {
        let (slot, last) = ((*way).slot, (*way).last);
        syscall(libc::SYS_fchdir, [plan.cwd as usize, 0, 0, 0])
            .map_err(step("change to the directory"))?;
        if let Some(limit) = &plan.files {
            limit.set_again();
        }
        if let Some(record) = &plan.record {
            write_record(record);
        }
        // From here on the supervisor's locks are no longer held by this process.
        own_descriptors(last).map_err(step("have descriptors of its own"))?;
        (*(*way).owns).store(1, Ordering::Release);
        if let Some((_, to)) = plan.stdio {
            syscall(libc::SYS_dup3, [slot as usize, to as usize, 0, 0]).map_err(step(STDIO))?;
        }
        // Neither can fail.
        signal::default_pipe();
        signal::unblock_all();
        let program = plan.program.as_ptr() as usize;
        let (argv, envp) = ((*way).argv.as_ptr() as usize, (*way).envp as usize);
        syscall(libc::SYS_execve, [program, argv, envp, 0]).map_err(step("start"))?;
    }
    Ok(())
}

/// Takes copies of the descriptors up to `last`, and of no more: to copy and
/// close the thousands of a supervisor would cost more than all the rest. They
/// are shared no longer then.
fn own_descriptors(last: RawFd) -> Result<(), c_int> {
    let first = last as usize + 1;
    let flags = libc::CLOSE_RANGE_UNSHARE as usize;
    // SAFETY: both calls change nothing but which descriptors this process has.
    unsafe {
        // Kernels before 5.9 must copy all.
        syscall(
            libc::SYS_close_range,
            [first, libc::c_uint::MAX as usize, flags, 0],
        )
        .or_else(|_| syscall(libc::SYS_unshare, [libc::CLONE_FILES as usize, 0, 0, 0]))
        .map(drop)
    }
}

/// Length of every record.
const RECORD_BYTES: usize = model::format::adopt::BYTES;

/// Writes `PREFIX PID BOOT_NS`, blanks up to the length, and a newline. A failure
/// costs only the adoption of this process by a later supervisor, so the service
/// starts all the same.
fn write_record(record: &Record) {
    let now = clock_gettime(ClockId::Boottime);
    let ns = (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64);
    let pid = getpid().as_raw_pid() as u64;
    let mut text = [b' '; RECORD_BYTES];
    let mut at = append(&mut text, 0, &record.prefix);
    at = append_number(&mut text, at, pid);
    at = append(&mut text, at, b" ");
    append_number(&mut text, at, ns);
    append(&mut text, RECORD_BYTES - 1, b"\n");
    // SAFETY: the supervisor keeps it open meanwhile.
    let file = unsafe { BorrowedFd::borrow_raw(record.file) };
    let _written = rustix::io::pwrite(file, &text, 0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn plan(cwd: &File, script: &str) -> Plan {
        let argv = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
        Plan {
            cwd: cwd.as_raw_fd(),
            program: c"/bin/sh".into(),
            argv: argv.into(),
            stdio: None,
            session: Session::Inherit,
            files: None,
            record: None,
        }
    }

    fn code(pid: Pid) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(pid);
        let ended = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        ended.unwrap().unwrap().1.exit_status()
    }

    fn home() -> File {
        File::open("/").unwrap()
    }

    #[test]
    fn each_of_many_is_told_its_own_outcome() {
        let (mut spawner, home) = (Spawner::new().unwrap(), home());
        for session in [Session::Inherit, Session::Detached] {
            let starts: Vec<_> = (0..SEATS_MAX)
                .map(|n| {
                    let mut plan = plan(&home, &format!("exit {n}"));
                    plan.session = session;
                    if n % 3 == 1 {
                        plan.program = c"/nothing/there".into();
                    }
                    spawner.start(plan).unwrap()
                })
                .collect();
            let one_more = spawner.start(plan(&home, "exit 1"));
            assert!(matches!(one_more, Err(SpawnError::Fork(_))));
            for (n, start) in starts.into_iter().enumerate() {
                match spawner.finish(start) {
                    Ok(pid) => assert_eq!(code(pid), Some(n as i32)),
                    Err(SpawnError::Step(step, e)) => {
                        assert_eq!((n % 3, step), (1, "start"));
                        assert_eq!(e.kind(), io::ErrorKind::NotFound);
                    }
                    Err(e) => panic!("{e:?}"),
                }
            }
        }
    }

    #[test]
    fn each_writes_to_its_own_pipe_and_leaves_its_own_record() {
        let place = tempfile::tempdir().unwrap();
        let (mut spawner, home) = (Spawner::new().unwrap(), File::open(place.path()).unwrap());
        let file = |n| File::create(place.path().join(format!("out{n}"))).unwrap();
        let outs: Vec<_> = (0..SEATS).map(file).collect();
        let records: Vec<_> = (0..SEATS).map(|_| tempfile::tempfile().unwrap()).collect();
        let starts: Vec<_> = outs
            .iter()
            .zip(&records)
            .enumerate()
            .map(|(n, (out, record))| {
                let mut plan = plan(&home, &format!("echo {n} $PWD"));
                plan.stdio = Some((out.as_raw_fd(), 1));
                plan.record = Some(Record {
                    file: record.as_raw_fd(),
                    prefix: b"1 run ".to_vec(),
                });
                spawner.start(plan).unwrap()
            })
            .collect();
        spawner.wait();
        for ((n, start), record) in starts.into_iter().enumerate().zip(records) {
            let pid = spawner.finish(start).unwrap();
            assert_eq!(code(pid), Some(0));
            let said = fs::read_to_string(place.path().join(format!("out{n}"))).unwrap();
            let home = fs::canonicalize(place.path()).unwrap();
            assert_eq!(said, format!("{n} {}\n", home.display()));
            let mut text = vec![0; RECORD_BYTES];
            rustix::io::pread(&record, &mut text, 0).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with(&format!("1 run {pid} ")), "{text}");
        }
    }

    #[test]
    fn who_is_killed_on_the_way_keeps_nobody_waiting() {
        let (mut spawner, home) = (Spawner::new().unwrap(), home());
        let start = spawner.start(plan(&home, "exec sleep 1000")).unwrap();
        let pid =
            rustix::process::Pid::from_raw(spawner.seats[start.0].child.get().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let finished = spawner.finish(start).unwrap();
        assert_eq!(finished, pid.as_raw_pid());
        assert_eq!(code(finished), None);
    }
}
