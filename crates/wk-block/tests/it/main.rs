//! The block codec from outside.

mod fixture;
mod round_trip;
mod size;
mod workload;
