//! System calls that leave `errno` alone: a child that shares the memory of its
//! parent shares that variable, too.

use std::ffi::{c_int, c_long, c_void};

use super::spawn::Pid;

/// Whether that is so on this machine. Where it is not, the parent must not run
/// while such a child does.
pub const LEAVES_ERRNO_ALONE: bool = cfg!(all(target_arch = "x86_64", target_pointer_width = "64"));

/// Makes a system call with up to four arguments.
///
/// # Safety
/// What the call does with its arguments is the caller's responsibility.
///
/// # Errors
/// The number of the error.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub unsafe fn syscall(number: c_long, args: [usize; 4]) -> Result<usize, c_int> {
    let [a, b, c, d] = args;
    let result: isize;
    // SAFETY: besides what the caller answers for, the kernel changes these three registers.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    usize::try_from(result).map_err(|_| -result as c_int)
}

/// As on other machines, but for `errno`.
///
/// # Safety
/// See there.
///
/// # Errors
/// See there.
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
pub unsafe fn syscall(number: c_long, [a, b, c, d]: [usize; 4]) -> Result<usize, c_int> {
    // SAFETY: the caller answers for it.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// What a new process begins with, and its exit code.
pub type Entry = extern "C" fn(*mut c_void) -> c_int;

/// clone(2): the new process calls `entry` with `arg` on a stack that ends, on a
/// multiple of 16, at `stack`. `pid` and `busy` are for CLONE_PARENT_SETTID and
/// CLONE_CHILD_CLEARTID.
///
/// # Safety
/// What the new process does is the caller's responsibility, and the stack is
/// its own as long as it runs on this memory.
///
/// # Errors
/// The number of the error.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub unsafe fn clone(
    entry: Entry,
    stack: *mut c_void,
    flags: c_int,
    arg: *mut c_void,
    pid: *mut Pid,
    busy: *mut u32,
) -> Result<Pid, c_int> {
    let result: isize;
    // SAFETY: the new process finds its function and argument on its stack, and
    // never comes out of here; for this one it is a system call like others.
    unsafe {
        let stack = stack.cast::<usize>().sub(2);
        stack.write(arg as usize);
        stack.add(1).write(entry as usize);
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "pop rdi",
            "pop rax",
            "call rax",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags as usize,
            in("rsi") stack,
            in("rdx") pid,
            in("r10") busy,
            in("r8") 0_usize,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    Pid::try_from(result)
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or(-result as c_int)
}

/// As on other machines, but for `errno`.
///
/// # Safety
/// See there.
///
/// # Errors
/// See there.
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
pub unsafe fn clone(
    entry: Entry,
    stack: *mut c_void,
    flags: c_int,
    arg: *mut c_void,
    pid: *mut Pid,
    busy: *mut u32,
) -> Result<Pid, c_int> {
    let none = std::ptr::null_mut::<c_void>();
    // SAFETY: the caller answers for it.
    let pid = unsafe { libc::clone(entry, stack, flags, arg, pid, none, busy) };
    let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    (pid > 0).then_some(pid).ok_or_else(errno)
}
