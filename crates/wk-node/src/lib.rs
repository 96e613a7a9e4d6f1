//! Roles and wiring of a node: scheduler, HTTP API, authentication, pipeline counters.

mod assist;
pub mod clock;
pub mod doctor;
mod error;
pub mod folder;
pub mod gauges;
pub mod http;
mod mail;
mod migrate;
mod node;
mod offline;
mod outside;
mod outside_logs;
mod own_metrics;
mod pipeline;
#[cfg(feature = "pgwire")]
mod postgres;
pub mod recording;
mod ship;
mod sources;
mod sql_clients;
mod story;
mod trace;

pub use error::NodeError;
pub use node::Node;
pub use offline::OfflineNode;
pub use outside_logs::migrate_logs;
pub use ship::{ShipOptions, Started, start_ship};
