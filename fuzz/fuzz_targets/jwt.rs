//! See `doorward::fuzzing::jwt`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::jwt(bytes));
