//! Sources: one module each, everything that takes telemetry in.
//!
//! A source turns what it receives into attributed records and offers them to the intake log ([`contract::Intake`]).
//! Senders that can wait are made to wait while the log is busy; what cannot wait is counted as lost.

pub mod asset_table;
mod backoff;
pub mod contract;
mod delivery;
pub mod files;
pub mod gpsd;
pub mod host;
pub mod instruments;
pub mod journald;
pub mod json_logs;
mod lines;
pub mod link;
pub mod logs;
pub mod metadata;
pub mod mqtt;
pub mod network;
pub mod nmea;
mod preference;
pub mod prometheus_text;
pub mod records;
pub mod remote_write;
pub mod scrape;
pub mod series;
pub mod series_cache;
pub mod signalk;
pub mod stats;
pub mod syslog;
#[cfg(test)]
mod testing;
pub mod times;
pub mod vessel;
mod vocabulary;

pub use asset_table::AssetTable;
pub use contract::{Ack, Attribution, Clock, Identity, Intake, Refused, Sender, SourceContext};
pub use metadata::{Metadata, MetadataTable};
pub use network::Network;
pub use stats::{ReasonCount, SourceSnapshot, SourceStats};
