//! The only unsafe code of lab: calls that change what a process is.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Puts this process into namespaces of its own; its next child is PID 1 there.
/// The process must have one thread.
pub fn unshare_all() -> io::Result<()> {
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWCGROUP;
    // SAFETY: unsafe is only CLONE_FILES, which would part threads that share
    // descriptors; it is not among the flags.
    unsafe { unshare_unsafe(flags) }?;
    Ok(())
}

/// Lets the clocks of this process's children (not its own) have offsets of
/// their own. Kernels may be built without.
pub fn unshare_time() -> io::Result<()> {
    // SAFETY: as in `unshare_all`.
    unsafe { unshare_unsafe(UnshareFlags::NEWTIME) }?;
    Ok(())
}

/// Has the kernel kill the child when the thread that spawns it ends, so that a
/// killed lab leaves no machine behind.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) }
}

/// As [`die_with_parent`], by TERM, so that the child can clean up.
pub fn end_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: as above.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) }
}

/// Gives the child a session of its own, without a terminal.
pub fn new_session(command: &mut Command) -> &mut Command {
    // SAFETY: as above.
    unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into)) }
}

/// Parts of the environment that say where tools and caches are, and what is asked
/// of a test; the rest is a matter of taste, or of another program.
const KEPT: [&str; 10] = [
    "CARGO",
    "HOME",
    "LAB_",
    "PATH",
    "RUST",
    "SUNUP_",
    "TMPDIR",
    "UPDATE_GOLDEN",
    "XDG_CACHE_HOME",
    "_PROXY",
];

/// Whether a variable is passed on.
fn is_kept(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    KEPT.iter().any(|part| match part.strip_prefix('_') {
        Some(_) => name.ends_with(part),
        None => name.starts_with(part),
    })
}

/// A call of `program` that inherits nothing of how lab was started: signals do
/// what they do by default, limits are those of a login, files are made for
/// everybody to read, and no descriptor is open but the first three.
pub fn pristine(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept)));
    // SAFETY: the closure makes system calls and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            forget_heritage();
            Ok(())
        })
    };
    command
}

fn forget_heritage() {
    // SAFETY: system calls; the set of signals is a value of its own, and the
    // descriptors stay open until the exec.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::umask(0o022);
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as c_int);
    }
    usual_limits();
}

/// Soft limits as the kernel gives them to the first process; hard ones stay.
fn usual_limits() {
    let kinds = [
        (libc::RLIMIT_AS, libc::RLIM_INFINITY),
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_CPU, libc::RLIM_INFINITY),
        (libc::RLIMIT_DATA, libc::RLIM_INFINITY),
        (libc::RLIMIT_FSIZE, libc::RLIM_INFINITY),
        (libc::RLIMIT_NOFILE, 1024),
        (libc::RLIMIT_NPROC, libc::RLIM_INFINITY),
        (libc::RLIMIT_STACK, 8 << 20),
    ];
    for (kind, usual) in kinds {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: both calls get a value of their own.
        unsafe {
            if libc::getrlimit(kind, &raw mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max.min(usual);
                libc::setrlimit(kind, &raw const limit);
            }
        }
    }
}

/// Has the kernel answer setgroups(2) with success, and do nothing, for this
/// process and all that come from it. Needs CAP_SYS_ADMIN in its user namespace.
pub fn pretend_setgroups() -> io::Result<()> {
    /// seccomp(2): the offsets of `nr` and `arch` in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        op(LOAD, 0, 0, ARCH),
        op(EQUAL, 0, 3, NATIVE_ARCH),
        op(LOAD, 0, 0, NUMBER),
        op(EQUAL, 0, 1, libc::SYS_setgroups as u32),
        // An error of 0 is success.
        op(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which outlives the call, and its
    // length is right.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `AUDIT_ARCH_*` of linux/audit.h: the ELF machine, 64 bits, little endian.
const NATIVE_ARCH: u32 = 0xc000_0000
    | if cfg!(target_arch = "x86_64") {
        libc::EM_X86_64 as u32
    } else {
        libc::EM_AARCH64 as u32
    };

/// Takes a write lease on a file that nobody else has open (fcntl(2)): whoever opens or
/// executes it waits until `file` is closed, for 45 seconds at most
/// (/proc/sys/fs/lease-break-time).
pub fn take_lease(file: &File) -> io::Result<()> {
    /// asm-generic/fcntl.h.
    const F_SETSIG: c_int = 10;
    // Who waits is told of by a signal; the usual one, IO, would end this process.
    // SAFETY: system calls with numbers alone.
    let result = unsafe {
        libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG);
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether somebody waits for the end of a lease that [`take_lease`] took.
pub fn lease_is_in_the_way(file: &File) -> io::Result<bool> {
    // SAFETY: a system call with numbers alone.
    let kind = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) };
    if kind < 0 {
        return Err(io::Error::last_os_error());
    }
    // It is what the lease is to become.
    Ok(kind != libc::F_WRLCK)
}

/// Starts `program` without arguments and environment, with `stdout` as its
/// standard output and perhaps a descriptor 3, by the cheapest means there are: a
/// clone that shares memory until the exec. The pid; it is the caller's to reap.
pub fn vfork_exec(
    program: &CStr,
    stdout: BorrowedFd,
    three: Option<BorrowedFd>,
) -> io::Result<i32> {
    extern "C" fn child(arg: *mut c_void) -> c_int {
        // SAFETY: `arg` is the `start` below, whose thread sleeps until the exec.
        let start = unsafe { &*arg.cast::<Start>() };
        let argv = [start.program, std::ptr::null()];
        // SAFETY: system calls only, with pointers that outlive them.
        unsafe {
            libc::dup2(start.stdout, 1);
            if start.three >= 0 {
                libc::dup2(start.three, 3);
            }
            libc::execve(start.program, argv.as_ptr(), argv[1..].as_ptr());
        }
        127
    }
    struct Start {
        program: *const c_char,
        stdout: c_int,
        /// Negative: none.
        three: c_int,
    }
    let mut start = Start {
        program: program.as_ptr(),
        stdout: stdout.as_raw_fd(),
        three: three.map_or(-1, |fd| fd.as_raw_fd()),
    };
    let mut stack = [0_u128; 1024];
    // SAFETY: with CLONE_VFORK this thread sleeps until the child, which runs on
    // a stack of its own, has exec'd or ended; so `start` and `stack` outlive it.
    let pid = unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr_range().end.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut start).cast(),
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid)
}

/// A descriptor by its number that came through the exec of this program: nobody else
/// here has it, for what is opened here is close-on-exec.
///
/// # Errors
/// There is none of that number.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: system calls with numbers alone. A descriptor that is not close-on-exec is the
    // caller's alone; from now on it is, so nobody takes it twice.
    unsafe {
        let flags = libc::fcntl(number, libc::F_GETFD);
        if flags != 0 || libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Does what a signal does by default: this process ends by it, if that is to end it.
pub fn take_by_default(signal: c_int) {
    // SAFETY: no handler is installed, and no memory is passed.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_need_is_kept_of_the_environment() {
        for name in [
            "PATH",
            "CARGO_HOME",
            "https_proxy",
            "SUNUP_PATIENCE",
            "XDG_CACHE_HOME",
        ] {
            assert!(is_kept(name), "{name}");
        }
        for name in ["SVDIR", "LANG", "LC_ALL", "PROXY", "MAKEFLAGS"] {
            assert!(!is_kept(name), "{name}");
        }
    }
}
