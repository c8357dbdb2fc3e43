//! The life of a machine: boot, run, shut down, end.
