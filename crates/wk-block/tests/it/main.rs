//! The block codec from outside.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and shows what it measured")]

mod fixture;
mod round_trip;
mod size;
