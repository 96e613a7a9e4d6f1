//! Fuzzes bytes taken for a batch of intake records.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_types::wire::hostile::batch(bytes));
