//! See `doorward::fuzzing::jwks`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::jwks(bytes));
