//! From a framed syslog message to its record.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use wk_types::{Body, LogRecord, NewRecord, Severity, UtcMs};

use super::frames::Frame;
use super::message::{self, FACILITIES, Message, SEVERITIES};
use super::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, CUT, NOT_UTF8, SyslogSettings, vendor};
use crate::contract::SourceContext;
use crate::logs::{Attributes, Draft, Senders};
use crate::times::Zone;

/// Messages gathered for one record.
pub struct Batch {
    context: SourceContext,
    settings: SyslogSettings,
    names: Names,
    senders: Senders,
    logs: Vec<LogRecord>,
    bytes: usize,
    received: UtcMs,
}

/// Attribute names and words that come again with every message.
struct Names {
    facility: Arc<str>,
    level: Arc<str>,
    process: Arc<str>,
    id: Arc<str>,
    facilities: [Arc<str>; 24],
    severities: [Arc<str>; 8],
}

impl Batch {
    /// Makes an empty batch.
    pub fn new(context: SourceContext, settings: SyslogSettings) -> Self {
        let names = Names {
            facility: "facility".into(),
            level: "level".into(),
            process: "pid".into(),
            id: "msgid".into(),
            facilities: FACILITIES.map(Into::into),
            severities: SEVERITIES.map(Into::into),
        };
        let senders = Senders::default();
        Self { context, settings, names, senders, logs: Vec::new(), bytes: 0, received: UtcMs(0) }
    }

    /// Tells whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Tells whether the batch has reached a bound.
    pub fn is_full(&self) -> bool {
        self.logs.len() >= BATCH_MESSAGES_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Counts, parses and adds a message.
    pub fn add(&mut self, frame: &Frame<'_>, peer: IpAddr) {
        let received = self.context.now();
        if self.logs.is_empty() {
            self.received = received;
        }
        let text = String::from_utf8_lossy(frame.bytes);
        self.context.stats.received(1, frame.bytes.len() as u64, received);
        if frame.cut {
            self.context.stats.flagged(CUT, 1, &text);
        }
        if matches!(text, Cow::Owned(_)) {
            self.context.stats.flagged(NOT_UTF8, 1, &text);
        }
        let zone = self.zone(peer);
        let message = message::parse(&text, received, zone);
        let details = vendor::details(&message, zone);
        self.bytes += frame.bytes.len();
        let mut attributes = self.attributes(&message);
        let details = details.unwrap_or_default();
        details.add_to(&mut attributes);
        let draft = Draft {
            time: message.time.or(details.time),
            host: message.host.or(details.host.as_deref()),
            peer: Some(peer),
            declared: self.settings.asset.as_ref(),
            app: message.app.or(details.app).unwrap_or(""),
            severity: message.severity.or(details.severity).map_or(Severity::Info, Severity::from_syslog),
            message: message.text,
            attributes,
        };
        self.logs.push(self.senders.attribute(&self.context, draft, received));
    }

    /// The zone of a sender's times that do not name theirs.
    fn zone(&self, peer: IpAddr) -> &Zone {
        let zones = &self.settings.zones;
        let own = if zones.is_empty() { None } else { zones.get(&peer.to_canonical()) };
        own.unwrap_or(&self.settings.zone)
    }

    fn attributes(&self, message: &Message<'_>) -> Attributes {
        let mut attributes = Attributes::new();
        let names = &self.names;
        if let Some(word) = message.facility.and_then(|code| names.facilities.get(usize::from(code))) {
            attributes.insert(Arc::clone(&names.facility), Arc::clone(word));
        }
        if let Some(word) = message.severity.and_then(|code| names.severities.get(usize::from(code))) {
            attributes.insert(Arc::clone(&names.level), Arc::clone(word));
        }
        if let Some(process) = message.process {
            attributes.insert(Arc::clone(&names.process), process.into());
        }
        if let Some(id) = message.id {
            attributes.insert(Arc::clone(&names.id), id.into());
        }
        for (id, name, value) in &message.structured {
            attributes.insert(format!("sd.{id}.{name}").into(), value.as_ref().into());
        }
        attributes
    }

    /// Takes what has been gathered as one record; `None` where there is nothing.
    pub fn take(&mut self) -> Option<NewRecord> {
        if self.logs.is_empty() {
            return None;
        }
        self.bytes = 0;
        self.senders.end_round(&self.context);
        let logs = std::mem::take(&mut self.logs);
        Some(NewRecord { received: self.received, source: self.context.name.clone(), body: Body::Logs(logs.into()) })
    }
}
