//! The built program from outside: interfaces, access, faults, crashes, and real peers on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a test that cannot go on should stop where it stands; a test outside the node has no other clock"
)]

mod access;
mod crash;
mod faults;
mod grafana;
mod grafana_requests;
mod harness;
mod ingest;
mod interop;
mod lifecycle;
mod log_search;
mod prometheus_api;
mod protocols;
mod remote_write;
mod remote_write_v2;
mod shapes;
