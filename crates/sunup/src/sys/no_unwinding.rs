//! Stand-ins for the library that walks up the stack (docs/decisions/0020-parts-of-glibc.md).
//!
//! A panic ends a release build, and the tables of unwinding are not in it. So there is no
//! frame to be shown, and what std has for naming frames, a reader of debug information, is
//! left out as soon as the compiler sees that. The others of these names are mentioned where
//! something would unwind; nothing does.
#![cfg_attr(test, allow(dead_code))]

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`
const END_OF_STACK: c_int = 5;

/// Walks up the stack, which has no frames.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn _Unwind_Backtrace(
    _frame: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    _argument: *mut c_void,
) -> c_int {
    END_OF_STACK
}

/// Functions that are called while something unwinds, or about a frame.
macro_rules! never {
    ($($name:ident)*) => {
        $(
            #[cfg_attr(not(test), unsafe(no_mangle))]
            extern "C" fn $name() -> ! {
                // SAFETY: may be called at any time.
                unsafe { libc::abort() }
            }
        )*
    };
}

never! {
    _Unwind_DeleteException _Unwind_FindEnclosingFunction _Unwind_ForcedUnwind _Unwind_GetCFA
    _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_RaiseException _Unwind_Resume
    _Unwind_SetGR _Unwind_SetIP __gcc_personality_v0
}
