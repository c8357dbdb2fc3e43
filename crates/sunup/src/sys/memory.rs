//! Memory that is not needed any more, and stacks of children that share it.

use std::ffi::c_void;
use std::io;

unsafe extern "C" {
    // By every linker of ELF files: end(3), and the begin in the same way.
    static __executable_start: u8;
    static etext: u8;
}

/// Gives back what was needed once, to start: memory that was freed, and the
/// program's own code. Code that is needed after all comes back from the kernel's
/// cache, a few pages at a time.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) gives back memory that no allocation uses.
    unsafe {
        libc::malloc_trim(0);
    }
    let start = (&raw const __executable_start).addr();
    let end = (&raw const etext).addr();
    let page = page_bytes();
    // Whole pages, all of them code and constants: the end may share its page.
    let whole = (end - end % page).saturating_sub(start);
    // SAFETY: the range is mapped from the program's file and never written to, so
    // the pages read the same when they are mapped again (madvise(2)).
    unsafe {
        libc::madvise(start as *mut c_void, whole, libc::MADV_DONTNEED);
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

fn page_bytes() -> usize {
    // SAFETY: sysconf has no memory effects.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as usize
}
