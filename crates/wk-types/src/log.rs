//! Log records.

use std::sync::Arc;

use crate::attributes::Attributes;
use crate::id::AssetId;
use crate::severity::Severity;
use crate::time::UtcMs;

/// One log message, attributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// When the sender says it happened; the time of receipt where it does not say.
    pub time: UtcMs,
    /// Whose message it is.
    pub asset: AssetId,
    /// The program or service that wrote it; empty where unknown.
    pub app: Arc<str>,
    /// How bad the sender says it is; info where it does not say.
    pub severity: Severity,
    /// The text.
    pub message: Arc<str>,
    /// Everything else the sender gave, by name, nested names joined with dots.
    pub attributes: Attributes,
}
