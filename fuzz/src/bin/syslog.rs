//! Fuzzes bytes of a syslog connection, from framing to record.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wk_ingest::hostile::syslog(bytes));
