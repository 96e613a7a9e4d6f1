//! A store of logs outside that has taken over the lake's job, by configuration.

#[cfg(not(feature = "clickhouse"))]
mod absent;
#[cfg(feature = "clickhouse")]
mod present;

use std::path::Path;

use wk_config::Config;
use wk_lake::Lake;
use wk_store::intake::IntakeLog;
use wk_store::state::State;

#[cfg(not(feature = "clickhouse"))]
pub use self::absent::{OutsideLogs, is_outside, migrate_logs, open};
#[cfg(feature = "clickhouse")]
pub use self::present::{OutsideLogs, is_outside, migrate_logs, open};

/// The stores that a store outside stands beside.
#[derive(Clone, Copy)]
pub struct Stores<'a> {
    /// The queue of what is sent.
    pub intake: &'a IntakeLog,
    /// The logs that the node has kept itself.
    pub lake: &'a Lake,
    /// Where what is refused is told.
    pub state: &'a State,
}

/// Makes the paths of the store's files absolute, as seen from the configuration file.
pub fn resolve(config: &mut Config, base: &Path) {
    if let Some(outside) = &mut config.storage.outside_logs {
        for path in [&mut outside.password_file, &mut outside.authority_file].into_iter().flatten() {
            *path = base.join(&*path);
        }
    }
}
