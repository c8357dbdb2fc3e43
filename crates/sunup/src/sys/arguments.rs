//! The memory of this process' own arguments, which ps shows as its title.
//!
//! The kernel puts on the stack of a new program, upwards (System V ABI, "process
//! initialization"; execve(2)): the number of arguments, a pointer to each, a null
//! pointer, the pointers of the environment, and above them the bytes of the arguments,
//! one behind the other, of the environment, and of the path that was executed. The C
//! library keeps the third of these addresses, and auxv has the last; all else follows.
//! So this works where there is no /proc, or none that can be written to. Each step is
//! checked before its result is used; where anything is otherwise, there is no title.

use std::ffi::{OsString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::env::exec_path;

unsafe extern "C" {
    static environ: *mut *mut c_char;
}

/// The environment's pointers as the kernel made them.
static ENVIRON: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());

/// Notes where the environment is. To be called before a variable is set, which moves it.
pub fn remember() {
    // SAFETY: the C library set the variable before `main`, and there is one thread.
    ENVIRON.store(unsafe { environ }, Ordering::Relaxed);
}

/// The bytes of the last argument, without the NUL that ends them.
pub struct LastArgument {
    at: NonNull<u8>,
    bytes: usize,
}

impl LastArgument {
    /// Finds it; `None`: this program was not started in the usual way.
    pub fn find() -> Option<Self> {
        let args: Vec<OsString> = std::env::args_os().collect();
        let variables = ENVIRON.load(Ordering::Relaxed);
        let count = variables.wrapping_sub(args.len() + 2);
        let (here, top) = (0_u8, exec_path().as_ptr());
        let on_stack = |at: *const u8| &raw const here < at && at < top;
        if !on_stack(count.cast()) || !on_stack(variables.cast()) || !variables.is_aligned() {
            return None;
        }
        // SAFETY: aligned words between our own frame and the path on top of the stack,
        // all of which is mapped.
        let words = unsafe { std::slice::from_raw_parts(count, args.len() + 2) };
        let (count, pointers) = words.split_first()?;
        let (end, pointers) = pointers.split_last()?;
        if count.addr() != args.len() || !end.is_null() {
            return None;
        }
        let mut next = pointers.first()?.cast::<u8>();
        let mut last = None;
        for (at, arg) in pointers.iter().zip(&args) {
            let bytes = arg.len();
            let at = at.cast::<u8>();
            if at != next || !on_stack(at) || !on_stack(at.wrapping_add(bytes)) {
                return None;
            }
            // SAFETY: bytes of the stack, as above, that nobody writes meanwhile.
            let found = unsafe { std::slice::from_raw_parts(at, bytes + 1) };
            if found.split_last() != Some((&0, arg.as_bytes())) {
                return None;
            }
            next = at.wrapping_add(bytes + 1);
            last = NonNull::new(at).map(|at| Self { at, bytes });
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
