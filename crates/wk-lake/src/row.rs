//! Rows: log records on their way into and out of files.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use wk_types::{AssetId, LogRecord, Seq, Severity, UtcMs};

/// What a row costs beside its texts, in bytes of memory.
const ROW_OVERHEAD_BYTES: usize = 160;

/// A log message as the lake answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogRow {
    /// The intake record it came in.
    pub seq: Seq,
    /// When the sender says it happened.
    pub time: UtcMs,
    /// Whose message it is.
    pub asset: AssetId,
    /// The program or service that wrote it; empty where unknown.
    pub app: Arc<str>,
    /// How bad the sender says it is.
    pub severity: Severity,
    /// The text.
    pub message: Arc<str>,
    /// The constant part of the text, where it has been recognised.
    pub template: Option<Arc<str>>,
    /// Everything else the sender gave, by name.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// A row as it is buffered and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: Seq,
    pub(crate) time: UtcMs,
    pub(crate) asset: AssetId,
    pub(crate) app: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) message: Arc<str>,
    pub(crate) template: Option<Arc<str>>,
    /// A JSON object of texts; `None` where there are no attributes.
    pub(crate) attributes: Option<Arc<str>>,
}

impl Row {
    pub(crate) fn new(seq: Seq, log: &LogRecord) -> Self {
        let attributes = (!log.attributes.is_empty())
            .then(|| serde_json::to_string(&log.attributes).expect("a map of texts is always JSON").into());
        Self {
            seq,
            time: log.time,
            asset: log.asset.clone(),
            app: Arc::clone(&log.app),
            severity: log.severity,
            message: Arc::clone(&log.message),
            template: None,
            attributes,
        }
    }

    /// The row's share of memory.
    pub(crate) fn bytes(&self) -> usize {
        ROW_OVERHEAD_BYTES + self.message.len() + self.attributes.as_ref().map_or(0, |text| text.len())
    }

    /// The order of rows in a file: like stands beside like, which is what makes files small.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.app
            .cmp(&other.app)
            .then_with(|| self.asset.cmp(&other.asset))
            .then_with(|| self.time.cmp(&other.time))
            .then_with(|| self.seq.cmp(&other.seq))
    }

    /// The row as it is answered; attributes that are no map of texts are left out.
    pub(crate) fn to_log_row(&self) -> LogRow {
        let attributes = self.attributes.as_deref().and_then(|text| serde_json::from_str(text).ok());
        LogRow {
            seq: self.seq,
            time: self.time,
            asset: self.asset.clone(),
            app: Arc::clone(&self.app),
            severity: self.severity,
            message: Arc::clone(&self.message),
            template: self.template.clone(),
            attributes: attributes.unwrap_or_default(),
        }
    }
}
