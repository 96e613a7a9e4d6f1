//! From a message to a sample or a log message.

use std::sync::Arc;

use serde_json::Value;
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, LogRecord, Sample, Series, SeriesSamples, Severity, UtcMs};

use super::LabelTemplates;
use crate::series;

/// How many levels a topic or filter has at most.
const LEVELS_MAX: usize = 64;

/// What the topics that fit a filter mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    filter: String,
    /// What their messages become.
    pub target: Target,
}

/// What a message becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A sample.
    Metric(MetricMapping),
    /// A log message.
    Log(LogMapping),
}

/// How a message becomes a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricMapping {
    /// The metric's name.
    pub name: String,
    /// Further labels.
    pub labels: LabelTemplates,
    /// Where the number is in a JSON message (RFC 6901), such as `/value`; the message itself where it is empty.
    pub pointer: String,
    /// What the number is multiplied by.
    pub factor: f64,
    /// What is added then.
    pub offset: f64,
}

/// How a message becomes a log message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMapping {
    /// The log message's application.
    pub app: String,
    /// Where the text is in a JSON message; the message itself where it is empty.
    pub message_pointer: String,
    /// Where the word for its severity is; `info` where it is empty.
    pub severity_pointer: String,
}

/// Why a message could not be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMapping {
    /// It is not JSON although a pointer leads into it.
    #[error("not json")]
    Json,
    /// Nothing is where the pointer leads.
    #[error("nothing at the pointer")]
    Nothing,
    /// What is there is no number.
    #[error("not a number")]
    Number,
    /// Its bytes are no UTF-8.
    #[error("not utf-8")]
    Text,
    /// Its labels cannot be stored.
    #[error("labels that cannot be stored")]
    Labels,
    /// The filter is none of MQTT.
    #[error("a filter has + and # only as whole levels, and # only at its end")]
    Filter,
}

impl BadMapping {
    /// The reason under which it is counted.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Json => "not json",
            Self::Nothing => "nothing at the pointer",
            Self::Number => "not a number",
            Self::Text => "not utf-8",
            Self::Labels => "labels that cannot be stored",
            Self::Filter => "bad filter",
        }
    }
}

impl Mapping {
    /// Makes a mapping of the topics that fit a filter.
    ///
    /// # Errors
    /// A filter that is none of MQTT.
    pub fn new(filter: &str, target: Target) -> Result<Self, BadMapping> {
        let levels: Vec<&str> = filter.split('/').collect();
        let last = levels.len() - 1;
        let fits = |(at, level): (usize, &&str)| match *level {
            "+" => true,
            "#" => at == last,
            plain => !plain.contains(['+', '#', '\0']),
        };
        if filter.is_empty() || levels.len() > LEVELS_MAX || !levels.iter().enumerate().all(fits) {
            return Err(BadMapping::Filter);
        }
        Ok(Self { filter: filter.to_owned(), target })
    }

    /// The filter as it is subscribed to.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// What the wildcards of the filter met in a topic, in their order; `None` where it does not fit.
    #[must_use]
    pub fn fits<'a>(&self, topic: &'a str) -> Option<Vec<&'a str>> {
        // What begins with a dollar is the broker's own, and no wildcard at the beginning meets it.
        if topic.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return None;
        }
        let mut met = Vec::new();
        let mut rest = Some(topic);
        for level in self.filter.split('/') {
            if level == "#" {
                met.extend(rest);
                return Some(met);
            }
            let (first, after) = rest?.split_once('/').map_or((rest?, None), |(first, after)| (first, Some(after)));
            if level == "+" {
                met.push(first);
            } else if level != first {
                return None;
            }
            rest = after;
        }
        rest.is_none().then_some(met)
    }
}

/// Whose a message is, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The label `instance`.
    pub instance: &'a str,
    /// The asset.
    pub asset: &'a AssetId,
    /// The time.
    pub now: UtcMs,
}

impl MetricMapping {
    /// The sample that a message is.
    ///
    /// # Errors
    /// A message without a number, or labels that cannot be stored.
    pub fn series(&self, payload: &[u8], parts: &[&str], origin: &Origin<'_>) -> Result<SeriesSamples, BadMapping> {
        let value = self.value(payload)?;
        let filled: Vec<(&str, String)> =
            self.labels.iter().map(|(name, template)| (name.as_str(), fill(template, parts))).collect();
        let own = [(METRIC_NAME, self.name.as_str()), ("job", "mqtt"), ("instance", origin.instance)];
        let further = filled.iter().map(|(name, value)| (*name, value.as_str()));
        let pairs: Vec<(&str, &str)> = own.into_iter().chain(further).collect();
        series::check(&pairs).map_err(|_| BadMapping::Labels)?;
        let series = Arc::new(Series::new(wk_types::Labels::new(pairs), origin.asset.clone()));
        Ok(SeriesSamples { series, samples: vec![Sample::new(origin.now, value)] })
    }

    fn value(&self, payload: &[u8]) -> Result<f64, BadMapping> {
        let found = look(payload, &self.pointer)?;
        let number = match &found {
            Value::Number(number) => number.as_f64(),
            Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" => Some(1.0),
                "off" | "false" | "no" => Some(0.0),
                text => text.parse().ok(),
            },
            _ => None,
        };
        let value = number.ok_or(BadMapping::Number)? * self.factor + self.offset;
        if value.is_finite() { Ok(value) } else { Err(BadMapping::Number) }
    }
}

impl LogMapping {
    /// The log message that a message is.
    ///
    /// # Errors
    /// A message without a text.
    pub fn record(&self, payload: &[u8], topic: &str, origin: &Origin<'_>) -> Result<LogRecord, BadMapping> {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let message = text(look(payload, &self.message_pointer)?);
        let severity = if self.severity_pointer.is_empty() {
            Severity::Info
        } else {
            let word = text(look(payload, &self.severity_pointer)?);
            word.parse::<u8>()
                .map_or_else(|_| Severity::from_word(&word).unwrap_or(Severity::Info), Severity::from_syslog)
        };
        Ok(LogRecord {
            time: origin.now,
            asset: origin.asset.clone(),
            app: self.app.as_str().into(),
            severity,
            message: message.into(),
            attributes: wk_types::Attributes::from([("topic".into(), topic.into())]),
        })
    }
}

/// What is where a pointer leads; without one the whole message is a text.
fn look(payload: &[u8], pointer: &str) -> Result<Value, BadMapping> {
    if pointer.is_empty() {
        let text = std::str::from_utf8(payload).map_err(|_| BadMapping::Text)?;
        return Ok(Value::String(text.to_owned()));
    }
    let value: Value = serde_json::from_slice(payload).map_err(|_| BadMapping::Json)?;
    value.pointer(pointer).cloned().ok_or(BadMapping::Nothing)
}

/// A template with `{1}`, `{2}` … replaced by what the wildcards met.
fn fill(template: &str, parts: &[&str]) -> String {
    parts
        .iter()
        .enumerate()
        .fold(template.to_owned(), |text, (at, part)| text.replace(&format!("{{{}}}", at + 1), part))
}
