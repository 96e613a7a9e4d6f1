//! Intake log, metric store and the SQLite state of a node.

pub mod intake;
pub mod io;
pub mod metrics;
pub mod state;
