//! libFuzzer's inputs for this check; see the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::one("logs_as_shown", input));
