//! libFuzzer's inputs for this check; see the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::one("crash_loops", input));
