//! Roles and wiring of a node: scheduler, HTTP API, authentication, pipeline counters.

mod assist;
pub mod clock;
pub mod doctor;
mod error;
pub mod folder;
pub mod gauges;
pub mod http;
mod mail;
mod node;
mod offline;
mod outside_logs;
mod own_metrics;
mod pipeline;
pub mod recording;
mod ship;
mod sources;
mod story;
mod trace;

pub use error::NodeError;
pub use node::Node;
pub use offline::OfflineNode;
pub use outside_logs::migrate_logs;
pub use ship::{ShipOptions, Started, start_ship};
