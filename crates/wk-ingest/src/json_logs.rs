//! JSON logs: the body of `POST /api/v1/logs`, as JSON lines, a JSON array, or objects one after another.
//!
//! Time is taken from `timestamp`, `time`, `@timestamp` or `date`, text from `message`, `msg` or `log`, host from `host`
//! or `hostname`, application from `app`, `service` or `appname`, level from `severity` or `level`: the first that is
//! there and can be read. Everything else becomes attributes, nested names joined with dots.

pub(crate) mod object;
pub(crate) mod value;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use wk_types::{LogRecord, NewRecord, Severity, UtcMs};

use value::Raw;

use crate::contract::SourceContext;
use crate::logs::{Attributes, Draft, Senders};
use crate::records;
use crate::stats::{EXAMPLE_BYTES_MAX, shortened};

/// How many bytes a body may have once it is decompressed; whoever reads bodies from the network holds to it.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many bytes of one message are kept; the rest is cut off and counted.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How many messages one request holds at most; further ones are rejected.
pub const MESSAGES_MAX: usize = 100_000;

/// One message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedLog<'a> {
    /// The sender's time.
    pub time: Option<UtcMs>,
    /// The host it names.
    pub host: Option<Cow<'a, str>>,
    /// The application; empty where it names none.
    pub app: Cow<'a, str>,
    /// How bad the sender says it is.
    pub severity: Severity,
    /// The text.
    pub message: Cow<'a, str>,
    /// Everything else.
    pub attributes: Attributes,
    /// What was odd about it, though it is kept.
    pub flags: Vec<&'static str>,
}

/// A line or element that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The line of the body, or the element of the array, counted from 1.
    pub line: usize,
    /// Why, always one of a few texts.
    pub reason: &'static str,
    /// What the line looks like, shortened.
    pub example: String,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedLogs<'a> {
    /// The messages, in the order they were sent.
    pub records: Vec<ParsedLog<'a>>,
    /// What could not be taken; at most the first [`REJECTED_MAX`].
    pub rejected: Vec<Rejected>,
    /// How many could not be taken in all.
    pub rejected_count: usize,
    /// How many bytes the body had.
    pub bytes: usize,
}

/// How many rejected lines are listed.
pub const REJECTED_MAX: usize = 100;

impl<'a> ParsedLogs<'a> {
    fn reject(&mut self, line: usize, reason: &'static str, example: &str) {
        self.rejected_count += 1;
        if self.rejected.len() < REJECTED_MAX {
            let example = shortened(example, EXAMPLE_BYTES_MAX).to_owned();
            self.rejected.push(Rejected { line, reason, example });
        }
    }

    fn take(&mut self, line: usize, value: Raw<'a>) {
        match value {
            Raw::Object(_) if self.records.len() >= MESSAGES_MAX => self.reject(line, "too many messages", ""),
            Raw::Object(object) => self.records.push(object::read(object)),
            other => self.reject(line, "not a JSON object", &serde_json::to_string(&other).unwrap_or_default()),
        }
    }
}

const NOT_JSON: &str = "not valid JSON";

/// How many objects and lists a JSON text holds: what is to be read as a whole can be bounded by it beforehand.
#[must_use]
pub fn nested_in(text: &[u8]) -> usize {
    let (mut count, mut in_quotes, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b'{' | b'[' if !in_quotes => count += 1,
            _ => {}
        }
    }
    count
}

/// Reads one object, as a line of its own.
///
/// # Errors
/// Why it cannot be taken.
pub fn read_object(text: &[u8]) -> Result<ParsedLog<'_>, &'static str> {
    match serde_json::from_slice::<Raw<'_>>(text) {
        Ok(Raw::Object(object)) => Ok(object::read(object)),
        Ok(_) => Err("not a JSON object"),
        Err(_) => Err(NOT_JSON),
    }
}

/// Reads a body, whatever its content type says: the first byte tells an array from lines.
#[must_use]
pub fn parse(body: &[u8]) -> ParsedLogs<'_> {
    let mut parsed = ParsedLogs { bytes: body.len(), ..ParsedLogs::default() };
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => {}
        Some(b'[') => array(body, &mut parsed),
        Some(_) => lines(body, &mut parsed),
    }
    parsed
}

fn array<'a>(body: &'a [u8], parsed: &mut ParsedLogs<'a>) {
    let mut element = 0;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let outcome = Elements { parsed, element: &mut element }.deserialize(&mut deserializer);
    let outcome = outcome.and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        parsed.reject(element + 1, NOT_JSON, &error.to_string());
    }
}

/// Takes the elements of an array one by one, so that those before a damaged one are kept.
struct Elements<'a, 'de> {
    parsed: &'a mut ParsedLogs<'de>,
    element: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of log messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<Raw<'de>>()? {
            *self.element += 1;
            self.parsed.take(*self.element, value);
        }
        Ok(())
    }
}

fn lines<'a>(body: &'a [u8], parsed: &mut ParsedLogs<'a>) {
    for (position, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(reason) = objects(line, position + 1, parsed) {
            parsed.reject(position + 1, reason, &String::from_utf8_lossy(line));
        }
    }
    if parsed.records.is_empty() && parsed.rejected_count > 1 {
        spread_objects(body, parsed);
    }
}

/// Reads the objects of one line; usually one, but some senders write them without anything in between.
fn objects<'a>(line: &'a [u8], number: usize, parsed: &mut ParsedLogs<'a>) -> Result<(), &'static str> {
    for value in serde_json::Deserializer::from_slice(line).into_iter::<Raw<'a>>() {
        parsed.take(number, value.map_err(|_| NOT_JSON)?);
    }
    Ok(())
}

/// Where no line alone is an object, reads objects that are spread over several lines.
fn spread_objects<'a>(body: &'a [u8], parsed: &mut ParsedLogs<'a>) {
    let mut spread = ParsedLogs { bytes: parsed.bytes, ..ParsedLogs::default() };
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<Raw<'a>>();
    loop {
        let from = stream.byte_offset();
        let line = 1 + memchr::memchr_iter(b'\n', &body[..from.min(body.len())]).count();
        match stream.next() {
            None => break,
            Some(Ok(value)) => spread.take(line, value),
            Some(Err(error)) => {
                spread.reject(line, NOT_JSON, &error.to_string());
                break;
            }
        }
    }
    if !spread.records.is_empty() {
        *parsed = spread;
    }
}

/// Attributes the messages, counts, and makes the records.
#[must_use]
pub fn records(context: &SourceContext, parsed: ParsedLogs<'_>, peer: Option<IpAddr>) -> Vec<NewRecord> {
    let received = context.now();
    let stats = &context.stats;
    stats.received((parsed.records.len() + parsed.rejected_count) as u64, parsed.bytes as u64, received);
    for rejected in &parsed.rejected {
        stats.rejected(rejected.reason, 1, &rejected.example);
    }
    let unlisted = parsed.rejected_count - parsed.rejected.len();
    stats.rejected(NOT_JSON, unlisted as u64, "");
    let mut senders = Senders::default();
    let logs: Vec<_> =
        parsed.records.into_iter().map(|log| log.attributed(context, &mut senders, peer, received)).collect();
    senders.end_round(context);
    records::of_logs(context, received, logs)
}

impl ParsedLog<'_> {
    /// The message with whose it is and when it was, counting what is odd about it.
    pub(crate) fn attributed(
        self,
        context: &SourceContext,
        senders: &mut Senders,
        peer: Option<IpAddr>,
        received: UtcMs,
    ) -> LogRecord {
        for flag in &self.flags {
            context.stats.flagged(flag, 1, &self.message);
        }
        let draft = Draft {
            time: self.time,
            host: self.host.as_deref(),
            peer,
            declared: None,
            app: &self.app,
            severity: self.severity,
            message: &self.message,
            attributes: self.attributes,
        };
        senders.attribute(context, draft, received)
    }
}

#[cfg(test)]
mod tests;
