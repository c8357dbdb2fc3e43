//! The kernel's device events.
