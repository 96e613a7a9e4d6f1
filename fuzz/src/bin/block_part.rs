//! Fuzzes bytes taken for one part of a sound metric block, below its checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_block::hostile::part(bytes));
