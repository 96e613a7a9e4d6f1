//! Log records.

use std::borrow::Cow;
use std::net::IpAddr;

use prost::Message as _;
use wk_types::{NewRecord, Severity, UtcMs};

use super::message::{AnyValue, KeyValue, LogRecord, Resource, Scope};
use super::{Encoding, OtlpError, Rejections, attributes, json};
use crate::contract::SourceContext;
use crate::logs::{Attributes, Draft, Senders};
use crate::records;
use crate::stats::shortened;

/// How many records one request holds at most.
pub const RECORDS_MAX: usize = 100_000;
/// How many bytes of one message are kept; the rest is cut off and counted.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How many bytes one record has at most.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What is left of a request.
#[derive(Debug, Default)]
pub struct ParsedLogs {
    /// What goes into the intake log.
    pub records: Vec<NewRecord>,
    /// What cannot be taken.
    pub rejected: Rejections,
}

/// Reads a request of log records, attributes and counts them.
///
/// # Errors
/// A body that as a whole is no such request, or exceeds a bound; nothing of it is taken then.
pub fn parse(
    context: &SourceContext,
    body: &[u8],
    encoding: Encoding,
    peer: Option<IpAddr>,
) -> Result<ParsedLogs, OtlpError> {
    let mut reader = Reader {
        context,
        peer,
        received: context.now(),
        senders: Senders::default(),
        logs: Vec::new(),
        rejected: Rejections::default(),
    };
    let read = match encoding {
        Encoding::Protobuf => reader.protobuf(body),
        Encoding::Json => reader.json(body),
    };
    let Reader { received, mut senders, logs, rejected, .. } = reader;
    senders.end_round(context);
    read?;
    context.stats.received(logs.len() as u64 + rejected.count(), body.len() as u64, received);
    rejected.count_in(context);
    Ok(ParsedLogs { records: records::of_logs(context, received, logs), rejected })
}

struct Reader<'a> {
    context: &'a SourceContext,
    peer: Option<IpAddr>,
    received: UtcMs,
    senders: Senders,
    logs: Vec<wk_types::LogRecord>,
    rejected: Rejections,
}

impl Reader<'_> {
    fn json(&mut self, body: &[u8]) -> Result<(), OtlpError> {
        let request: json::LogsRequest = super::read_json(body)?;
        for sender in request.resource_logs {
            for part in sender.scope_logs {
                for record in part.log_records {
                    self.take(&sender.resource.attributes, &part.scope.name, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Reads `ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }`.
    fn protobuf(&mut self, body: &[u8]) -> Result<(), OtlpError> {
        super::parts(body, 1, |sender| {
            let resource: Resource = super::first(sender, 1)?;
            // ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; }
            super::parts(sender, 2, |part| {
                let scope: Scope = super::first(part, 1)?;
                // ScopeLogs { InstrumentationScope scope = 1; repeated LogRecord log_records = 2; }
                super::parts(part, 2, |record| self.record(&resource.attributes, &scope.name, record))
            })
        })
    }

    fn record(&mut self, resource: &[KeyValue], scope: &str, record: &[u8]) -> Result<(), OtlpError> {
        if record.len() > RECORD_BYTES_MAX {
            self.rejected.add("log record over 1 MiB", 1, scope);
            return Ok(());
        }
        match LogRecord::decode(record) {
            Ok(record) => self.take(resource, scope, &record),
            Err(error) => {
                self.rejected.add("log record cannot be decoded", 1, &error.to_string());
                Ok(())
            }
        }
    }

    fn take(&mut self, resource: &[KeyValue], scope: &str, record: &LogRecord) -> Result<(), OtlpError> {
        if self.logs.len() >= RECORDS_MAX {
            return Err(OtlpError::TooLarge { unit: "log records", max: RECORDS_MAX });
        }
        let (message, cut) = message(record.body.as_ref());
        if cut {
            self.context.stats.flagged("message cut at 64 KiB", 1, &message);
        }
        let app = attributes::find(resource, "service.name");
        let host = attributes::host(resource);
        let draft = Draft {
            time: time(record),
            host: host.as_deref(),
            peer: self.peer,
            declared: None,
            app: app.as_deref().unwrap_or_default(),
            severity: severity(record),
            message: &message,
            attributes: self.everything_else(resource, scope, record),
        };
        let log = self.senders.attribute(self.context, draft, self.received);
        self.logs.push(log);
        Ok(())
    }

    /// The record's own attributes before those of its sender.
    fn everything_else(&self, resource: &[KeyValue], scope: &str, record: &LogRecord) -> Attributes {
        let mut all = Attributes::new();
        let own = [
            ("level", Cow::Borrowed(record.severity_text.as_str())),
            ("trace_id", hex::encode(&record.trace_id).into()),
            ("span_id", hex::encode(&record.span_id).into()),
            ("event_name", Cow::Borrowed(record.event_name.as_str())),
            ("scope", Cow::Borrowed(scope)),
        ];
        for (name, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
            all.insert(name.into(), value.into());
        }
        let left_out = attributes::add(&mut all, &record.attributes) | attributes::add(&mut all, resource);
        for said_elsewhere in ["service.name", "host.name"] {
            all.remove(said_elsewhere);
        }
        if left_out {
            self.context.stats.flagged("attributes left out beyond 64", 1, scope);
        }
        all
    }
}

/// The text of a body, and whether it was cut.
fn message(body: Option<&AnyValue>) -> (Cow<'_, str>, bool) {
    let text = body.map(attributes::text).unwrap_or_default();
    if text.len() <= MESSAGE_BYTES_MAX {
        return (text, false);
    }
    (shortened(&text, MESSAGE_BYTES_MAX).to_owned().into(), true)
}

/// When it happened, else when it was seen.
fn time(record: &LogRecord) -> Option<UtcMs> {
    let nanoseconds = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time > 0)?;
    Some(super::instant(nanoseconds))
}

/// Maps a severity number (1 to 24, in fours from trace to fatal), else the sender's word.
fn severity(record: &LogRecord) -> Severity {
    match record.severity_number {
        21.. => Severity::Critical,
        17..=20 => Severity::Major,
        13..=16 => Severity::Minor,
        1..=12 => Severity::Info,
        _ => Severity::from_word(record.severity_text.trim()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
