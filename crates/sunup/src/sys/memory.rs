//! Memory that is not needed any more.

use std::ffi::c_void;

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
    // SAFETY: sysconf has no memory effects.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as usize;
    // Whole pages, all of them code and constants: the end may share its page.
    let whole = (end - end % page).saturating_sub(start);
    // SAFETY: the range is mapped from the program's file and never written to, so
    // the pages read the same when they are mapped again (madvise(2)).
    unsafe {
        libc::madvise(start as *mut c_void, whole, libc::MADV_DONTNEED);
    }
}
