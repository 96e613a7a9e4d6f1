//! One entry as `journalctl --output=json` writes it.

use std::borrow::Cow;

use serde_json::{Map, Value};
use wk_types::{Attributes, LogRecord, Severity, UtcMs};

use super::JournalSettings;
use crate::contract::SourceContext;
use crate::json_logs::MESSAGE_BYTES_MAX;
use crate::logs::{Draft, attribute};
use crate::stats::shortened;
use crate::syslog::message::{FACILITIES, SEVERITIES};

/// Fields that become attributes, with the names they get.
const ATTRIBUTES: [(&str, &str); 6] = [
    ("_SYSTEMD_UNIT", "unit"),
    ("UNIT", "about_unit"),
    ("_PID", "pid"),
    ("_UID", "uid"),
    ("_TRANSPORT", "transport"),
    ("MESSAGE_ID", "message_id"),
];

/// An entry.
#[derive(Debug)]
pub struct Entry {
    /// Where to go on reading behind it.
    pub cursor: Option<String>,
    fields: Map<String, Value>,
}

/// Reads an entry.
pub fn read(bytes: &[u8]) -> Option<Entry> {
    let fields: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let cursor = fields.get("__CURSOR").and_then(Value::as_str).map(str::to_owned);
    Some(Entry { cursor, fields })
}

impl Entry {
    /// The attributed record.
    pub fn record(&self, context: &SourceContext, settings: &JournalSettings, received: UtcMs) -> LogRecord {
        let text = |name: &str| self.fields.get(name).and_then(text);
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        let priority = number("PRIORITY").and_then(|code| usize::try_from(code).ok()).filter(|code| *code < 8);
        let mut attributes = Attributes::new();
        if let Some(code) = priority {
            attributes.insert("level".into(), SEVERITIES[code].into());
        }
        if let Some(word) = number("SYSLOG_FACILITY").and_then(|code| FACILITIES.get(usize::try_from(code).ok()?)) {
            attributes.insert("facility".into(), (*word).into());
        }
        for (field, name) in ATTRIBUTES {
            if let Some(value) = text(field) {
                attributes.insert(name.into(), value.into());
            }
        }
        let app = text("SYSLOG_IDENTIFIER").or_else(|| text("_COMM")).unwrap_or_default();
        let host = text("_HOSTNAME");
        let message = text("MESSAGE").unwrap_or_default();
        let kept = shortened(message.trim_end(), MESSAGE_BYTES_MAX);
        let time = number("_SOURCE_REALTIME_TIMESTAMP").or_else(|| number("__REALTIME_TIMESTAMP"));
        let draft = Draft {
            time: time.and_then(|microseconds| i64::try_from(microseconds / 1_000).ok()).map(UtcMs),
            host: host.as_deref().or(Some(&settings.host)),
            peer: None,
            declared: settings.asset.as_ref(),
            app: &app,
            severity: priority.map_or(Severity::Info, |code| Severity::from_syslog(code as u8)),
            message: kept,
            attributes,
        };
        attribute(context, draft, received)
    }
}

/// A field's text: a string, bytes that are no UTF-8 as an array of numbers, or the first of several values.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(values) if values.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = values.iter().filter_map(Value::as_u64).map(|byte| byte as u8).collect();
            Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Value::Array(values) => text(values.first()?),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}
