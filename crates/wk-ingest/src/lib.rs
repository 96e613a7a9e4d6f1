//! Sources: one module each, everything that takes telemetry in.
//!
//! A source turns what it receives into attributed records and offers them to the intake log ([`contract::Intake`]).
//! Senders that can wait are made to wait while the log is busy; what cannot wait is counted as lost.

pub mod contract;
pub mod stats;

pub use contract::{Ack, Attribution, Clock, Identity, Intake, Refused, Sender, SourceContext};
pub use stats::{ReasonCount, SourceSnapshot, SourceStats};
