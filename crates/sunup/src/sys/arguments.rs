//! The memory of this process' own arguments, which ps shows as its title.
//!
//! The kernel puts on the stack of a new program, upwards (System V ABI, "process
//! initialization"; execve(2)): the number of arguments, a pointer to each, a null
//! pointer, the pointers of the environment, and above them the bytes of the arguments,
//! one behind the other, of the environment, and of the path that was executed. `main` is
//! given the second of these addresses, and auxv has the last; all else follows.
//! So this works where there is no /proc, or none that can be written to. Each step is
//! checked before its result is used; where anything is otherwise, there is no title.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::env::exec_path;

/// The pointers that `main` was given, and how many.
static POINTERS: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Notes what `main` was given.
pub fn remember(count: c_int, pointers: *const *const c_char) {
    POINTERS.store(pointers.cast_mut(), Ordering::Relaxed);
    COUNT.store(usize::try_from(count).unwrap_or(0), Ordering::Relaxed);
}

/// The words that this program was called with, its name first, as they are now.
pub fn words() -> Vec<CString> {
    // SAFETY: `main` was given valid C strings, which stay for ever.
    let word = |at: &*const c_char| unsafe { CStr::from_ptr(*at) }.to_owned();
    pointers().iter().map(word).collect()
}

fn pointers() -> &'static [*const c_char] {
    let pointers = POINTERS.load(Ordering::Relaxed);
    if pointers.is_null() {
        return &[];
    }
    // SAFETY: so many pointers were given to `main`; they stay for ever, and nobody writes them.
    unsafe { std::slice::from_raw_parts(pointers, COUNT.load(Ordering::Relaxed)) }
}

/// The bytes of the last argument, without the NUL that ends them.
pub struct LastArgument {
    at: NonNull<u8>,
    bytes: usize,
}

impl LastArgument {
    /// Finds it; `None`: this program was not started in the usual way.
    pub fn find() -> Option<Self> {
        let (here, top) = (0_u8, exec_path().as_ptr());
        let on_stack = |at: *const u8| &raw const here < at && at < top;
        let words = words();
        let mut next = pointers().first()?.cast::<u8>();
        let mut last = None;
        for (at, word) in pointers().iter().zip(&words) {
            let bytes = word.count_bytes();
            let at = at.cast::<u8>();
            if at != next || !on_stack(at) || !on_stack(at.wrapping_add(bytes)) {
                return None;
            }
            next = at.wrapping_add(bytes + 1);
            last = NonNull::new(at.cast_mut()).map(|at| Self { at, bytes });
        }
        last
    }

    /// What it is at the moment.
    pub fn text(&self) -> Vec<u8> {
        // SAFETY: `find` has looked; only `show` writes there, in this one thread.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) }.to_vec()
    }

    /// Puts a text in its place, as much of it as fits.
    pub fn show(&mut self, text: &[u8]) {
        let bytes = text.len().min(self.bytes);
        // SAFETY: as in `text`; nobody holds a reference to these bytes.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), self.at.as_ptr(), bytes) };
    }
}
