//! From what a source read of a log message to the attributed record.

use std::net::IpAddr;
use std::sync::Arc;

use wk_types::digest::Remembered;
use wk_types::{AssetId, Attributes, LogRecord, Severity, UtcMs};
use xxhash_rust::xxh3::xxh3_128;

use crate::contract::{Sender, SourceContext};
use crate::series::Texts;
use crate::stats::shortened;
use crate::times;

/// How many bytes one attribute's value keeps; the rest is cut off and counted.
pub const ATTRIBUTE_BYTES_MAX: usize = 8 * 1024;
/// How many bytes an attribute's name has at most; attributes with longer names are left out and counted.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 512;
/// How many bytes of the application's name are kept; the rest is cut off and counted.
pub const APP_BYTES_MAX: usize = 1024;
/// How many attributes a message keeps; further ones are left out and counted.
pub const ATTRIBUTES_MAX: usize = 64;

/// A log message as a source read it.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    /// The sender's time.
    pub time: Option<UtcMs>,
    /// The host that the message names.
    pub host: Option<&'a str>,
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// The asset that the configuration names.
    pub declared: Option<&'a AssetId>,
    /// The program; empty where unknown.
    pub app: &'a str,
    /// How bad the sender says it is.
    pub severity: Severity,
    /// The text.
    pub message: &'a str,
    /// Everything else.
    pub attributes: Attributes,
}

/// Attributes a message and settles its time, counting what is odd about it.
#[must_use]
pub fn attribute(context: &SourceContext, draft: Draft<'_>, received: UtcMs) -> LogRecord {
    Senders::default().attribute(context, draft, received)
}

/// How many senders are remembered at least, if so many have come; twice as many at most.
const SENDERS_KEPT: usize = 10_000;

/// Whose messages are, remembered from one to the next: a sender that is known is looked up once, one that is not once
/// in each round of messages.
#[derive(Debug)]
pub struct Senders {
    known: Remembered<u128, Known>,
    texts: Texts,
    /// Senders that were found unknown in this round.
    unknown: Vec<Unknown>,
}

impl Default for Senders {
    fn default() -> Self {
        Self { known: Remembered::new(SENDERS_KEPT), texts: Texts::default(), unknown: Vec::new() }
    }
}

/// What is known of a sender.
#[derive(Debug, Clone)]
struct Known {
    asset: AssetId,
    /// The host it names, where that is not the asset.
    host: Option<Arc<str>>,
    peer: Option<Arc<str>>,
    /// Its place among those that are unknown, until the round ends.
    unknown: Option<usize>,
}

#[derive(Debug)]
struct Unknown {
    key: u128,
    host: Option<Arc<str>>,
    peer: Option<IpAddr>,
    reason: String,
    repeated: u64,
}

impl Senders {
    /// Attributes a message and settles its time, counting what is odd about it.
    #[must_use]
    pub fn attribute(&mut self, context: &SourceContext, draft: Draft<'_>, received: UtcMs) -> LogRecord {
        let sender = self.sender(context, &draft);
        let settled = times::settle(draft.time, received);
        let mut attributes = draft.attributes;
        bound(context, &mut attributes, draft.message);
        let app = shortened(draft.app, APP_BYTES_MAX);
        if app.len() < draft.app.len() {
            context.stats.flagged("application name cut at 1 KiB", 1, draft.message);
        }
        if let Some(sent) = settled.set_aside {
            context.stats.flagged(times::CLOCK_DIFFERS, 1, draft.message);
            attributes.insert("sent_time".into(), sent.to_string().into());
        }
        if let Some(host) = sender.host {
            attributes.insert(self.texts.shared("host"), host);
        }
        if let Some(peer) = sender.peer {
            attributes.insert(self.texts.shared("peer"), peer);
        }
        context.stats.check_late(settled.time, received);
        LogRecord {
            time: settled.time,
            asset: sender.asset,
            app: self.texts.shared(app),
            severity: draft.severity,
            message: draft.message.into(),
            attributes,
        }
    }

    /// The shared form of a text that comes with many messages.
    pub fn shared(&mut self, text: &str) -> Arc<str> {
        self.texts.shared(text)
    }

    /// Ends a round of messages: those of unknown senders are counted, and they will be looked up anew.
    pub fn end_round(&mut self, context: &SourceContext) {
        for unknown in self.unknown.drain(..) {
            self.known.forget(unknown.key);
            let sender = Sender { claimed: unknown.host.as_deref(), peer: unknown.peer, declared: None };
            if unknown.repeated > 0 {
                context.identity.came_again(&context.name, &sender, &unknown.reason, unknown.repeated);
            }
        }
    }

    fn sender(&mut self, context: &SourceContext, draft: &Draft<'_>) -> Known {
        let key = key_of(draft);
        if let Some((known, fading)) = self.known.get(key) {
            let known = known.clone();
            if let Some(unknown) = known.unknown {
                self.unknown[unknown].repeated += 1;
            }
            if fading {
                self.known.keep(key);
            }
            return known;
        }
        let sender = Sender { claimed: draft.host, peer: draft.peer, declared: draft.declared };
        let attribution = context.identity.resolve(&context.name, &sender);
        let other = draft.host.filter(|host| !host.eq_ignore_ascii_case(attribution.asset.as_str()));
        let peer = draft.peer.filter(|_| attribution.unknown.is_some());
        let known = Known {
            asset: attribution.asset,
            host: other.map(|host| shortened(host, ATTRIBUTE_BYTES_MAX).into()),
            peer: peer.map(|peer| peer.to_canonical().to_string().into()),
            unknown: attribution.unknown.is_some().then_some(self.unknown.len()),
        };
        if let Some(reason) = attribution.unknown {
            let host = draft.host.map(Into::into);
            self.unknown.push(Unknown { key, host, peer: draft.peer, reason, repeated: 0 });
        }
        self.known.insert(key, known.clone());
        known
    }
}

/// What tells senders apart: the host they name, their address, and the asset that was declared.
fn key_of(draft: &Draft<'_>) -> u128 {
    let host = draft.host.map_or(0, |host| xxh3_128(host.as_bytes()));
    let declared = draft.declared.map_or(0, |asset| xxh3_128(asset.as_str().as_bytes()).rotate_left(1));
    let peer = match draft.peer {
        Some(IpAddr::V4(address)) => xxh3_128(&address.octets()),
        Some(IpAddr::V6(address)) => xxh3_128(&address.octets()),
        None => 1,
    };
    host ^ declared ^ peer.rotate_left(2)
}

fn bound(context: &SourceContext, attributes: &mut Attributes, message: &str) {
    let before = attributes.len();
    attributes.retain(|name, _| name.len() <= ATTRIBUTE_NAME_BYTES_MAX);
    if attributes.len() < before {
        context.stats.flagged("attributes left out with names over 512 bytes", 1, message);
    }
    if attributes.len() > ATTRIBUTES_MAX {
        context.stats.flagged("attributes left out beyond 64", 1, message);
        attributes.truncate(ATTRIBUTES_MAX);
    }
    for value in attributes.values_mut().filter(|value| value.len() > ATTRIBUTE_BYTES_MAX) {
        context.stats.flagged("attribute cut at 8 KiB", 1, message);
        *value = shortened(value, ATTRIBUTE_BYTES_MAX).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, context};
    use wk_types::DurationMs;

    #[test]
    fn an_unknown_sender_keeps_its_name_and_address() {
        let (context, _) = context("test");
        let peer = Some("10.0.0.9".parse().unwrap());
        let draft = Draft { host: Some("galley-tv"), peer, message: "x", ..Draft::default() };
        let record = attribute(&context, draft, NOW);
        assert_eq!(record.asset, AssetId::unknown());
        assert_eq!((&*record.attributes["host"], &*record.attributes["peer"]), ("galley-tv", "10.0.0.9"));
    }

    #[test]
    fn a_known_sender_is_not_named_twice() {
        let (context, _) = context("test");
        let draft = Draft { host: Some("BRIDGE-PC"), message: "x", ..Draft::default() };
        assert!(attribute(&context, draft, NOW).attributes.is_empty());
    }

    #[test]
    fn a_clock_that_differs_is_counted_and_kept_beside_the_receipt() {
        let (context, _) = context("test");
        let draft = Draft { time: Some(UtcMs(7_000)), host: Some("bridge-pc"), message: "x", ..Draft::default() };
        let record = attribute(&context, draft, NOW);
        assert_eq!((record.time, &*record.attributes["sent_time"]), (NOW, "1970-01-01T00:00:07.000Z"));
        assert_eq!(context.stats.snapshot().flagged[times::CLOCK_DIFFERS].count, 1);
    }

    #[test]
    fn old_messages_count_as_late() {
        let (context, _) = context("test");
        let time = Some(NOW - DurationMs::from_hours(2));
        let record = attribute(&context, Draft { time, message: "x", ..Draft::default() }, NOW);
        assert_eq!((Some(record.time), context.stats.snapshot().late), (time, 1));
    }

    #[test]
    fn attributes_are_bounded_in_number_and_size() {
        let (context, _) = context("test");
        let mut attributes: Attributes =
            (0..ATTRIBUTES_MAX + 3).map(|at| (format!("a{at:03}").into(), "v".into())).collect();
        attributes.insert("a000".into(), "x".repeat(ATTRIBUTE_BYTES_MAX + 1).into());
        let draft = Draft { host: Some("bridge-pc"), message: "x", attributes, ..Draft::default() };
        let record = attribute(&context, draft, NOW);
        assert_eq!((record.attributes.len(), record.attributes["a000"].len()), (ATTRIBUTES_MAX, ATTRIBUTE_BYTES_MAX));
        assert_eq!(context.stats.snapshot().flagged.len(), 2);
    }

    #[test]
    fn long_names_cannot_make_a_message_large() {
        let (context, _) = context("test");
        let long = "x".repeat(ATTRIBUTE_NAME_BYTES_MAX + 1);
        let attributes = Attributes::from([(long.as_str().into(), "v".into()), ("kept".into(), "v".into())]);
        let app = "é".repeat(APP_BYTES_MAX);
        let draft = Draft { host: Some("bridge-pc"), app: &app, message: "x", attributes, ..Draft::default() };
        let record = attribute(&context, draft, NOW);
        assert_eq!(record.attributes.keys().map(|name| &**name).collect::<Vec<_>>(), ["kept"]);
        assert_eq!(record.app.len(), APP_BYTES_MAX);
        assert_eq!(context.stats.snapshot().flagged.len(), 2);
    }
}
