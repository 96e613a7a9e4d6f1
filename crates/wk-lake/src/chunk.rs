//! Rows on their way into the buffer, gathered column by column.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array, StringArray, StringBuilder};
use hashbrown::HashMap;
use wk_types::{LogRecord, Seq, UtcMs};

use crate::block::{Block, Column, Values};
use crate::file::GroupSummary;
use crate::query::TailCursor;

/// What a row costs beside its texts, in bytes of memory.
const ROW_OVERHEAD_BYTES: usize = 48;
/// Text for which room is made from the start, for each row.
const TEXT_BYTES_EXPECTED: usize = 128;

/// Some buffered rows, in the order they came.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) block: Block,
    pub(crate) summary: GroupSummary,
    pub(crate) bytes: usize,
    pub(crate) first: TailCursor,
    pub(crate) last: TailCursor,
    /// When its first and its last record were received.
    pub(crate) received: (UtcMs, UtcMs),
}

/// Gathers rows into a [`Chunk`].
#[derive(Debug)]
pub(crate) struct ChunkBuilder {
    times: Vec<i64>,
    seqs: Vec<i64>,
    lines: Vec<i64>,
    assets: NameBuilder,
    apps: NameBuilder,
    severities: Vec<i32>,
    messages: StringBuilder,
    attributes: StringBuilder,
    counts: [u64; 4],
    bytes: usize,
    received: Option<(UtcMs, UtcMs)>,
    scratch: String,
}

impl ChunkBuilder {
    /// Makes a builder with room for so many rows.
    pub(crate) fn new(rows: usize) -> Self {
        let numbers = || Vec::with_capacity(rows);
        Self {
            times: numbers(),
            seqs: numbers(),
            lines: numbers(),
            assets: NameBuilder::new(rows),
            apps: NameBuilder::new(rows),
            severities: Vec::with_capacity(rows),
            messages: StringBuilder::with_capacity(rows, rows * TEXT_BYTES_EXPECTED),
            attributes: StringBuilder::with_capacity(rows, 0),
            counts: [0; 4],
            bytes: 0,
            received: None,
            scratch: String::new(),
        }
    }

    pub(crate) fn push(&mut self, arrival: TailCursor, received: UtcMs, log: &LogRecord) {
        self.times.push(log.time.0);
        self.seqs.push(arrival.seq.0 as i64);
        self.lines.push(i64::from(arrival.line));
        self.assets.push(log.asset.as_str());
        self.apps.push(&log.app);
        self.severities.push(log.severity as i32);
        self.counts[log.severity as usize] += 1;
        self.messages.append_value(&log.message);
        if log.attributes.is_empty() {
            self.attributes.append_null();
        } else {
            self.scratch.clear();
            write_object(&log.attributes, &mut self.scratch);
            self.attributes.append_value(&self.scratch);
            self.bytes += self.scratch.len();
        }
        self.bytes += ROW_OVERHEAD_BYTES + log.message.len();
        let (first, _) = self.received.unwrap_or((received, received));
        self.received = Some((first, received));
    }

    pub(crate) fn rows(&self) -> usize {
        self.times.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first row's record was received.
    pub(crate) fn oldest(&self) -> Option<UtcMs> {
        self.received.map(|(first, _)| first)
    }

    /// The first row's record.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.seqs.first().map(|seq| Seq(*seq as u64))
    }

    /// The rows gathered so far; `None` where there are none.
    pub(crate) fn chunk(&self) -> Option<Chunk> {
        let numbers = |values: &Vec<i64>| Values::Numbers(Int64Array::from(values.clone()));
        let texts = [self.messages.finish_cloned(), self.attributes.finish_cloned()];
        let columns = [numbers(&self.times), numbers(&self.seqs), numbers(&self.lines)];
        self.build(columns, texts, self.severities.clone())
    }

    /// Ends the builder and answers its rows; `None` where there are none.
    pub(crate) fn finish(mut self) -> Option<Chunk> {
        let texts = [self.messages.finish(), self.attributes.finish()];
        let take = std::mem::take::<Vec<i64>>;
        let columns = [&mut self.times, &mut self.seqs, &mut self.lines].map(take);
        let severities = std::mem::take(&mut self.severities);
        self.build(columns.map(|values| Values::Numbers(Int64Array::from(values))), texts, severities)
    }

    fn build(&self, numbers: [Values; 3], texts: [StringArray; 2], severities: Vec<i32>) -> Option<Chunk> {
        let received = self.received?;
        let rows = severities.len();
        let [times, seqs, lines] = numbers;
        let [messages, attributes] = texts;
        let block = Block::bare(rows)
            .with(Column::Time, times)
            .with(Column::Asset, self.assets.values())
            .with(Column::App, self.apps.values())
            .with(Column::Severity, Values::severities(severities))
            .with(Column::Message, Values::Texts(messages))
            .with(Column::Template, Values::Texts(StringArray::new_null(rows)))
            .with(Column::Attributes, Values::Texts(attributes))
            .with(Column::Seq, seqs)
            .with(Column::Line, lines);
        let times = block.times().unwrap_or_default();
        let summary = GroupSummary {
            from: UtcMs(times.iter().copied().min()?),
            to: UtcMs(times.iter().copied().max()?),
            seqs: (block.arrival(0).seq, block.arrival(rows - 1).seq),
            rows,
            severities: self.counts,
        };
        let (first, last) = (block.arrival(0), block.arrival(rows - 1));
        Some(Chunk { block, summary, bytes: self.bytes, first, last, received })
    }
}

/// Gathers a column of few distinct texts.
#[derive(Debug)]
pub(crate) struct NameBuilder {
    keys: Vec<i32>,
    names: Vec<Arc<str>>,
    known: HashMap<Arc<str>, i32>,
}

impl NameBuilder {
    pub(crate) fn new(rows: usize) -> Self {
        Self { keys: Vec::with_capacity(rows), names: Vec::new(), known: HashMap::new() }
    }

    pub(crate) fn push(&mut self, name: &str) {
        let latest = self.keys.last().copied().filter(|key| &*self.names[*key as usize] == name);
        let key = latest.or_else(|| self.known.get(name).copied()).unwrap_or_else(|| self.learn(name));
        self.keys.push(key);
    }

    fn learn(&mut self, name: &str) -> i32 {
        let (name, key): (Arc<str>, _) = (name.into(), self.names.len() as i32);
        self.names.push(Arc::clone(&name));
        self.known.insert(name, key);
        key
    }

    pub(crate) fn values(&self) -> Values {
        Values::Names(Int32Array::from(self.keys.clone()), self.names.iter().map(|name| Some(&**name)).collect())
    }
}

/// Writes a JSON object of texts as serde_json does.
pub(crate) fn write_object(object: &BTreeMap<Arc<str>, Arc<str>>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in object.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_text(value, out);
    }
    out.push('}');
}

fn write_text(text: &str, out: &mut String) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

#[cfg(test)]
mod tests;
