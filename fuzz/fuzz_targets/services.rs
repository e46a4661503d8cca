//! See `doorward::fuzzing::services`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::services(bytes));
