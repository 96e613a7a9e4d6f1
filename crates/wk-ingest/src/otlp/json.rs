//! The JSON encoding: whole requests, and the values that are written in a way of their own.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, de::IgnoredAny};

use super::message::{
    AnyValue, ArrayValue, HistogramPoint, KeyValue, KeyValueList, LogRecord, Number, NumberPoint, Resource, Scope,
    SummaryPoint, Value,
};

/// The body of `/v1/logs`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogsRequest {
    /// By sender.
    pub resource_logs: Vec<ResourceLogs>,
}

/// The records of one sender.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourceLogs {
    /// Who it is.
    pub resource: Resource,
    /// By what wrote them.
    pub scope_logs: Vec<ScopeLogs>,
}

/// The records of one part of a sender.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScopeLogs {
    /// Which part.
    pub scope: Scope,
    /// The records.
    pub log_records: Vec<LogRecord>,
}

/// The body of `/v1/metrics`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetricsRequest {
    /// By sender.
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// The metrics of one sender.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourceMetrics {
    /// Who it is.
    pub resource: Resource,
    /// By what measured them.
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// The metrics of one part of a sender.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ScopeMetrics {
    /// The metrics.
    pub metrics: Vec<Metric>,
}

/// A metric with its points.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub description: String,
    /// In which unit.
    pub unit: String,
    /// Points of a gauge.
    pub gauge: Option<Points<NumberPoint>>,
    /// Points of a sum.
    pub sum: Option<Points<NumberPoint>>,
    /// Points of a histogram.
    pub histogram: Option<Points<HistogramPoint>>,
    /// Points of an exponential histogram, which are only counted.
    pub exponential_histogram: Option<Points<IgnoredAny>>,
    /// Points of a summary.
    pub summary: Option<Points<SummaryPoint>>,
}

/// The points of a metric.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Points<T> {
    /// The points.
    #[serde(default = "Vec::new")]
    pub data_points: Vec<T>,
    /// 1: since the last point; 2: since the start.
    #[serde(default, deserialize_with = "temporality")]
    pub aggregation_temporality: u64,
    /// Whether it only grows.
    #[serde(default)]
    pub is_monotonic: bool,
}

/// A value as JSON has it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Any {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Scalar<i64>>,
    double_value: Option<Scalar<f64>>,
    array_value: Option<ArrayValue>,
    kvlist_value: Option<KeyValueList>,
    bytes_value: Option<Base64>,
}

impl From<Any> for AnyValue {
    fn from(any: Any) -> Self {
        let value = (any.string_value.map(Value::Text))
            .or(any.bool_value.map(Value::Bool))
            .or(any.int_value.map(|number| Value::Int(number.0)))
            .or(any.double_value.map(|number| Value::Double(number.0)))
            .or(any.array_value.map(Value::Array))
            .or(any.kvlist_value.map(Value::List))
            .or(any.bytes_value.map(|bytes| Value::Bytes(bytes.0)));
        Self { value }
    }
}

/// A point of a gauge or sum as JSON has it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WrittenPoint {
    #[serde(deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    time_unix_nano: u64,
    attributes: Vec<KeyValue>,
    flags: u32,
    as_double: Option<Scalar<f64>>,
    as_int: Option<Scalar<i64>>,
}

impl From<WrittenPoint> for NumberPoint {
    fn from(point: WrittenPoint) -> Self {
        let double = point.as_double.map(|number| Number::Double(number.0));
        Self {
            start_time_unix_nano: point.start_time_unix_nano,
            time_unix_nano: point.time_unix_nano,
            attributes: point.attributes,
            flags: point.flags,
            value: double.or(point.as_int.map(|number| Number::Int(number.0))),
        }
    }
}

/// A number that may be written as text.
struct Scalar<T>(T);

impl<'de, T: FromStr<Err: Display> + Deserialize<'de>> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a, T> {
            Number(T),
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        match Written::<'_, T>::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&*text).or_else(|_| URL_SAFE.decode(&*text));
        bytes.map(Self).map_err(D::Error::custom)
    }
}

/// Reads a number, 0 where it is null.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::<Scalar<u64>>::deserialize(deserializer)?.map_or(0, |number| number.0))
}

/// Reads a list of numbers.
pub fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Ok(Vec::<Scalar<u64>>::deserialize(deserializer)?.into_iter().map(|number| number.0).collect())
}

/// Reads a floating-point number, 0 where it is null; `NaN` and `Infinity` are written as text.
pub fn double<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(optional_double(deserializer)?.unwrap_or_default())
}

/// Reads a floating-point number that may be missing.
pub fn optional_double<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Scalar<f64>>::deserialize(deserializer)?.map(|number| number.0))
}

/// Reads a list of floating-point numbers.
pub fn doubles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Scalar<f64>>::deserialize(deserializer)?.into_iter().map(|number| number.0).collect())
}

/// Reads an id in hexadecimal.
pub fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<Cow<'_, str>>::deserialize(deserializer)?.unwrap_or_default();
    hex::decode(&*text).map_err(D::Error::custom)
}

/// Reads a severity: its number, or, as older senders write it, its name.
pub fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    named(deserializer, |name| {
        let name = name.strip_prefix("SEVERITY_NUMBER_")?;
        let level = name.trim_end_matches(|last: char| last.is_ascii_digit());
        let base = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].iter().position(|known| *known == level)?;
        let within: usize = if level.len() == name.len() { 1 } else { name[level.len()..].parse().ok()? };
        i32::try_from(base * 4 + within).ok()
    })
}

/// Reads a temporality: its number, or, as older senders write it, its name.
fn temporality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    named(deserializer, |name| match name {
        "AGGREGATION_TEMPORALITY_DELTA" => Some(1),
        "AGGREGATION_TEMPORALITY_CUMULATIVE" => Some(2),
        _ => None,
    })
}

/// Reads a number or a name; unknown names are 0.
fn named<'de, D, T>(deserializer: D, number_of: impl Fn(&str) -> Option<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<'a, T> {
        Number(T),
        Name(#[serde(borrow)] Cow<'a, str>),
        Null(()),
    }
    Ok(match Written::<'_, T>::deserialize(deserializer)? {
        Written::Number(number) => number,
        Written::Name(name) => number_of(&name).unwrap_or_default(),
        Written::Null(()) => T::default(),
    })
}
