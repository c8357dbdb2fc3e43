//! Signals as a descriptor, and the dispositions that children must not inherit.

use model::process::Pid;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use libc::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGIO, SIGKILL,
    SIGPIPE, SIGPWR, SIGQUIT, SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, SIGXFSZ,
};

/// A signal number, as in signal(7).
pub type Signal = i32;

/// glibc's `SIGRTMIN+6`, by which systemd starts the kernel that is loaded, too.
pub const KEXEC: Signal = 40;
/// What asks init for single-user mode: glibc's SIGRTMIN+1, as in systemd (rescue.target).
pub const SINGLE: Signal = 35;

/// A real-time signal that nothing else here uses.
pub fn queued() -> Signal {
    libc::SIGRTMIN()
}

/// The signal by which systemd and podman stop a container.
pub fn container_stop() -> Signal {
    libc::SIGRTMIN() + 3
}

/// Blocks a set of signals and delivers them through a descriptor.
pub struct SignalFd {
    fd: OwnedFd,
}

/// One delivered signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Which signal.
    pub signal: Signal,
    /// Pid of the sender as seen from here; 0 for the kernel or another namespace.
    pub sender: u32,
    /// The descriptor that it is about, if it is about one.
    pub fd: i32,
}

impl SignalFd {
    /// Blocks `signals` and opens the descriptor (non-blocking, close-on-exec). Their
    /// actions are the default ones then: otherwise a signal that our parent had ignored
    /// would not arrive, and children would leave no exit status.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set = set_of(signals);
        // SAFETY: `set` is initialised and outlives both calls; signalfd returns a new descriptor.
        unsafe {
            check(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                std::ptr::null_mut(),
            ))?;
            signals.iter().copied().for_each(reset);
            let fd = check(libc::signalfd(
                -1,
                &raw const set,
                libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
            ))?;
            Ok(Self {
                fd: OwnedFd::from_raw_fd(fd),
            })
        }
    }

    /// Blocks all signals but a few and delivers them through a descriptor as [`SignalFd::new`]
    /// does; returns also what was blocked before. Actions stay as they are, but for SIGCHLD: a
    /// blocked signal waits, even if it is ignored.
    pub fn of_all_but(others: &[Signal]) -> io::Result<(Self, Mask)> {
        let all: Vec<Signal> = (1..=libc::SIGRTMAX())
            .filter(|signal| !others.contains(signal))
            .collect();
        let set = set_of(&all);
        let mut old = MaybeUninit::uninit();
        // SAFETY: `set` is initialised and outlives the calls, and sigprocmask fills `old`;
        // signalfd returns a new descriptor.
        unsafe {
            check(libc::sigprocmask(
                libc::SIG_SETMASK,
                &raw const set,
                old.as_mut_ptr(),
            ))?;
            reset(SIGCHLD);
            let flags = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
            let fd = OwnedFd::from_raw_fd(check(libc::signalfd(-1, &raw const set, flags))?);
            Ok((Self { fd }, Mask(old.assume_init())))
        }
    }

    /// The next pending signal, if any; never blocks.
    pub fn next(&self) -> Option<Delivered> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has `size` bytes; the record is read only after a full read.
        unsafe {
            let n = libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size);
            (n == size as isize).then(|| {
                let info = info.assume_init();
                Delivered {
                    signal: info.ssi_signo as Signal,
                    sender: info.ssi_pid,
                    fd: info.ssi_fd,
                }
            })
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Which signals were blocked.
pub struct Mask(libc::sigset_t);

impl Mask {
    /// Blocks these signals again and no others. Async-signal-safe.
    pub fn set_again(&self) {
        // SAFETY: the set is initialised and outlives the call.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

/// Signals that are ignored for a while.
pub struct Ignored(Vec<(Signal, libc::sighandler_t)>);

impl Ignored {
    /// Ignores these, which have no handler in this program.
    pub fn new(signals: &[Signal]) -> Self {
        let ignore = |signal: &Signal| {
            // SAFETY: SIG_IGN installs no handler.
            (*signal, unsafe { libc::signal(*signal, libc::SIG_IGN) })
        };
        Self(signals.iter().map(ignore).collect())
    }

    /// Undoes it. Async-signal-safe.
    pub fn put_back(&self) {
        for (signal, action) in &self.0 {
            // SAFETY: the action was the default one or to ignore it: no handler is installed.
            unsafe { libc::signal(*signal, *action) };
        }
    }
}

/// Gives every signal its default action and unblocks all: for a supervisor at
/// its start (it may inherit ignored signals) and a forked child before exec.
/// Async-signal-safe.
pub fn reset_all() {
    reset_actions();
    unblock_all();
}

/// Gives every signal its default action; what is blocked stays so.
pub fn reset_actions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler; KILL, STOP and libc's own signals fail harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Gives one signal its default action; whether it is blocked stays as it is.
pub fn reset(signal: Signal) {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores the signals of a write that cannot be done: it answers EPIPE, or EFBIG at a limit
/// of file size (`ulimit -f`). For who must outlive it; `main` ignores SIGPIPE alone.
pub fn ignore_of_writes() {
    ignore_pipe();
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(SIGXFSZ, libc::SIG_IGN) };
}

/// Undoes [`ignore_of_writes`]: for the program that comes next. Async-signal-safe.
pub fn reset_of_writes() {
    default_pipe();
    reset(SIGXFSZ);
}

/// Ignores SIGPIPE, as `main` does, again after [`default_pipe`]: a write answers EPIPE.
pub fn ignore_pipe() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(SIGPIPE, libc::SIG_IGN) };
}

/// Gives SIGPIPE its default action, which `main` took away: for the program that comes next.
pub fn default_pipe() {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(SIGPIPE, libc::SIG_DFL) };
}

/// Unblocks every signal. Async-signal-safe.
pub fn unblock_all() {
    block_only(&[]);
}

/// Blocks these signals and no others: one that waits goes on waiting.
pub fn block_only(signals: &[Signal]) {
    let set = set_of(signals);
    // SAFETY: `set` is initialised and outlives the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

/// Sends a signal to a process.
///
/// # Errors
/// The caller's to judge: a process that is gone is seldom a problem.
pub fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    send(number(pid)?, signal)
}

/// Sends a signal to the process of a pidfd.
///
/// # Errors
/// As [`kill`].
pub fn send_by_pidfd(fd: BorrowedFd, signal: Signal) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the call has no memory effects; without a siginfo it is as kill(2).
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) };
    check(sent as i32).map(drop)
}

/// Sends a signal to the process group that a process leads.
///
/// # Errors
/// As [`kill`].
pub fn kill_group(leader: Pid, signal: Signal) -> io::Result<()> {
    send(-number(leader)?, signal)
}

/// Sends a signal to every process that may be sent one, but PID 1 and this one.
///
/// # Errors
/// As [`kill`].
pub fn kill_all(signal: Signal) -> io::Result<()> {
    send(-1, signal)
}

/// The pid as the kernel wants it; 0 and negative numbers must not become a group, or all
/// processes.
fn number(pid: Pid) -> io::Result<i32> {
    let number = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    number.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

fn send(to: i32, signal: Signal) -> io::Result<()> {
    // SAFETY: kill has no memory effects.
    check(unsafe { libc::kill(to, signal) }).map(drop)
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set, and sigaddset only changes it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for s in signals {
            libc::sigaddset(set.as_mut_ptr(), *s);
        }
        set.assume_init()
    }
}

/// Turns libc's -1 into the error of `errno`.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No signal is sent by this (0), if the number were taken for all, or for a group.
    #[test]
    fn what_is_no_process_is_neither_a_group_nor_all() {
        for pid in [0, u32::MAX, 1 << 31] {
            for sent in [kill(pid, 0), kill_group(pid, 0)] {
                assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::ESRCH), "{pid}");
            }
        }
        assert!(kill(std::process::id(), 0).is_ok());
    }
}
