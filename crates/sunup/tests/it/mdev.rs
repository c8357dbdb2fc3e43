//! Tests of mdev with real processes.
