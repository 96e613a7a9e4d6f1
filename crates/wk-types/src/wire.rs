//! Versioned stored and sent forms of the intake log's records.
//!
//! Format 1 is a Protocol Buffers message (fields below), so that any language can read a recording. Texts stand once
//! per batch in a table and are referred to by position; samples are columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prost::Message;

use crate::command::Command;
use crate::error::ErrorKind;
use crate::id::{AssetId, Seq, SourceName};
use crate::intake::{Body, IntakeRecord};
use crate::labels::Labels;
use crate::log::LogRecord;
use crate::series::{Sample, Series, SeriesSamples};
use crate::severity::Severity;
use crate::time::UtcMs;

/// The number of the format that [`encode`] writes.
pub const FORMAT: u32 = 1;

/// Why stored bytes could not be read as records.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are no message of this format.
    #[error("could not decode the batch")]
    Decode(#[source] prost::DecodeError),
    /// A newer node wrote this.
    #[error("the batch has format {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// A reference points outside its table, or columns differ in length.
    #[error("the batch is inconsistent: {what}")]
    Inconsistent {
        /// What does not fit.
        what: &'static str,
    },
    /// A command's text could not be read.
    #[error("could not decode a command")]
    Command(#[source] serde_json::Error),
}

impl WireError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Corrupt,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(string, repeated, tag = "2")]
    texts: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(sint64, tag = "2")]
    received: i64,
    #[prost(uint32, tag = "3")]
    source: u32,
    #[prost(oneof = "Kind", tags = "4, 5, 6, 7")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "4")]
    Samples(SamplesBody),
    #[prost(message, tag = "5")]
    Logs(LogsBody),
    #[prost(bool, tag = "6")]
    Tick(bool),
    #[prost(bytes, tag = "7")]
    Command(Vec<u8>),
}

/// Columns over all series of the record: labels and samples follow each other, counted per series.
#[derive(Clone, PartialEq, Message)]
struct SamplesBody {
    #[prost(uint32, repeated, tag = "1")]
    assets: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    label_counts: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    labels: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    sample_counts: Vec<u32>,
    /// Each relative to the one before it, the first to the record's receipt.
    #[prost(sint64, repeated, tag = "5")]
    times: Vec<i64>,
    /// Bit patterns, so that every NaN survives.
    #[prost(fixed64, repeated, tag = "6")]
    values: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct LogsBody {
    #[prost(message, repeated, tag = "1")]
    logs: Vec<Log>,
}

#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(sint64, tag = "1")]
    time: i64,
    #[prost(uint32, tag = "2")]
    asset: u32,
    #[prost(uint32, tag = "3")]
    app: u32,
    #[prost(uint32, tag = "4")]
    severity: u32,
    #[prost(string, tag = "5")]
    message: String,
    #[prost(uint32, repeated, tag = "6")]
    names: Vec<u32>,
    #[prost(string, repeated, tag = "7")]
    values: Vec<String>,
}

#[derive(Default)]
struct TextTable {
    texts: Vec<String>,
    positions: HashMap<Arc<str>, u32>,
}

impl TextTable {
    fn position(&mut self, text: &Arc<str>) -> u32 {
        if let Some(position) = self.positions.get(text) {
            return *position;
        }
        let position = u32::try_from(self.texts.len()).expect("a batch holds fewer than 2^32 texts");
        self.texts.push(text.to_string());
        self.positions.insert(Arc::clone(text), position);
        position
    }
}

/// Encodes records as one batch of format [`FORMAT`], uncompressed.
#[must_use]
pub fn encode(records: &[IntakeRecord]) -> Vec<u8> {
    let mut table = TextTable::default();
    let records = records.iter().map(|record| encode_record(record, &mut table)).collect();
    Batch { format: FORMAT, texts: table.texts, records }.encode_to_vec()
}

fn encode_record(record: &IntakeRecord, table: &mut TextTable) -> Record {
    let kind = match &record.body {
        Body::Samples(series) => Kind::Samples(encode_samples(series, record.received, table)),
        Body::Logs(logs) => Kind::Logs(LogsBody { logs: logs.iter().map(|log| encode_log(log, table)).collect() }),
        Body::Tick => Kind::Tick(true),
        Body::Command(command) => {
            Kind::Command(serde_json::to_vec(command).expect("a command has only texts and numbers"))
        }
    };
    Record {
        seq: record.seq.0,
        received: record.received.0,
        source: table.position(&record.source.as_str().into()),
        kind: Some(kind),
    }
}

fn encode_samples(series: &[SeriesSamples], received: UtcMs, table: &mut TextTable) -> SamplesBody {
    let mut body = SamplesBody::default();
    let mut previous = received.0;
    for one in series {
        body.assets.push(table.position(&one.series.asset.as_str().into()));
        body.label_counts.push(one.series.labels.len() as u32);
        for (name, value) in one.series.labels.iter() {
            body.labels.push(table.position(name));
            body.labels.push(table.position(value));
        }
        body.sample_counts.push(u32::try_from(one.samples.len()).expect("a record holds fewer than 2^32 samples"));
        for sample in &one.samples {
            body.times.push(sample.time.0.wrapping_sub(previous));
            body.values.push(sample.value.to_bits());
            previous = sample.time.0;
        }
    }
    body
}

fn encode_log(log: &LogRecord, table: &mut TextTable) -> Log {
    Log {
        time: log.time.0,
        asset: table.position(&log.asset.as_str().into()),
        app: table.position(&log.app),
        severity: log.severity as u32,
        message: log.message.to_string(),
        names: log.attributes.keys().map(|name| table.position(name)).collect(),
        values: log.attributes.values().map(ToString::to_string).collect(),
    }
}

/// Decodes one batch.
///
/// # Errors
/// Bytes that are no batch, a newer format, or references that do not fit.
pub fn decode(bytes: &[u8]) -> Result<Vec<IntakeRecord>, WireError> {
    let batch = Batch::decode(bytes).map_err(WireError::Decode)?;
    if batch.format > FORMAT {
        return Err(WireError::Newer { found: batch.format });
    }
    let texts: Vec<Arc<str>> = batch.texts.into_iter().map(Into::into).collect();
    batch.records.into_iter().map(|record| decode_record(record, &texts)).collect()
}

const INCONSISTENT_TEXT: WireError = WireError::Inconsistent { what: "a text reference points outside the table" };

fn text(texts: &[Arc<str>], position: u32) -> Result<&Arc<str>, WireError> {
    texts.get(position as usize).ok_or(INCONSISTENT_TEXT)
}

fn decode_record(record: Record, texts: &[Arc<str>]) -> Result<IntakeRecord, WireError> {
    let received = UtcMs(record.received);
    let body = match record.kind.ok_or(WireError::Inconsistent { what: "a record has no body" })? {
        Kind::Samples(body) => Body::Samples(decode_samples(&body, received, texts)?),
        Kind::Logs(body) => {
            Body::Logs(body.logs.into_iter().map(|log| decode_log(log, texts)).collect::<Result<_, _>>()?)
        }
        Kind::Tick(_) => Body::Tick,
        Kind::Command(bytes) => {
            let command: Command = serde_json::from_slice(&bytes).map_err(WireError::Command)?;
            Body::Command(Box::new(command))
        }
    };
    let source = SourceName::new(Arc::clone(text(texts, record.source)?));
    Ok(IntakeRecord { seq: Seq(record.seq), received, source, body })
}

fn decode_samples(body: &SamplesBody, received: UtcMs, texts: &[Arc<str>]) -> Result<Vec<SeriesSamples>, WireError> {
    let columns_fit = body.assets.len() == body.label_counts.len()
        && body.assets.len() == body.sample_counts.len()
        && body.times.len() == body.values.len();
    if !columns_fit {
        return Err(WireError::Inconsistent { what: "sample columns differ in length" });
    }
    let mut series = Vec::with_capacity(body.assets.len());
    let (mut labels_left, mut points_left) = (&body.labels[..], body.times.iter().zip(&body.values));
    let mut previous = received.0;
    for position in 0..body.assets.len() {
        let labels_taken = (body.label_counts[position] as usize).saturating_mul(2);
        let (mine, rest) = labels_left
            .split_at_checked(labels_taken)
            .ok_or(WireError::Inconsistent { what: "fewer labels than counted" })?;
        labels_left = rest;
        let pairs = mine
            .chunks_exact(2)
            .map(|pair| Ok((Arc::clone(text(texts, pair[0])?), Arc::clone(text(texts, pair[1])?))))
            .collect::<Result<Vec<_>, WireError>>()?;
        let count = body.sample_counts[position] as usize;
        let samples: Vec<Sample> = points_left
            .by_ref()
            .take(count)
            .map(|(delta, bits)| {
                previous = previous.wrapping_add(*delta);
                Sample::new(UtcMs(previous), f64::from_bits(*bits))
            })
            .collect();
        if samples.len() != count {
            return Err(WireError::Inconsistent { what: "fewer samples than counted" });
        }
        let asset = AssetId::new(Arc::clone(text(texts, body.assets[position])?));
        series.push(SeriesSamples { series: Arc::new(Series::new(Labels::new(pairs), asset)), samples });
    }
    Ok(series)
}

fn decode_log(log: Log, texts: &[Arc<str>]) -> Result<LogRecord, WireError> {
    if log.names.len() != log.values.len() {
        return Err(WireError::Inconsistent { what: "attribute columns differ in length" });
    }
    let attributes = log
        .names
        .iter()
        .zip(log.values)
        .map(|(name, value)| Ok((Arc::clone(text(texts, *name)?), value.into())))
        .collect::<Result<BTreeMap<Arc<str>, Arc<str>>, WireError>>()?;
    Ok(LogRecord {
        time: UtcMs(log.time),
        asset: AssetId::new(Arc::clone(text(texts, log.asset)?)),
        app: Arc::clone(text(texts, log.app)?),
        severity: *Severity::ALL
            .get(log.severity as usize)
            .ok_or(WireError::Inconsistent { what: "a severity is out of range" })?,
        message: log.message.into(),
        attributes,
    })
}

#[cfg(test)]
mod tests;
