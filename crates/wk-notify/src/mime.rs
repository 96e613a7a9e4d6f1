//! A message of the spool as the bytes of a mail (RFC 5322, with RFC 3834's mark that no person wrote it).

use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use wk_store::state::Message;

use crate::settings::{SettingsError, parse_address};

/// A mail ready to be sent.
pub(crate) struct Ready {
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
}

/// Why a message can never be sent as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MimeError {
    #[error(transparent)]
    Address(#[from] SettingsError),
    #[error("could not write the mail: {0}")]
    Write(#[from] lettre::error::Error),
}

/// Writes a message as a mail; the same message always gives the same bytes.
pub(crate) fn mail(message: &Message, from: &Mailbox) -> Result<Ready, MimeError> {
    let written = UNIX_EPOCH + Duration::from_millis(message.created.0.max(0).unsigned_abs());
    let mut builder = Mail::builder()
        .from(from.clone())
        .to(parse_address(&message.recipient)?)
        .subject(&message.subject)
        .date(written)
        .message_id(Some(format!("<{}>", message.message_id)))
        .header(ContentType::TEXT_PLAIN)
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Watchkeeper-Severity", message.severity.as_str()));
    if let Some(first) = &message.in_reply_to {
        builder = builder.in_reply_to(format!("<{first}>")).references(format!("<{first}>"));
    }
    if let Some(incident) = &message.incident {
        builder = builder.raw_header(header("X-Watchkeeper-Incident", incident.as_str()));
    }
    let mail = builder.body(message.body.clone())?;
    Ok(Ready { envelope: mail.envelope().clone(), bytes: mail.formatted() })
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}
