//! See `doorward::fuzzing::entry`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::entry(bytes));
