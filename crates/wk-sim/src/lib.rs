//! Simulated telemetry of a ship, for development and trials; never part of the shipped program.
//!
//! Everything is made from a seed: the same seed gives the same bytes on every machine. Values are autocorrelated, as
//! those of real machines are, and streams need the same memory however long they run.

pub mod metrics;
pub mod random;
pub mod remote_write;
pub mod snmp;
pub mod syslog;

pub use metrics::{MetricWorkload, MetricWorkloadOptions};
pub use syslog::{LogLine, SyslogWorkload};
