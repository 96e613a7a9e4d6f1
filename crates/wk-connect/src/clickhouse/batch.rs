//! Sending rows: one insert a batch, with a token of what is in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use wk_lake::LogRow;
use wk_types::{LogRecord, Seq, Severity, UtcMs, VesselId};
use xxhash_rust::xxh3::Xxh3;

use super::http::Rows;
use super::rows::{SENT_COLUMNS, put_row};
use super::schema::LOGS;
use super::{ClickHouse, ClickHouseError};

/// A log line to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The intake record it came in.
    pub seq: Seq,
    /// Its place in the record, from 0.
    pub line: u32,
    /// When the sender says it happened.
    pub time: UtcMs,
    /// Whose message it is.
    pub asset: &'a str,
    /// The program or service that wrote it.
    pub app: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// The text.
    pub message: &'a str,
    /// The constant part of the text, where it is known.
    pub template: Option<&'a str>,
    /// Everything else.
    pub attributes: &'a BTreeMap<Arc<str>, Arc<str>>,
}

impl<'a> Line<'a> {
    /// A line of an intake record.
    #[must_use]
    pub fn of_record(seq: Seq, line: u32, log: &'a LogRecord) -> Self {
        let LogRecord { time, asset, app, severity, message, attributes } = log;
        let (time, severity, asset) = (*time, *severity, asset.as_str());
        Self { seq, line, time, asset, app, severity, message, template: None, attributes }
    }

    /// A line that was stored before.
    #[must_use]
    pub fn of_row(row: &'a LogRow) -> Self {
        let LogRow { seq, line, time, asset, app, severity, message, template, attributes } = row;
        Self {
            seq: *seq,
            line: *line,
            time: *time,
            asset: asset.as_str(),
            app,
            severity: *severity,
            message,
            template: template.as_deref(),
            attributes,
        }
    }
}

/// The token by which ClickHouse knows a batch again: the same rows in the same order have the same one. The content
/// counts as well, since a node that was restored from an old copy gives the same numbers to other records.
pub(super) fn token(vessel: &VesselId, lines: &[Line<'_>]) -> String {
    let mut hash = Xxh3::new();
    let mut text = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for line in lines {
        let Line { seq, line: place, time, severity, template, attributes, .. } = line;
        let shape = (template.is_some(), attributes.len());
        text(&format!("{} {place} {} {} {shape:?}", seq.0, time.0, *severity as u8));
        [line.asset, line.app, line.message].into_iter().for_each(&mut text);
        text(template.unwrap_or_default());
        for (name, value) in *attributes {
            text(name);
            text(value);
        }
    }
    let seq = |line: Option<&Line<'_>>| line.map_or(0, |line| line.seq.0);
    format!("wk{}-{vessel}-{}-{}-{:032x}", super::SCHEMA, seq(lines.first()), seq(lines.last()), hash.digest128())
}

impl ClickHouse {
    /// Stores a batch, received at a time; once it returns, the batch is stored, and sending it again changes nothing.
    ///
    /// # Errors
    /// A store that cannot be reached or refuses. Whether the batch is stored is then not known.
    pub fn insert(&self, received: UtcMs, lines: &[Line<'_>]) -> Result<(), ClickHouseError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.prepare()?;
        let settings = [
            ("async_insert", "0".to_owned()),
            ("insert_deduplicate", "1".to_owned()),
            ("insert_deduplication_token", token(&self.0.options.vessel, lines)),
        ];
        let rows = self.encode(received, lines).map_err(|error| ClickHouseError::unreachable(self.url(), error))?;
        let insert = format!("INSERT INTO {LOGS} ({SENT_COLUMNS}) FORMAT RowBinary");
        self.0.runtime.block_on(self.0.http.insert(self.database(), &insert, rows, &settings))
    }

    fn encode(&self, received: UtcMs, lines: &[Line<'_>]) -> std::io::Result<Rows> {
        let (mut rows, mut row) = (Rows::new()?, Vec::new());
        for line in lines {
            row.clear();
            put_row(&self.0.options.vessel, received, line, &mut row);
            rows.write(&row)?;
        }
        Ok(rows)
    }
}
