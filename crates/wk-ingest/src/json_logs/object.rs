//! From one JSON object to a message.

use serde_json::{Map, Value};
use wk_types::{Severity, UtcMs};

use super::{MESSAGE_BYTES_MAX, ParsedLog};
use crate::logs::{ATTRIBUTES_MAX, Attributes};
use crate::stats::shortened;
use crate::times;

const TIME_FIELDS: [&str; 4] = ["timestamp", "time", "@timestamp", "date"];
const MESSAGE_FIELDS: [&str; 3] = ["message", "msg", "log"];
const HOST_FIELDS: [&str; 2] = ["host", "hostname"];
const APP_FIELDS: [&str; 3] = ["app", "service", "appname"];
const LEVEL_FIELDS: [&str; 2] = ["severity", "level"];

/// How deep nested objects become dotted names; what lies deeper is kept as JSON text.
const DEPTH_MAX: usize = 8;
/// How many bytes a dotted name has at most; longer ones are left out and counted.
const NAME_BYTES_MAX: usize = 256;

/// Reads a message.
pub fn read(mut object: Map<String, Value>) -> ParsedLog {
    let mut log = ParsedLog::default();
    let whole = MESSAGE_FIELDS.iter().all(|field| !object.contains_key(*field)).then(|| as_text(&object));
    log.time = first(&mut object, &TIME_FIELDS, as_time);
    if log.time.is_none() && TIME_FIELDS.iter().any(|field| object.contains_key(*field)) {
        log.flags.push("time cannot be read");
    }
    log.host = first(&mut object, &HOST_FIELDS, as_name);
    log.app = first(&mut object, &APP_FIELDS, as_name).unwrap_or_default();
    log.severity = level(&mut object);
    let message = first(&mut object, &MESSAGE_FIELDS, |value| Some(plain(value))).or(whole).unwrap_or_default();
    let message = message.trim_end_matches(['\n', '\r']);
    let kept = shortened(message, MESSAGE_BYTES_MAX);
    if kept.len() < message.len() {
        log.flags.push("message cut at 64 KiB");
    }
    log.message = kept.to_owned();
    let mut left_out = false;
    for (name, value) in object {
        flatten(&mut log.attributes, name, value, 1, &mut left_out);
    }
    if left_out {
        log.flags.push("attributes left out");
    }
    log
}

/// Takes the first of `fields` that can be read; the others stay.
fn first<T>(object: &mut Map<String, Value>, fields: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let (field, value) = fields.iter().find_map(|field| Some((field, read(object.get(*field)?)?)))?;
    object.remove(*field);
    Some(value)
}

fn as_time(value: &Value) -> Option<UtcMs> {
    match value {
        Value::Number(number) => epoch_number(&number.to_string()).or_else(|| times::read_epoch(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            times::read_rfc3339(text).or_else(|| epoch_number(text)).or_else(|| times::read_epoch(text.parse().ok()?))
        }
        _ => None,
    }
}

/// Whole numbers are read without floating point, so that nanoseconds keep their milliseconds.
fn epoch_number(text: &str) -> Option<UtcMs> {
    let number: i64 = text.parse().ok()?;
    let size = number.unsigned_abs();
    Some(UtcMs(match size {
        0..100_000_000_000 => number * 1_000,
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1_000),
        _ => number.div_euclid(1_000_000),
    }))
}

/// A name as text, or the `name` of an object (as Elastic Common Schema has it).
fn as_name(value: &Value) -> Option<String> {
    let name = match value {
        Value::String(text) => text.trim(),
        Value::Object(object) => object.get("name")?.as_str()?.trim(),
        Value::Number(number) => return Some(number.to_string()),
        _ => return None,
    };
    (!name.is_empty()).then(|| name.to_owned())
}

/// Reads the level and keeps the sender's own word as attribute `level`, because ours are fewer.
fn level(object: &mut Map<String, Value>) -> Severity {
    let Some((severity, word)) = first(object, &LEVEL_FIELDS, |value| Some((as_severity(value)?, plain(value)))) else {
        return Severity::Info;
    };
    object.entry("level").or_insert(Value::String(word));
    severity
}

/// Reads a word, a syslog code (0 to 7), or a level as Bunyan and Pino count them (10 trace to 60 fatal).
fn as_severity(value: &Value) -> Option<Severity> {
    let code = match value {
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(code) => code,
            Err(_) => return Severity::from_word(text.trim()),
        },
        Value::Number(number) => number.as_u64()?,
        _ => return None,
    };
    Some(match code {
        0..=7 => Severity::from_syslog(code as u8),
        60.. => Severity::Critical,
        50..60 => Severity::Major,
        40..50 => Severity::Minor,
        _ => Severity::Info,
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn as_text(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).expect("a JSON value has only text keys")
}

/// Adds a value under its dotted name; arrays are kept as JSON text, null is left out.
fn flatten(attributes: &mut Attributes, name: String, value: Value, depth: usize, left_out: &mut bool) {
    match value {
        Value::Null => {}
        Value::Object(object) if depth < DEPTH_MAX => {
            for (inner, value) in object {
                flatten(attributes, format!("{name}.{inner}"), value, depth + 1, left_out);
            }
        }
        _ if name.len() > NAME_BYTES_MAX || attributes.len() >= ATTRIBUTES_MAX => *left_out = true,
        value => {
            attributes.insert(name.into(), plain(&value).into());
        }
    }
}
