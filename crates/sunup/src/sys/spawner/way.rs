//! The way of a child to its program: how its process is made, and what this does up to
//! the exec. It runs on the supervisor's memory, which keeps running, and leaves word of
//! the step that failed.

use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::thread::futex;

use super::plan::{Plan, Session};
use super::record::write_record;
use crate::sys::raw::{self, syscall};
use crate::sys::signal;
use crate::sys::spawn::Pid;

/// The step for which the supervisor prepares the descriptor.
pub const STDIO: &str = "set up standard input and output";
/// The step that gives it further descriptors.
const GIFT: &str = "pass descriptors on";
/// The step that makes the process; its failure is no fault of the program.
pub const FORK: &str = "fork";

/// What a child shares with the supervisor.
pub const SHARED: c_int = libc::CLONE_VM | libc::CLONE_FILES;
/// If a child would change `errno`, its parent must sleep.
pub const SLEEP: c_int = if raw::LEAVES_ERRNO_ALONE {
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

/// What a child needs and what it leaves.
pub struct Way {
    pub plan: Option<Plan>,
    pub argv: Vec<*const c_char>,
    pub envp: *const *const c_char,
    /// The environment of a child that has one of its own.
    pub own_envp: Vec<*const c_char>,
    pub stack: *mut c_void,
    pub busy: *const AtomicU32,
    pub owns: *const AtomicU32,
    pub pid: *const AtomicI32,
    pub slot: RawFd,
    /// The highest descriptor that it keeps.
    pub last: RawFd,
    pub failed: Option<(&'static str, c_int)>,
}

/// Makes the process that becomes the program; its pid.
///
/// # Safety
/// `way` and what it points to stay as they are until the kernel clears `busy`.
pub unsafe fn clone_program(way: *mut Way, more: c_int) -> Result<Pid, c_int> {
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
pub extern "C" fn leader_process(way: *mut c_void) -> c_int {
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
        if plan.session == Session::Group {
            // It leads nothing yet, so this cannot fail.
            let _group = syscall(libc::SYS_setpgid, [0; 4]);
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
        for (fd, to) in &plan.gift.fds {
            let from = fd.as_raw_fd() as usize;
            syscall(libc::SYS_dup3, [from, *to as usize, 0, 0]).map_err(step(GIFT))?;
        }
        // Neither can fail.
        signal::reset_of_writes();
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
