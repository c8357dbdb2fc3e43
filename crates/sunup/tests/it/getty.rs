//! Tests of getty with real processes.
