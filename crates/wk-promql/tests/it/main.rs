//! The evaluator from outside: cases in the script language of Prometheus' own tests, ours inline and theirs from
//! recorded data, and random queries that a real Prometheus answers too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what cannot be")]

mod cases;
mod conformance;
mod differential;
mod inputs;
mod script;
mod skip;
mod source;
mod speed;
