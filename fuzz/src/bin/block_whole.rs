//! Fuzzes bytes taken for a whole metric block.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_block::hostile::whole(bytes));
