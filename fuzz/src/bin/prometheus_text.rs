//! Fuzzes bytes taken for a scraped page, in both text formats.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_ingest::hostile::prometheus_text(bytes));
