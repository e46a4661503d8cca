//! See `doorward::fuzzing::request`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::request(bytes));
