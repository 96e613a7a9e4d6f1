//! Fuzzes bytes taken for a remote write 2.0 request, compressed and not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_ingest::hostile::remote_write_v2(bytes));
