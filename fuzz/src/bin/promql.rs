//! Fuzzes text taken for a PromQL query, parsed, printed and evaluated.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_promql::hostile::query(bytes));
