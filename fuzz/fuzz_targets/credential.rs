//! See `doorward::fuzzing::credential`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward::fuzzing::credential(bytes));
