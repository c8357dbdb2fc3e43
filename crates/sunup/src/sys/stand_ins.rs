//! Stand-ins for what glibc would bring along more than half of a static glibc for: its printf,
//! with the character sets and the loader of shared libraries that wide characters need
//! (docs/decisions/0020-parts-of-glibc.md).
//!
//! Rust uses none of that. glibc itself does, in places that are never reached or can do
//! without: reports about the heap, the failure of an assertion, the words of an error number
//! that it does not know, the streams that a fork locks, and wide characters. A linker takes
//! the first definition of a name, which is ours. If something needs the originals after all,
//! the linker reports the name twice; `build.rs` tells when these are used.
#![cfg_attr(test, allow(dead_code))]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;

/// The stream of the reports about the heap.
#[cfg_attr(not(test), unsafe(export_name = "stderr"))]
static STDERR: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Prints nothing: only reports about the heap call this, and nobody asks for them.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn fprintf(_stream: *mut c_void, _format: *const c_char) -> c_int {
    0
}

/// As [`fprintf`], which is called by this name from glibc 2.38 on.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn __fprintf_chk(_stream: *mut c_void, _flag: c_int, _format: *const c_char) -> c_int {
    0
}

/// As [`fprintf`].
#[cfg_attr(not(test), unsafe(export_name = "_IO_fputs"))]
extern "C" fn fputs(_text: *const c_char, _stream: *mut c_void) -> c_int {
    0
}

/// As [`fprintf`].
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn fwrite(_from: *const c_void, _size: usize, count: usize, _: *mut c_void) -> usize {
    count
}

/// How the locale C converts wide characters: not at all, for there are none.
#[cfg_attr(not(test), unsafe(export_name = "__wcsmbs_gconv_fcts_c"))]
static WIDE: [AtomicPtr<c_void>; 4] = [const { AtomicPtr::new(null_mut()) }; 4];

/// Writes the format as it is, up to the first value in it. glibc calls this for an unknown
/// error number, which our messages name themselves.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn __snprintf(to: *mut c_char, bytes: usize, format: *const c_char) -> c_int {
    // SAFETY: the caller gives a C string, and room for that many bytes.
    unsafe {
        let format = CStr::from_ptr(format).to_bytes();
        let plain = format.split(|b| *b == b'%').next();
        let text = plain
            .filter(|text| !text.is_empty())
            .unwrap_or(b"Unknown error");
        if let Some(most) = bytes.checked_sub(1) {
            let length = text.len().min(most);
            to.cast::<u8>()
                .copy_from_nonoverlapping(text.as_ptr(), length);
            to.add(length).write(0);
        }
        text.len() as c_int
    }
}

/// The words of an error in another language: there is none.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn __dcgettext(
    _domain: *const c_char,
    message: *const c_char,
    _category: c_int,
) -> *const c_char {
    message
}

/// fork(2) of a program with one thread: nothing is locked then.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn fork() -> c_int {
    // SAFETY: the arguments ask for a copy of this process, and nothing else.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as c_int }
}

/// Says what failed, and ends the program, as the original does.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn __assert_fail(
    assertion: *const c_char,
    file: *const c_char,
    _line: u32,
    _function: *const c_char,
) -> ! {
    let middle = c": assertion failed: ".as_ptr();
    for part in [file, middle, assertion, c"\n".as_ptr()] {
        // SAFETY: C strings, of which the length is taken.
        unsafe { libc::write(2, part.cast(), libc::strlen(part)) };
    }
    // SAFETY: may be called at any time.
    unsafe { libc::abort() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_first_value_and_to_its_room() {
        let written = |bytes: usize, format: &CStr| {
            let mut to = [b'x'; 32];
            // SAFETY: room for so many bytes, and a C string.
            let length = unsafe { __snprintf(to.as_mut_ptr().cast(), bytes, format.as_ptr()) };
            (String::from_utf8(to.to_vec()).unwrap(), length)
        };
        let (text, length) = written(32, c"%s%d");
        assert!(text.starts_with("Unknown error\0x") && length == 13);
        let (text, length) = written(4, c"abcdef %d");
        assert!(text.starts_with("abc\0x") && length == 7);
        assert!(written(0, c"abc").0.starts_with("xx"));
    }

    #[test]
    fn a_child_is_a_copy() {
        let me = std::process::id();
        match fork() {
            // SAFETY: ends the child at once.
            0 => unsafe { libc::_exit(i32::from(std::process::id() == me)) },
            child => {
                let mut status = -1;
                // SAFETY: a child of ours, and a place for its status.
                let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!((ended, status), (child, 0));
            }
        }
    }
}
