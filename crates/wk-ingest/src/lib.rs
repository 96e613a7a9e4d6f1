//! Sources: one module each, everything that takes telemetry in.
//!
//! A source turns what it receives into attributed records and offers them to the intake log ([`contract::Intake`]).
//! Senders that can wait are made to wait while the log is busy; what cannot wait is counted as lost.

mod accept;
pub mod asset_table;
pub mod bulk;
pub mod contract;
mod datagrams;
mod delivery;
pub mod files;
pub mod forward;
pub mod gzip;
pub mod host;
pub mod journald;
pub mod json_logs;
pub mod logs;
pub mod loki;
pub mod metadata;
pub mod network;
pub mod otlp;
pub mod prometheus_text;
pub mod protobuf;
pub mod records;
pub mod relabel;
pub mod remote_write;
pub mod scrape;
pub mod series;
pub mod series_cache;
pub mod stats;
pub mod statsd;
pub mod syslog;
#[cfg(test)]
mod testing;
pub mod times;

pub use asset_table::AssetTable;
pub use contract::{Ack, Attribution, Clock, Identity, Intake, Refused, Sender, SourceContext};
pub use metadata::{Metadata, MetadataTable};
pub use network::Network;
pub use stats::{ReasonCount, SourceSnapshot, SourceStats};
