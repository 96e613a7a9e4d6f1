//! Fuzzes bytes taken for a body of JSON logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_ingest::hostile::json_logs(bytes));
