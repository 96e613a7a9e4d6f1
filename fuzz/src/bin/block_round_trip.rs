//! Fuzzes series made of bytes, written as a metric block and read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_block::hostile::round_trip(bytes));
