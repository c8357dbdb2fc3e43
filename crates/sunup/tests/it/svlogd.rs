//! Tests of svlogd with real processes.
