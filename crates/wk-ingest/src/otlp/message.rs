//! The leaves of the messages: log records, data points and attributes, in protobuf and in JSON alike.
//!
//! *Source*: `opentelemetry/proto/{common,logs,metrics}/v1/*.proto` of opentelemetry-proto 1.9, and the JSON encoding of
//! the OTLP specification: names in camel case, 64-bit numbers as text, ids in hexadecimal.

use serde::Deserialize;

use super::json;

/// A name and its value.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any kind.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(from = "json::Any")]
pub struct AnyValue {
    /// The value; missing where it is empty.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Value>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// A number.
    #[prost(double, tag = "4")]
    Double(f64),
    /// Several values.
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    /// Named values.
    #[prost(message, tag = "6")]
    List(KeyValueList),
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// Several values.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// Named values.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// What describes the sender.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// Its attributes.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// What within the sender wrote it.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A log record.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogRecord {
    /// When it happened, in nanoseconds since the epoch; 0 where unknown.
    #[prost(fixed64, tag = "1")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// When it was seen, in nanoseconds since the epoch; 0 where unknown.
    #[prost(fixed64, tag = "11")]
    #[serde(deserialize_with = "json::number")]
    pub observed_time_unix_nano: u64,
    /// 1 to 24; 0 where unknown.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "json::severity")]
    pub severity_number: i32,
    /// The sender's own word for it.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// What it says.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// Everything else.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// The trace it belongs to.
    #[prost(bytes = "vec", tag = "9")]
    #[serde(deserialize_with = "json::hexadecimal")]
    pub trace_id: Vec<u8>,
    /// The span it belongs to.
    #[prost(bytes = "vec", tag = "10")]
    #[serde(deserialize_with = "json::hexadecimal")]
    pub span_id: Vec<u8>,
    /// What sort of event it is.
    #[prost(string, tag = "12")]
    pub event_name: String,
}

/// A value of a gauge or a sum.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(from = "json::WrittenPoint")]
pub struct NumberPoint {
    /// Since when is counted, in nanoseconds since the epoch; 0 where unknown.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// When, in nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// What tells it apart.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
    /// The value.
    #[prost(oneof = "Number", tags = "4, 6")]
    pub value: Option<Number>,
}

/// A number.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Number {
    /// A floating-point one.
    #[prost(double, tag = "4")]
    Double(f64),
    /// A whole one.
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

/// A histogram with bounds of its own.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HistogramPoint {
    /// Since when is counted, in nanoseconds since the epoch; 0 where unknown.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// When, in nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// How many were measured.
    #[prost(fixed64, tag = "4")]
    #[serde(deserialize_with = "json::number")]
    pub count: u64,
    /// Their sum, where it means something.
    #[prost(double, optional, tag = "5")]
    #[serde(deserialize_with = "json::optional_double")]
    pub sum: Option<f64>,
    /// How many lie in each bucket, one more than there are bounds.
    #[prost(fixed64, repeated, tag = "6")]
    #[serde(deserialize_with = "json::numbers")]
    pub bucket_counts: Vec<u64>,
    /// Upper bounds of the buckets, ascending.
    #[prost(double, repeated, tag = "7")]
    #[serde(deserialize_with = "json::doubles")]
    pub explicit_bounds: Vec<f64>,
    /// What tells it apart.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
}

/// Quantiles that the sender worked out.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SummaryPoint {
    /// Since when is counted, in nanoseconds since the epoch; 0 where unknown.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// When, in nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// How many were measured.
    #[prost(fixed64, tag = "4")]
    #[serde(deserialize_with = "json::number")]
    pub count: u64,
    /// Their sum.
    #[prost(double, tag = "5")]
    #[serde(deserialize_with = "json::double")]
    pub sum: f64,
    /// The quantiles.
    #[prost(message, repeated, tag = "6")]
    pub quantile_values: Vec<QuantileValue>,
    /// What tells it apart.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// One quantile.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct QuantileValue {
    /// Which one, 0..=1.
    #[prost(double, tag = "1")]
    #[serde(deserialize_with = "json::double")]
    pub quantile: f64,
    /// Its value.
    #[prost(double, tag = "2")]
    #[serde(deserialize_with = "json::double")]
    pub value: f64,
}
