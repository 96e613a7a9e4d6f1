//! Elasticsearch's bulk interface: the body of `POST /_bulk` and `POST /{index}/_bulk`, as Beats, Logstash, Fluent Bit,
//! Vector and rsyslog send it.
//!
//! *Source*: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>. Only `index` and `create` are
//! taken, because logs are neither changed nor deleted; each document is read like a line of JSON logs, and the index's
//! name becomes the attribute `index`.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};
use wk_types::{LogRecord, NewRecord};
use xxhash_rust::xxh3::xxh3_128;

use crate::contract::SourceContext;
use crate::json_logs;
use crate::logs::Senders;
use crate::records;
use crate::stats::{EXAMPLE_BYTES_MAX, shortened};

/// How many bytes a body may have once it is decompressed; whoever reads bodies from the network holds to it.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many documents one request holds at most.
pub const DOCUMENTS_MAX: usize = 100_000;
/// How many bytes of a name of an index or a document are kept.
const NAME_BYTES_MAX: usize = 512;

/// Why a body as a whole is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// A line that has to say what is done with the next one does not; what follows cannot be told apart.
    #[error("line {line} is not an action such as {{\"index\":{{}}}}: {found}")]
    Action {
        /// The line of the body, counted from 1.
        line: usize,
        /// What stands there, shortened.
        found: String,
    },
    /// The last action has no document.
    #[error("the body ends behind the action in line {line}; a document has to follow")]
    Ended {
        /// The line of the body, counted from 1.
        line: usize,
    },
    /// The body holds too much.
    #[error("the body has more than the {DOCUMENTS_MAX} documents that are taken at once; send smaller batches")]
    TooLarge,
}

impl BulkError {
    /// The HTTP status that tells the sender.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Action { .. } | Self::Ended { .. } => 400,
            Self::TooLarge => 413,
        }
    }
}

/// What is left of a request.
#[derive(Debug)]
pub struct ParsedBulk {
    /// What goes into the intake log.
    pub records: Vec<NewRecord>,
    /// What becomes of each document, in the order they were sent.
    items: Vec<Item>,
}

/// One document.
#[derive(Debug)]
struct Item {
    action: &'static str,
    index: String,
    id: String,
    refused: Option<&'static str>,
}

impl ParsedBulk {
    /// How many documents cannot be taken.
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.items.iter().filter(|item| item.refused.is_some()).count()
    }

    /// The answer once the records are on disk, with a status for each document; `took_ms` is how long it took.
    #[must_use]
    pub fn answer(&self, took_ms: u64) -> Value {
        let items: Vec<Value> = self.items.iter().enumerate().map(|(at, item)| item.answer(at)).collect();
        json!({"took": took_ms, "errors": self.rejected() > 0, "items": items})
    }
}

impl Item {
    fn answer(&self, at: usize) -> Value {
        let Self { action, index, id, refused } = self;
        let said = match refused {
            None => json!({
                "_index": index, "_id": id, "_version": 1, "result": "created", "status": 201,
                "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": at, "_primary_term": 1,
            }),
            Some(reason) => json!({
                "_index": index, "_id": id, "status": 400,
                "error": {"type": "document_parsing_exception", "reason": reason},
            }),
        };
        json!({*action: said})
    }
}

/// What an action says of its document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<String>,
}

/// Reads a request, attributes and counts its documents; `index` is the one that the path names.
///
/// # Errors
/// A body whose lines cannot be told apart, or that exceeds a bound; nothing of it is taken then.
pub fn parse(
    context: &SourceContext,
    body: &[u8],
    index: Option<&str>,
    peer: Option<IpAddr>,
) -> Result<ParsedBulk, BulkError> {
    let received = context.now();
    let (mut senders, mut logs, mut items) = (Senders::default(), Vec::new(), Vec::new());
    let lines = body.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty());
    let outcome = loop {
        let Some((at, line)) = lines.next() else { break Ok(()) };
        let Some((action, meta)) = action(line) else {
            let found = String::from_utf8_lossy(shortened_bytes(line)).into_owned();
            break Err(BulkError::Action { line: at, found });
        };
        if items.len() >= DOCUMENTS_MAX {
            break Err(BulkError::TooLarge);
        }
        let document = if action == "delete" { None } else { lines.next() };
        if document.is_none() && action != "delete" {
            break Err(BulkError::Ended { line: at });
        }
        let mut item = Item::new(action, meta, index, document.map_or(line, |(_, line)| line));
        match document.map(|(_, line)| json_logs::read_object(line)).filter(|_| matches!(action, "index" | "create")) {
            None => item.refused = Some("only index and create are taken: logs are neither changed nor deleted"),
            Some(Err(reason)) => item.refused = Some(reason),
            Some(Ok(document)) => {
                let log = document.attributed(context, &mut senders, peer, received);
                logs.push(with_index(log, &item.index));
            }
        }
        items.push(item);
    };
    senders.end_round(context);
    outcome?;
    context.stats.received(items.len() as u64, body.len() as u64, received);
    for item in &items {
        if let Some(reason) = item.refused {
            context.stats.rejected(reason, 1, &item.id);
        }
    }
    Ok(ParsedBulk { records: records::of_logs(context, received, logs), items })
}

impl Item {
    fn new(action: &'static str, meta: Meta, index: Option<&str>, document: &[u8]) -> Self {
        let named = meta.index.or_else(|| index.map(str::to_owned)).unwrap_or_default();
        let id = meta.id.unwrap_or_else(|| format!("{:032x}", xxh3_128(document)));
        let [index, id] = [named, id].map(|name| shortened(&name, NAME_BYTES_MAX).to_owned());
        Self { action, index, id, refused: None }
    }
}

/// What a line says is done with the next one.
fn action(line: &[u8]) -> Option<(&'static str, Meta)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Action {
        Index(Option<Meta>),
        Create(Option<Meta>),
        Update(Option<Meta>),
        Delete(Option<Meta>),
    }
    let (name, meta) = match serde_json::from_slice(line).ok()? {
        Action::Index(meta) => ("index", meta),
        Action::Create(meta) => ("create", meta),
        Action::Update(meta) => ("update", meta),
        Action::Delete(meta) => ("delete", meta),
    };
    Some((name, meta.unwrap_or_default()))
}

fn with_index(mut log: LogRecord, index: &str) -> LogRecord {
    if !index.is_empty() {
        log.attributes.entry("index".into()).or_insert_with(|| index.into());
    }
    log
}

fn shortened_bytes(line: &[u8]) -> &[u8] {
    &line[..line.len().min(EXAMPLE_BYTES_MAX)]
}

#[cfg(test)]
mod tests;
