//! What structured questions ask, within which limits, and what they are answered with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize, Serializer};
use wk_types::{AssetId, DurationMs, Seq, Severity, UtcMs};

use crate::row::LogRow;

/// Rows answered at once at most.
pub const SEARCH_ROWS_MAX: usize = 10_000;
/// Before the name of an attribute, where a field is written as text.
const ATTRIBUTE_PREFIX: &str = "attributes.";

/// What logs are wanted; the default is the newest hundred. All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The earliest time wanted.
    pub from: UtcMs,
    /// The latest time wanted.
    pub to: UtcMs,
    /// Only as bad as this, or worse.
    pub severity_min: Option<Severity>,
    /// What else must hold.
    pub conditions: Vec<Condition>,
    /// How many rows at most, up to 10,000.
    pub limit: usize,
    /// Whether the newest come first and are the ones kept by the limit, or the oldest.
    pub newest_first: bool,
    /// Only rows that come after this place of the same query's answer.
    pub after: Option<Cursor>,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            from: UtcMs::MIN,
            to: UtcMs::MAX,
            severity_min: None,
            conditions: Vec::new(),
            limit: 100,
            newest_first: true,
            after: None,
        }
    }
}

impl LogQuery {
    /// The same query with one more condition.
    #[must_use]
    pub fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The same query for one asset only.
    #[must_use]
    pub fn of_asset(self, asset: &AssetId) -> Self {
        self.with(Condition::is(LogField::Asset, asset.as_str()))
    }
}

/// A condition on one field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which field.
    pub field: LogField,
    /// What its text must be like.
    pub test: TextTest,
    /// Whether rows are wanted that do not pass the test; a row without the field does not.
    pub is_negated: bool,
}

impl Condition {
    /// The condition that a field passes a test.
    #[must_use]
    pub const fn new(field: LogField, test: TextTest) -> Self {
        Self { field, test, is_negated: false }
    }

    /// The condition that a field has this value.
    #[must_use]
    pub fn is(field: LogField, value: impl Into<Arc<str>>) -> Self {
        Self::new(field, TextTest::Is(vec![value.into()]))
    }

    /// The condition that the message holds this text, in any ASCII case.
    #[must_use]
    pub fn contains(text: impl Into<String>) -> Self {
        Self::new(LogField::Message, TextTest::Contains(text.into()))
    }

    /// The opposite condition.
    #[must_use]
    pub const fn negated(mut self) -> Self {
        self.is_negated = !self.is_negated;
        self
    }
}

/// What a text must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// One of these, exactly.
    Is(Vec<Arc<str>>),
    /// It holds this, in any ASCII case; the empty text is held by all.
    Contains(String),
    /// A part of it matches this regular expression (syntax of the `regex` crate; `(?i)` for any case).
    Matches(String),
    /// It is LIKE this pattern of SQL, in any ASCII case: `%` is any text, `_` any character, nothing escapes them.
    Like(String),
}

/// A field of a row; as text `asset`, `app`, `severity`, `message`, `template` or `attributes.<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogField {
    /// Whose message it is.
    Asset,
    /// The program or service that wrote it.
    App,
    /// How bad it is.
    Severity,
    /// The text.
    Message,
    /// The constant part of the text, where it has been recognised.
    Template,
    /// One of the other things the sender gave.
    Attribute(Arc<str>),
}

impl fmt::Display for LogField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset => f.write_str("asset"),
            Self::App => f.write_str("app"),
            Self::Severity => f.write_str("severity"),
            Self::Message => f.write_str("message"),
            Self::Template => f.write_str("template"),
            Self::Attribute(name) => write!(f, "{ATTRIBUTE_PREFIX}{name}"),
        }
    }
}

impl FromStr for LogField {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "asset" => Self::Asset,
            "app" => Self::App,
            "severity" => Self::Severity,
            "message" => Self::Message,
            "template" => Self::Template,
            other => Self::Attribute(
                other.strip_prefix(ATTRIBUTE_PREFIX).filter(|name| !name.is_empty()).ok_or(ParseError::Field)?.into(),
            ),
        })
    }
}

/// A text that names no field or place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It names no field.
    #[error("a field is asset, app, severity, message, template or attributes.<name>")]
    Field,
    /// It names no place.
    #[error("this is no cursor of an answer")]
    Cursor,
}

/// A place in the rows in the order of time, from which the next page goes on; `<time>_<seq>_<line>` as text.
///
/// It stays valid: rows that come in later, are written to files or are merged change nothing before or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time of the last row answered.
    pub time: UtcMs,
    /// Where it arrived.
    pub arrival: TailCursor,
}

/// A place in the rows in the order of their arrival; `<seq>_<line>` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TailCursor {
    /// The intake record.
    pub seq: Seq,
    /// The row's place in the record, from 0.
    pub line: u32,
}

impl TailCursor {
    /// The place behind all rows of a record.
    #[must_use]
    pub const fn after(seq: Seq) -> Self {
        Self { seq, line: u32::MAX }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.time.0, self.arrival)
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, arrival) = text.split_once('_').ok_or(ParseError::Cursor)?;
        Ok(Self { time: UtcMs(time.parse().map_err(|_| ParseError::Cursor)?), arrival: arrival.parse()? })
    }
}

impl fmt::Display for TailCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.seq.0, self.line)
    }
}

impl FromStr for TailCursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, line) = text.split_once('_').ok_or(ParseError::Cursor)?;
        let seq = Seq(seq.parse().map_err(|_| ParseError::Cursor)?);
        Ok(Self { seq, line: line.parse().map_err(|_| ParseError::Cursor)? })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for TailCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TailCursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Stops questions under way from another thread. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops every question that was given this.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether it was called off.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a structured question may cost.
#[derive(Debug, Clone)]
pub struct SearchLimits {
    /// Time taken at most.
    pub time_max: DurationMs,
    /// Bytes of text answered at most; a page ends early there, and says where the next begins.
    pub bytes_max: usize,
    /// Stops it from another thread.
    pub cancel: Cancel,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { time_max: DurationMs::from_secs(10), bytes_max: 16 << 20, cancel: Cancel::default() }
    }
}

/// What a question has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Scanned {
    /// Files opened.
    pub files: u64,
    /// Row groups of them that were read.
    pub groups: u64,
    /// Row groups ruled out by their times, severities or filter.
    pub groups_skipped: u64,
    /// Rows in what was read.
    pub rows: u64,
}

/// A page of rows in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Page {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<Cursor>,
    /// What was looked at.
    pub scanned: Scanned,
}

/// Rows in the order of their arrival.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tail {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// Where to go on; everything before it has been looked at.
    pub next: TailCursor,
    /// Whether more rows are there already.
    pub has_more: bool,
}

/// Rows counted by time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Histogram {
    /// From the first step with a row to the last.
    pub bins: Vec<Bin>,
    /// What was looked at.
    pub scanned: Scanned,
}

/// One step of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// Where the step begins.
    pub start: UtcMs,
    /// Rows of each severity, least first.
    pub counts: [u64; 4],
}

/// The most frequent values of some fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TopValues {
    /// The most frequent first.
    pub top: Vec<ValueCount>,
    /// How many different ones there are.
    pub distinct: usize,
    /// How many rows were counted, those of the others included.
    pub rows: u64,
    /// What was looked at.
    pub scanned: Scanned,
}

/// How often some fields have some values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueCount {
    /// A value for each field, `None` where the row does not have it.
    pub values: Vec<Option<Arc<str>>>,
    /// Rows.
    pub count: u64,
}

#[cfg(test)]
mod tests;
