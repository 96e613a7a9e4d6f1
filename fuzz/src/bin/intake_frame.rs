//! Fuzzes bytes taken for a stream of intake frames, and for one with right checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_store::intake::hostile::frames(bytes));
