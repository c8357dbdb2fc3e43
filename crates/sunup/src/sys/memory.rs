//! Memory that is not needed any more, and stacks of children that share it.

use std::ffi::c_void;
use std::io;

/// Gives back memory that was needed once, to start, and was freed. (The program's own
/// code stays: the kernel takes it back when it needs the room, and no sooner.)
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) gives back memory that no allocation uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What a child needs until its exec, and much more.
const STACK_BYTES: usize = 32 * 1024;

/// The stack of a child that shares this process' memory. Below it is a page that
/// nobody may touch: a child that needs more ends, and writes over nothing.
pub struct Stack {
    base: *mut c_void,
    bytes: usize,
}

impl Stack {
    /// A stack that costs memory only as far as it is used.
    ///
    /// # Errors
    /// No memory is to be had.
    pub fn new() -> io::Result<Self> {
        let guard = page_bytes();
        let bytes = guard + STACK_BYTES;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping at an address that the kernel chooses touches no other, and
        // its first page is not used by anybody.
        unsafe {
            let base = libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stack = Self { base, bytes };
            super::signal::check(libc::mprotect(base, guard, libc::PROT_NONE))?;
            Ok(stack)
        }
    }

    /// Where it ends, and its use begins: a multiple of 16.
    pub fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(self.bytes)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it is this mapping, and who drops it answers for that nobody runs on it.
        let _unmapped = unsafe { libc::munmap(self.base, self.bytes) };
    }
}

/// The size of a page of memory, in bytes.
pub fn page_bytes() -> usize {
    // SAFETY: sysconf has no memory effects.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as usize
}
