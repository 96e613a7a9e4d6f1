//! A build without ClickHouse: its configuration is refused.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use wk_config::{Config, LogStorage};
use wk_lake::LogSource;

use super::Stores;
use crate::error::NodeError;
use crate::ship::Purpose;

/// No store outside; there is no value of this type.
pub enum OutsideLogs {}

impl OutsideLogs {
    /// Where questions are asked.
    pub fn source(&self) -> Arc<dyn LogSource> {
        match *self {}
    }

    /// What the pipeline page shows.
    pub fn describe(&self) -> Value {
        match *self {}
    }
}

fn refuse() -> NodeError {
    NodeError::OutsideLogs { what: "this program was built without ClickHouse; build it with the feature".to_owned() }
}

/// Opens nothing.
///
/// # Errors
/// A configuration that asks for a store outside.
pub fn open(config: &Config, _: &Path, _: &Stores<'_>, _: Purpose) -> Result<Option<OutsideLogs>, NodeError> {
    if config.storage.logs == LogStorage::Embedded { Ok(None) } else { Err(refuse()) }
}

/// Tells that logs go nowhere else.
///
/// # Errors
/// None.
pub fn is_outside(_: &Path) -> Result<bool, NodeError> {
    Ok(false)
}

/// Moves nothing.
///
/// # Errors
/// Always.
pub fn migrate_logs(_: Config, _: &Path, _: &Path, _: &mut dyn FnMut(&Value)) -> Result<Value, NodeError> {
    Err(refuse())
}
