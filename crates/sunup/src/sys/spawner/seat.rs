//! The place of one child, with everything that it needs on its way, and what the
//! supervisor may know of it meanwhile.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::thread::futex;

use super::plan::{Plan, Session};
use super::way::{SHARED, SLEEP, Way, clone_program, leader_process};
use crate::sys::child;
use crate::sys::clock;
use crate::sys::memory::Stack;
use crate::sys::raw;
use crate::sys::spawn::{Pid, pointers};

/// After this time (ns) we ask whether the child has ended: kernels before 4.9 do not
/// report one that was killed.
const ASK_AGAIN_NS: u64 = 1_000_000_000;

/// The place of a child on its way to its program.
pub struct Seat {
    /// Not zero while a child runs on the supervisor's memory.
    pub busy: AtomicU32,
    /// Not zero once it needs no descriptors of the supervisor any more.
    pub owns: AtomicU32,
    /// Of the program's process, from the kernel; 0 if there is none.
    pub pid: AtomicI32,
    /// That child's alone meanwhile, else the supervisor's.
    pub way: UnsafeCell<Way>,
    /// A low number, for a descriptor of the child: what lies above all slots is not copied.
    pub slot: OwnedFd,
    /// Whose it is until the start is finished: the program's process, or its leader.
    pub child: Cell<Option<Pid>>,
    /// That child leads a session, and makes the program's process.
    pub is_led: Cell<bool>,
    /// Of the program's process, and of the leader.
    stacks: [Stack; 2],
}

impl Seat {
    /// A free one.
    pub fn new(slot: OwnedFd) -> io::Result<Self> {
        let number = slot.as_raw_fd();
        Ok(Self {
            busy: AtomicU32::new(0),
            owns: AtomicU32::new(1),
            pid: AtomicI32::new(0),
            way: UnsafeCell::new(Way {
                plan: None,
                argv: vec![],
                envp: std::ptr::null(),
                own_envp: vec![],
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
    pub fn is_free(&self) -> bool {
        self.child.get().is_none() && self.busy.load(Ordering::Acquire) == 0
    }

    /// Makes the child of a free seat: the program's process, or the leader of its session.
    pub fn clone_child(&self, plan: Plan, last: RawFd) -> Result<Pid, c_int> {
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        let is_led = plan.session != Session::Inherit;
        // SAFETY: the seat is free, so this is the only reference to what it shares.
        let way = unsafe { &mut *self.way.get() };
        let [stack, leaders] = &self.stacks;
        way.argv = pointers(&plan.argv);
        // SAFETY: `environ` is libc's; nothing in this single-threaded program changes it meanwhile.
        way.envp = unsafe { environ };
        // SAFETY: as above; the plan, which has the variables, is kept as long as this.
        way.own_envp = match plan.gift.variables.as_slice() {
            [] => vec![],
            own => unsafe { with_variables(way.envp, own) },
        };
        if !way.own_envp.is_empty() {
            way.envp = way.own_envp.as_ptr();
        }
        way.plan = Some(plan);
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
    pub fn is_done(&self, wait_ns: u64) -> bool {
        if self.busy.load(Ordering::Acquire) != 0 && wait_ns != 0 {
            // Not a private futex: the kernel wakes shared ones only. An interrupt or a
            // late call does no harm.
            let most = clock::timespec(wait_ns);
            let _woken = futex::wait(&self.busy, futex::Flags::empty(), 1, Some(&most));
        }
        self.busy.load(Ordering::Acquire) == 0
    }

    /// Waits until the child has its program, or has ended.
    pub fn wait(&self) {
        while !self.is_done(ASK_AGAIN_NS) && !self.has_ended() {}
        self.busy.store(0, Ordering::Release);
    }

    /// Reaps the leader, which ends at once, if there is one that was not reaped.
    pub fn take_leader(&self) {
        if let Some(leader) = self.child.get().filter(|_| self.is_led.take()) {
            reap(leader);
        }
    }

    /// Whether the program's process ended; it is not reaped.
    pub fn has_ended(&self) -> bool {
        let lives = |pid: Pid| {
            let pid = rustix::process::Pid::from_raw(pid);
            pid.is_some_and(|pid| child::has_ended(pid) == Ok(false))
        };
        // A leader makes it, and has ended then.
        !self.child.get().is_some_and(lives) && !lives(self.pid.load(Ordering::Acquire))
    }
}

/// An environment with some variables in place of those of their names.
///
/// # Safety
/// `envp` is an environment, or null.
unsafe fn with_variables(envp: *const *const c_char, own: &[CString]) -> Vec<*const c_char> {
    let name_of = |variable: &[u8]| variable.iter().position(|byte| *byte == b'=');
    let is_own = |there: &[u8]| {
        own.iter().any(|own| {
            let name = name_of(own.to_bytes()).and_then(|end| own.to_bytes().get(..=end));
            name.is_some_and(|name| there.starts_with(name))
        })
    };
    let mut all: Vec<*const c_char> = own.iter().map(|own| own.as_ptr()).collect();
    let mut next = envp;
    // SAFETY: an environment ends in a null pointer, and each before that is to a C string.
    unsafe {
        while !next.is_null() && !(*next).is_null() {
            if !is_own(CStr::from_ptr(*next).to_bytes()) {
                all.push(*next);
            }
            next = next.add(1);
        }
    }
    all.push(std::ptr::null());
    all
}

/// Waits for the end of a child.
pub fn reap(pid: Pid) {
    // SAFETY: waitpid writes no status through a null pointer.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0 {
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            break;
        }
    }
}
