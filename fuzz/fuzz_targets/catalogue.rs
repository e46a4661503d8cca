//! See `doorward::fuzzing::catalogue`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::catalogue(bytes));
