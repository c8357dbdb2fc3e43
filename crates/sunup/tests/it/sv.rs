//! Tests of sv with real processes.
