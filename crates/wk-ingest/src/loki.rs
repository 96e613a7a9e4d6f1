//! Loki's push interface: the body of `POST /loki/api/v1/push`, in JSON or as a snappy block of protobuf.
//!
//! *Source*: <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs> and `pkg/push/push.proto`. Labels
//! name host, application and level where they are known to; the rest and the structured metadata become attributes.

mod json;

use std::borrow::Cow;
use std::net::IpAddr;

use wk_types::{ErrorKind, LogRecord, NewRecord, Severity, UtcMs};

use crate::contract::SourceContext;
use crate::json_logs::nested_in;
use crate::logs::{Attributes, Draft, Senders};
use crate::prometheus_text;
use crate::protobuf::{BadMessage, Field, fields};
use crate::records;
use crate::stats::{EXAMPLE_BYTES_MAX, shortened};

/// How many bytes a body may have once it is decompressed; whoever reads bodies from the network holds to it.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many lines one request holds at most.
pub const LINES_MAX: usize = 100_000;
/// How many bytes of one line are kept; the rest is cut off and counted.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// How many objects and lists a JSON body holds at most: one list for each line, and one object for its metadata.
const NESTED_MAX: usize = 4 * LINES_MAX;

const HOST_LABELS: [&str; 5] = ["host", "hostname", "node_name", "nodename", "instance"];
const APP_LABELS: [&str; 6] = ["app", "service_name", "application", "unit", "container", "job"];
const LEVEL_LABELS: [&str; 4] = ["level", "detected_level", "severity", "lvl"];

/// Why a body as a whole is refused.
#[derive(Debug, thiserror::Error)]
pub enum LokiError {
    /// The body is of another kind.
    #[error("content type {found:?} is not taken; send application/json or application/x-protobuf")]
    ContentType {
        /// The content type as sent.
        found: String,
    },
    /// The body is no snappy block.
    #[error("could not decompress the body as a snappy block")]
    Snappy(#[source] snap::Error),
    /// The body holds too much.
    #[error("the body has more than the {max} {unit} that are taken at once; send smaller batches")]
    TooLarge {
        /// What was counted.
        unit: &'static str,
        /// The bound.
        max: usize,
    },
    /// The body is no push request.
    #[error("could not decode the body as a push request")]
    Protobuf(#[from] BadMessage),
    /// The body is no such JSON.
    #[error("could not read the body as a push request in JSON")]
    Json(#[source] serde_json::Error),
}

impl LokiError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// The HTTP status that tells the sender; none of them makes it try again.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType { .. } => 415,
            Self::TooLarge { .. } => 413,
            Self::Snappy(_) | Self::Protobuf(_) | Self::Json(_) => 400,
        }
    }
}

/// What is left of a request.
#[derive(Debug, Default)]
pub struct ParsedPush {
    /// What goes into the intake log.
    pub records: Vec<NewRecord>,
    /// How many lines cannot be taken.
    pub rejected: u64,
    /// Why not the last of them; empty where all were taken.
    pub reason: &'static str,
}

/// Reads a request, attributes and counts its lines.
///
/// # Errors
/// A body that as a whole is no push request, or exceeds a bound; nothing of it is taken then.
pub fn parse(
    context: &SourceContext,
    body: &[u8],
    content_type: Option<&str>,
    peer: Option<IpAddr>,
) -> Result<ParsedPush, LokiError> {
    let mut reader = Reader {
        context,
        peer,
        received: context.now(),
        senders: Senders::default(),
        logs: Vec::new(),
        lines: 0,
        rejected: 0,
        reason: "",
    };
    let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let read = if media.eq_ignore_ascii_case("application/json") {
        json::read(body, &mut reader).map(|()| body.len())
    } else if media.eq_ignore_ascii_case("application/x-protobuf") {
        reader.snappy(body)
    } else {
        let found = shortened(content_type.unwrap_or_default(), EXAMPLE_BYTES_MAX).to_owned();
        Err(LokiError::ContentType { found })
    };
    let Reader { received, mut senders, logs, lines, rejected, reason, .. } = reader;
    senders.end_round(context);
    context.stats.received(lines as u64, read? as u64, received);
    Ok(ParsedPush { records: records::of_logs(context, received, logs), rejected, reason })
}

/// A name and its value.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// One line as it was sent.
struct Line<'a> {
    /// Nanoseconds since the epoch; `None` where they cannot be read.
    time: Option<i64>,
    text: Cow<'a, str>,
    metadata: Vec<Pair<'a>>,
}

struct Reader<'a> {
    context: &'a SourceContext,
    peer: Option<IpAddr>,
    received: UtcMs,
    senders: Senders,
    logs: Vec<LogRecord>,
    lines: usize,
    rejected: u64,
    reason: &'static str,
}

impl Reader<'_> {
    /// Reads `PushRequest { repeated Stream streams = 1; }`; answers how many bytes it had.
    fn snappy(&mut self, body: &[u8]) -> Result<usize, LokiError> {
        let length = snap::raw::decompress_len(body).map_err(LokiError::Snappy)?;
        if length > BODY_BYTES_MAX {
            return Err(LokiError::TooLarge { unit: "bytes", max: BODY_BYTES_MAX });
        }
        let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(LokiError::Snappy)?;
        each(&plain, 1, |stream| self.stream(stream))?;
        Ok(length)
    }

    /// Reads `Stream { string labels = 1; repeated Entry entries = 2; }`.
    fn stream(&mut self, body: &[u8]) -> Result<(), LokiError> {
        let mut written: &[u8] = b"{}";
        each(body, 1, |bytes| {
            written = bytes;
            Ok(())
        })?;
        let labels = std::str::from_utf8(written).ok().and_then(|text| prometheus_text::labels(text).ok());
        let Some(labels) = labels else {
            return each(body, 2, |_| self.reject("labels cannot be read", &String::from_utf8_lossy(written)));
        };
        each(body, 2, |entry| match self.entry(entry)? {
            Some(line) => self.take(&labels, &line),
            None => self.reject("line is not UTF-8", &String::from_utf8_lossy(entry)),
        })
    }

    /// Reads `Entry { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3; }`; `None`
    /// where it holds bytes that are no UTF-8.
    fn entry<'b>(&self, body: &'b [u8]) -> Result<Option<Line<'b>>, LokiError> {
        let mut line = Line { time: None, text: Cow::Borrowed(""), metadata: Vec::new() };
        let mut is_text = true;
        fields(body, |tag, field| {
            match (tag, field) {
                (1, Field::Bytes(bytes)) => line.time = timestamp(bytes)?,
                (2, Field::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                    Ok(text) => line.text = Cow::Borrowed(text),
                    Err(_) => is_text = false,
                },
                (3, Field::Bytes(bytes)) if line.metadata.len() < crate::logs::ATTRIBUTES_MAX => {
                    let (name, value) = pair(bytes)?;
                    line.metadata.push((String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(is_text.then_some(line))
    }

    fn begin_line(&mut self) -> Result<(), LokiError> {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(LokiError::TooLarge { unit: "lines", max: LINES_MAX });
        }
        Ok(())
    }

    fn reject(&mut self, reason: &'static str, example: &str) -> Result<(), LokiError> {
        self.begin_line()?;
        self.rejected += 1;
        self.reason = reason;
        self.context.stats.rejected(reason, 1, example);
        Ok(())
    }

    fn take(&mut self, labels: &[Pair<'_>], line: &Line<'_>) -> Result<(), LokiError> {
        self.begin_line()?;
        let find = |names: &[&str]| names.iter().find_map(|name| labels.iter().find(|(known, _)| known == name));
        let host = find(&HOST_LABELS);
        let app = find(&APP_LABELS);
        let level = line.metadata.iter().find(|(name, _)| LEVEL_LABELS.contains(&&**name)).or(find(&LEVEL_LABELS));
        let severity = level.and_then(|(_, word)| Severity::from_word(word)).unwrap_or_default();
        let told = [host, app].map(|pair| pair.map(|(name, _)| name));
        let mut attributes = Attributes::new();
        let rest = labels.iter().filter(|(name, _)| !told.contains(&Some(name)));
        for (name, value) in line.metadata.iter().chain(rest).filter(|(name, _)| !name.is_empty()) {
            attributes.entry(name.as_ref().into()).or_insert_with(|| value.as_ref().into());
        }
        let text = line.text.trim_end_matches(['\n', '\r']);
        let message = shortened(text, LINE_BYTES_MAX);
        if message.len() < text.len() {
            self.context.stats.flagged("message cut at 64 KiB", 1, message);
        }
        if line.time.is_none() {
            self.context.stats.flagged("time cannot be read", 1, message);
        }
        let draft = Draft {
            time: line.time.map(|time| UtcMs(time.div_euclid(1_000_000))),
            host: host.map(|(_, value)| &**value),
            peer: self.peer,
            declared: None,
            app: app.map_or("", |(_, value)| value),
            severity,
            message,
            attributes,
        };
        let log = self.senders.attribute(self.context, draft, self.received);
        self.logs.push(log);
        Ok(())
    }
}

/// Calls `take` with the bytes of every inner message or text that stands under a number.
fn each<'b>(
    body: &'b [u8],
    number: u32,
    mut take: impl FnMut(&'b [u8]) -> Result<(), LokiError>,
) -> Result<(), LokiError> {
    let mut refused = Ok(());
    fields(body, |tag, field| {
        if let (Field::Bytes(bytes), true) = (field, tag == number && refused.is_ok()) {
            refused = take(bytes);
        }
        Ok(())
    })?;
    refused
}

/// Reads `Timestamp { int64 seconds = 1; int32 nanos = 2; }` into nanoseconds.
fn timestamp(body: &[u8]) -> Result<Option<i64>, BadMessage> {
    let (mut seconds, mut nanoseconds) = (0_i64, 0_i64);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Varint(number)) => seconds = number as i64,
            (2, Field::Varint(number)) => nanoseconds = number as i64,
            _ => {}
        }
        Ok(())
    })?;
    Ok(seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanoseconds)))
}

/// Reads `LabelPair { string name = 1; string value = 2; }`.
fn pair(body: &[u8]) -> Result<(&[u8], &[u8]), BadMessage> {
    let mut pair: (&[u8], &[u8]) = (&[], &[]);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(bytes)) => pair.0 = bytes,
            (2, Field::Bytes(bytes)) => pair.1 = bytes,
            _ => {}
        }
        Ok(())
    })?;
    Ok(pair)
}

#[cfg(test)]
mod tests;
