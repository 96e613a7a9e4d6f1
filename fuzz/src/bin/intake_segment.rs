//! Fuzzes changes of an intake segment that a start finds and reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_store::intake::hostile::segment(bytes));
