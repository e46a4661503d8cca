//! See `doorward::fuzzing::text`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::text(bytes));
