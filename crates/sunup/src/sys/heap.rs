//! The heap, and what happens when the kernel gives no more memory.
//!
//! Rust ends such a program by SIGABRT. For PID 1 this ends the machine; for a
//! supervisor, its parent cannot tell it from a defect. So here:
//!
//! - A program says one line and exits 111, so that its parent starts a successor.
//!   It does not wait for whoever reads that line.
//! - PID 1, and whoever else asks for it by [`survive`], goes on with a reserve that
//!   is part of the program: small things come from there, and [`is_short`] tells
//!   the loop to start over at its next good moment. What the reserve has no room
//!   for calls the given function at once. For that function the reserve has more
//!   room, which is for nothing else.
//!
//! The reserve is used once: freed memory does not return to it, because a new program
//! with a full reserve follows soon. Until then it costs no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::io::Write;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The part of the reserve for any allocation (bytes).
const ORDINARY_BYTES: usize = 64 * 1024;
/// The whole reserve (bytes). Starting over copies the environment twice, and in it
/// the line for a successor, of which the kernel takes up to 128 KiB.
const BYTES: usize = 768 * 1024;
/// Exit code of a program that has no memory.
const NO_MEMORY: i32 = 111;

#[global_allocator]
static HEAP: Heap = Heap;
static RESERVE: Reserve = Reserve {
    block: Block(UnsafeCell::new([0; BYTES])),
    used: AtomicUsize::new(0),
    room: AtomicUsize::new(0),
};
/// What to do when not even the reserve helps: called with the bytes that were wanted.
static LAST_RESORT: OnceLock<fn(usize) -> !> = OnceLock::new();

struct Heap;

#[repr(align(4096))]
struct Block(UnsafeCell<[u8; BYTES]>);

// SAFETY: each byte is given away once, by an atomic counter.
unsafe impl Sync for Block {}

struct Reserve {
    block: Block,
    used: AtomicUsize,
    /// So much of it may be used; nothing unless [`survive`] was called.
    room: AtomicUsize,
}

/// From here on the reserve is used if there is no memory; `last_resort` is called if the
/// reserve is not enough. It must not return, and must not wait for a lock that its
/// caller may hold.
pub fn survive(last_resort: fn(usize) -> !) {
    if LAST_RESORT.set(last_resort).is_ok() {
        RESERVE.room.store(ORDINARY_BYTES, Ordering::Relaxed);
    }
}

/// Whether the reserve is in use: it will not last long.
pub fn is_short() -> bool {
    RESERVE.used.load(Ordering::Relaxed) > 0
}

/// Whether so many bytes could be had.
pub fn has_room_for(bytes: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(bytes.max(1), 16) else {
        return false;
    };
    let got = obtain(|| {
        // SAFETY: the layout is not of size zero.
        unsafe { System.alloc(layout) }
    });
    if !got.is_null() {
        // SAFETY: it was allocated just now, with this layout.
        unsafe { System.dealloc(got, layout) };
    }
    !got.is_null()
}

// SAFETY: memory comes from the system's allocator, or from the reserve, which gives
// each byte away once and is told from the former by its address.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller answers for the layout.
        let got = obtain(|| unsafe { System.alloc(layout) });
        if got.is_null() { without(layout) } else { got }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`; what the reserve gives was never written to.
        let got = obtain(|| unsafe { System.alloc_zeroed(layout) });
        if got.is_null() { without(layout) } else { got }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !RESERVE.holds(block) {
            // SAFETY: what is not of the reserve is of the system, and the caller's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let is_of_system = !RESERVE.holds(block);
        if is_of_system {
            // SAFETY: the block is of the system, and the caller answers for the rest.
            let got = obtain(|| unsafe { System.realloc(block, layout, size) });
            if !got.is_null() {
                return got;
            }
        }
        // SAFETY: the caller answers for the size, which is not zero, and the old
        // block is valid for as many bytes as are copied, and not used after.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            let new = if is_of_system {
                without(wanted)
            } else {
                self.alloc(wanted)
            };
            new.copy_from_nonoverlapping(block, size.min(layout.size()));
            self.dealloc(block, layout);
            new
        }
    }
}

/// Asks the system, unless a test forbids it.
fn obtain(ask: impl FnOnce() -> *mut u8) -> *mut u8 {
    if refusal::is_due() { null_mut() } else { ask() }
}

impl Reserve {
    fn holds(&self, block: *mut u8) -> bool {
        let start = self.block.0.get().addr();
        (start..start.wrapping_add(BYTES)).contains(&block.addr())
    }

    /// The next bytes of it, zeroed; null if it has no room.
    fn give(&self, layout: Layout) -> *mut u8 {
        let room = self.room.load(Ordering::Relaxed);
        let place = |used: usize| {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= room && layout.align() <= align_of::<Block>()).then_some((start, end))
        };
        let (order, next) = (Ordering::Relaxed, |used| place(used).map(|(_, end)| end));
        match self.used.fetch_update(order, order, next).map(place) {
            // SAFETY: the bytes lie in the block.
            Ok(Some((start, _))) => unsafe { self.block.0.get().cast::<u8>().add(start) },
            _ => null_mut(),
        }
    }
}

/// The system has no memory: takes it from the reserve, or ends the program.
fn without(layout: Layout) -> *mut u8 {
    static LAST: AtomicBool = AtomicBool::new(false);
    let given = RESERVE.give(layout);
    if !given.is_null() {
        return given;
    }
    // SAFETY: getpid has no memory effects.
    let is_pid_1 = unsafe { libc::getpid() } == 1;
    match LAST_RESORT.get() {
        Some(last_resort) if is_pid_1 => {
            if LAST.swap(true, Ordering::Relaxed) {
                hold();
            }
            RESERVE.room.store(BYTES, Ordering::Relaxed);
            last_resort(layout.size())
        }
        _ => say_and_exit(layout.size()),
    }
}

/// Not even the last resort has memory. The machine stays as it is; an exit would
/// be the end of it.
fn hold() -> ! {
    tell(b"PID 1: out of memory; it only holds the machine\n");
    loop {
        // SAFETY: waitpid writes nothing without a status, and pause(2) has no memory effects.
        unsafe {
            if libc::waitpid(-1, null_mut(), 0) < 0 {
                libc::pause();
            }
        }
    }
}

fn say_and_exit(bytes: usize) -> ! {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the last of them zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    let mut line = [0_u8; 128];
    let mut rest = line.as_mut_slice();
    let _ = rest.write_all(name);
    let _ = writeln!(rest, ": out of memory: {bytes} bytes were not to be had");
    let unused = rest.len();
    let used = line.len() - unused;
    tell(line.get(..used).unwrap_or_default());
    // SAFETY: ends the process without running anything that could want memory.
    unsafe { libc::_exit(NO_MEMORY) }
}

/// Writes to standard error, if that takes it at once.
fn tell(line: &[u8]) {
    let mut stderr = libc::pollfd {
        fd: 2,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one pollfd, and a line of that length; a line is shorter than PIPE_BUF,
    // so that a pipe that is ready takes it at once.
    unsafe {
        if libc::poll(&raw mut stderr, 1, 0) > 0 {
            libc::write(2, line.as_ptr().cast(), line.len());
        }
    }
}

#[cfg(not(debug_assertions))]
mod refusal {
    pub const fn is_due() -> bool {
        false
    }
}

/// In a build for tests the system can be made to give nothing.
#[cfg(debug_assertions)]
pub mod refusal {
    use std::sync::atomic::{AtomicU32, Ordering};

    const NEVER: u32 = u32::MAX;
    static LEFT: AtomicU32 = AtomicU32::new(NEVER);

    /// After so many more allocations the system gives nothing; the first call counts.
    pub fn after(allocations: u32) {
        let order = Ordering::Relaxed;
        let _later_call = LEFT.compare_exchange(NEVER, allocations, order, order);
    }

    /// As `SUNUP_TEST_MEMORY=N` wants it.
    pub fn by_environment() {
        let wish = std::env::var("SUNUP_TEST_MEMORY").ok();
        if let Some(count) = wish.and_then(|count| count.parse().ok()) {
            after(count);
        }
    }

    /// Whether it gives nothing now.
    pub fn is_due() -> bool {
        let order = Ordering::Relaxed;
        let count = |left| (left != NEVER && left > 0).then(|| left - 1);
        LEFT.fetch_update(order, order, count) == Err(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_gives_each_byte_once_and_no_more_than_it_may() {
        static OTHER: Reserve = Reserve {
            block: Block(UnsafeCell::new([0; BYTES])),
            used: AtomicUsize::new(0),
            room: AtomicUsize::new(100),
        };
        let reserve = &OTHER;
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let start = reserve.block.0.get().addr();
        assert_eq!(reserve.give(layout(3, 1)).addr(), start);
        assert_eq!(reserve.give(layout(8, 16)).addr(), start + 16);
        assert!(reserve.give(layout(100, 1)).is_null());
        assert!(reserve.give(layout(1, 8192)).is_null());
        assert!(reserve.give(layout(isize::MAX as usize, 1)).is_null());
        assert_eq!(reserve.give(layout(76, 1)).addr(), start + 24);
        assert!(reserve.give(layout(1, 1)).is_null());
    }

    #[test]
    fn room_can_be_asked_for() {
        assert!(has_room_for(1 << 20));
        assert!(!has_room_for(isize::MAX as usize / 2));
        assert!(!has_room_for(usize::MAX));
    }
}
