//! System calls that leave `errno` alone: a child that shares the memory of its
//! parent shares that variable, too.

use std::ffi::{c_int, c_long};

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
