//! Tests of runsv with real processes.
