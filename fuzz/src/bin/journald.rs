//! Fuzzes bytes taken for an entry of the systemd journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_ingest::hostile::journald(bytes));
