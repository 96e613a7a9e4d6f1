//! The block codec from outside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;
mod round_trip;
mod size;
mod workload;
