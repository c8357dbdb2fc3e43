//! A moment on both clocks.

use crate::format::tai64n::Tai64n;
use crate::time::Instant;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For deadlines.
    pub at: Instant,
    /// For labels in state files; nothing is decided by it.
    pub wall: Tai64n,
}
