//! Rows as they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use wk_types::{AssetId, Seq, Severity, UtcMs};

use crate::query::{Cursor, TailCursor};

/// What a row costs beside its texts where it is answered, in bytes of memory.
const ROW_OVERHEAD_BYTES: usize = 160;

/// A log message as the lake answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogRow {
    /// The intake record it came in.
    pub seq: Seq,
    /// Its place in the record, from 0.
    pub line: u32,
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

impl LogRow {
    /// The row's place in the order of arrival.
    #[must_use]
    pub const fn arrival(&self) -> TailCursor {
        TailCursor { seq: self.seq, line: self.line }
    }

    /// The row's place in the order of time.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { time: self.time, arrival: self.arrival() }
    }

    /// The row's share of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        ROW_OVERHEAD_BYTES + self.message.len() + attributes
    }
}
