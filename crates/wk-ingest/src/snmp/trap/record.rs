//! From a notification to its log message.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_snmp::notification::oids;
use async_snmp::{Oid, Value, Version};
use wk_types::{Attributes, LogRecord, UtcMs};

use super::TrapSettings;
use super::message::Notice;
use super::names::Names;
use super::usm::hexadecimal;
use crate::contract::SourceContext;
use crate::logs::{Draft, Senders};
use crate::snmp::value;
use crate::stats::shortened;

/// The program that log messages of notifications name.
const APP: &str = "snmptrap";
/// How many bytes of one value stand in the message; all of it stands in its attribute.
const VALUE_BYTES_MAX: usize = 120;
/// How many bytes a message has at most.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// Makes log messages.
pub struct Maker {
    context: SourceContext,
    names: Names,
    senders: Senders,
}

impl Maker {
    /// Makes a maker.
    pub fn new(context: &SourceContext, names: Names) -> Self {
        Self { context: context.clone(), names, senders: Senders::default() }
    }

    /// Makes a notification's log message. Whose it is says the authenticated engine id, else the address that the
    /// notification names as its origin, else the one it came from.
    pub fn make(&mut self, notice: &Notice, peer: IpAddr, settings: &TrapSettings, now: UtcMs) -> LogRecord {
        let engine = notice.engine.as_ref().filter(|(_, authenticated)| *authenticated).map(|(id, _)| id.as_ref());
        let named = notice.origin.map(Ipv4Addr::from).or_else(|| trap_address(notice));
        let origin = named.map_or(peer, IpAddr::V4).to_canonical();
        let by_address = || settings.addresses.get(&origin);
        let declared = engine.and_then(|id| settings.engines.get(id)).or_else(by_address);
        let what = self.names.notification(&notice.name);
        self.context.stats.flagged("values left out beyond 60", notice.left_out as u64, &what.name);
        let (attributes, values) = self.attributes(notice, &what.name);
        let message = format!("{}{values}", what.name);
        let host = named.filter(|named| IpAddr::V4(*named) != peer.to_canonical()).map(|named| named.to_string());
        let draft = Draft {
            time: None,
            host: host.as_deref(),
            peer: Some(peer),
            declared,
            app: APP,
            severity: what.severity,
            message: shortened(&message, MESSAGE_BYTES_MAX),
            attributes,
        };
        let record = self.senders.attribute(&self.context, draft, now);
        self.senders.end_round(&self.context);
        record
    }

    /// The attributes, and the values as they stand in the message.
    fn attributes(&self, notice: &Notice, name: &str) -> (Attributes, String) {
        let version = match notice.version {
            Version::V1 => "v1",
            Version::V2c => "v2c",
            Version::V3 => "v3",
            _ => "unknown",
        };
        let mut attributes = Attributes::new();
        let mut set = |name: &str, text: String| attributes.insert(name.into(), text.into());
        set("snmp_version", version.to_owned());
        set("trap_oid", notice.name.to_string());
        set("trap_name", name.to_owned());
        set("uptime_seconds", format!("{:.2}", f64::from(notice.up_time) / 100.0));
        if let Some(user) = &notice.user {
            set("user", user.clone());
        }
        if let Some((id, _)) = &notice.engine {
            set("engine_id", format!("0x{}", hexadecimal(id)));
        }
        let mut values = String::new();
        for one in &notice.values {
            let Some(text) = value::text(&one.value) else { continue };
            let (object, instance) = self.names.object(&one.oid);
            let shown = shortened(&text, VALUE_BYTES_MAX).replace(['\n', '\r'], " ");
            values.push_str(&format!(" {object}={shown}"));
            let key: Arc<str> = format!("value.{object}").into();
            let key = if attributes.contains_key(&key) { format!("{key}.{instance}").into() } else { key };
            attributes.insert(key, text.into());
        }
        (attributes, values)
    }
}

/// The address that a proxy names as the origin (RFC 3584 section 3.1, snmpTrapAddress).
fn trap_address(notice: &Notice) -> Option<Ipv4Addr> {
    let object: Oid = oids::snmp_trap_address();
    let found = notice.values.iter().find(|one| one.oid == object)?;
    if let Value::IpAddress(octets) = found.value { Some(octets.into()) } else { None }
}
