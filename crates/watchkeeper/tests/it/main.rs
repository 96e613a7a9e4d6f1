//! The built program from outside: interfaces, access, faults, crashes, and real peers on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod access;
mod crash;
mod faults;
mod harness;
mod ingest;
mod interop;
mod lifecycle;
