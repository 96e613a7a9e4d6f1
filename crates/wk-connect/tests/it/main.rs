//! Outside systems, or as much of them as can be had on one machine.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test fails by panicking")]

#[cfg(feature = "clickhouse")]
mod clickhouse;
