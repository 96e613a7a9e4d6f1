//! From one JSON object to a message.

use std::borrow::Cow;

use serde_json::Value;
use wk_types::{Severity, UtcMs};

use super::value::{Fields, Raw};
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
pub fn read<'a>(mut object: Fields<'a>) -> ParsedLog<'a> {
    let mut log = ParsedLog::default();
    let whole = MESSAGE_FIELDS.iter().all(|field| !object.contains(field)).then(|| as_text(&object));
    log.time = first(&mut object, &TIME_FIELDS, as_time);
    if log.time.is_none() && TIME_FIELDS.iter().any(|field| object.contains(field)) {
        log.flags.push("time cannot be read");
    }
    log.host = first(&mut object, &HOST_FIELDS, as_name);
    log.app = first(&mut object, &APP_FIELDS, as_name).unwrap_or_default();
    log.severity = level(&mut object);
    let whole = whole.map(Cow::Owned);
    let message = first(&mut object, &MESSAGE_FIELDS, |value| Some(plain(value))).or(whole).unwrap_or_default();
    log.message = part(message, |text| text.trim_end_matches(['\n', '\r']));
    if log.message.len() > MESSAGE_BYTES_MAX {
        log.message = part(log.message, |text| shortened(text, MESSAGE_BYTES_MAX));
        log.flags.push("message cut at 64 KiB");
    }
    let mut left_out = false;
    for (name, value) in object.into_pairs() {
        flatten(&mut log.attributes, name, value, 1, &mut left_out);
    }
    // Elastic Common Schema has the level one deeper.
    if log.severity == Severity::default() && !log.attributes.contains_key("level") {
        log.severity = log.attributes.get("log.level").and_then(|word| Severity::from_word(word)).unwrap_or_default();
    }
    if left_out {
        log.flags.push("attributes left out");
    }
    log
}

/// A part of a text, borrowed where that is.
fn part<'a>(text: Cow<'a, str>, cut: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
        Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
    }
}

/// Takes the first of `fields` that can be read; the others stay.
fn first<'a, T>(object: &mut Fields<'a>, fields: &[&str], read: impl Fn(&Raw<'a>) -> Option<T>) -> Option<T> {
    let (field, value) = fields.iter().find_map(|field| Some((field, read(object.get(field)?)?)))?;
    object.remove(field);
    Some(value)
}

fn as_time(value: &Raw<'_>) -> Option<UtcMs> {
    match value {
        Raw::Other(Value::Number(number)) => {
            epoch_number(&number.to_string()).or_else(|| times::read_epoch(number.as_f64()?))
        }
        Raw::Text(text) => {
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
fn as_name<'a>(value: &Raw<'a>) -> Option<Cow<'a, str>> {
    let name = match value {
        Raw::Text(text) => text,
        Raw::Object(object) => match object.get("name")? {
            Raw::Text(text) => text,
            _ => return None,
        },
        Raw::Other(Value::Number(number)) => return Some(number.to_string().into()),
        Raw::Other(_) => return None,
    };
    let name = part(name.clone(), str::trim);
    (!name.is_empty()).then_some(name)
}

/// Reads the level and keeps the sender's own word as attribute `level`, because ours are fewer.
fn level(object: &mut Fields<'_>) -> Severity {
    let Some((severity, word)) = first(object, &LEVEL_FIELDS, |value| Some((as_severity(value)?, plain(value)))) else {
        return Severity::Info;
    };
    object.insert_new("level", Raw::Text(word));
    severity
}

/// Reads a word, a syslog code (0 to 7), or a level as Bunyan and Pino count them (10 trace to 60 fatal).
fn as_severity(value: &Raw<'_>) -> Option<Severity> {
    let code = match value {
        Raw::Text(text) => match text.trim().parse::<u64>() {
            Ok(code) => code,
            Err(_) => return Severity::from_word(text.trim()),
        },
        Raw::Other(Value::Number(number)) => number.as_u64()?,
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

fn plain<'a>(value: &Raw<'a>) -> Cow<'a, str> {
    match value {
        Raw::Text(text) => text.clone(),
        Raw::Object(object) => as_text(object).into(),
        Raw::Other(Value::Null) => Cow::Borrowed(""),
        Raw::Other(other) => other.to_string().into(),
    }
}

fn as_text(object: &Fields<'_>) -> String {
    serde_json::to_string(object).expect("a JSON value has only text keys")
}

/// Adds a value under its dotted name; arrays are kept as JSON text, null is left out.
fn flatten(attributes: &mut Attributes, name: Cow<'_, str>, value: Raw<'_>, depth: usize, left_out: &mut bool) {
    match value {
        Raw::Other(Value::Null) => {}
        Raw::Object(object) if depth < DEPTH_MAX => {
            for (inner, value) in object.into_pairs() {
                flatten(attributes, format!("{name}.{inner}").into(), value, depth + 1, left_out);
            }
        }
        _ if name.len() > NAME_BYTES_MAX || attributes.len() >= ATTRIBUTES_MAX => *left_out = true,
        value => {
            attributes.insert(name.into(), plain(&value).into());
        }
    }
}
