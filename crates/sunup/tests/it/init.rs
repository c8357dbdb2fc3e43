//! Tests of init with real processes.
