//! OpenTelemetry: log records and metrics over OTLP, in protobuf and in JSON; gRPC carries the same protobuf.
//!
//! *Source*: the OTLP specification 1.9 and `opentelemetry/proto/collector/{logs,metrics}/v1`. Senders, parts and points
//! are walked in place and only one leaf at a time is decoded, so that a small body cannot become large in memory.

mod attributes;
mod json;
pub mod logs;
pub mod message;
pub mod metrics;
pub mod names;
mod starts;

use prost::{DecodeError, Message};
use serde::de::DeserializeOwned;
use wk_types::{ErrorKind, UtcMs};

pub use starts::Starts;

use crate::contract::SourceContext;
use crate::json_logs::nested_in;
use crate::protobuf::{BadMessage, Field, fields};
use crate::stats::{EXAMPLE_BYTES_MAX, shortened};

/// How many bytes a body may have once it is decompressed; whoever reads bodies from the network holds to it.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many objects and lists a JSON body holds at most, because each takes many times its text in memory.
pub const OBJECTS_MAX: usize = 400_000;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a content type names.
    ///
    /// # Errors
    /// None, or one that is not taken.
    pub fn of(content_type: Option<&str>) -> Result<Self, OtlpError> {
        let found = content_type.unwrap_or_default();
        let media = found.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/x-protobuf") {
            return Ok(Self::Protobuf);
        }
        if media.eq_ignore_ascii_case("application/json") {
            return Ok(Self::Json);
        }
        Err(OtlpError::ContentType { found: shortened(found, EXAMPLE_BYTES_MAX).to_owned() })
    }

    /// The content type of answers.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telemetry {
    /// Log records.
    Logs,
    /// Data points.
    Metrics,
}

/// Why a body as a whole is refused.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The body is of another kind.
    #[error("content type {found:?} is not taken; send application/x-protobuf or application/json")]
    ContentType {
        /// The content type as sent.
        found: String,
    },
    /// The body holds too much.
    #[error("the body has more than the {max} {unit} that are taken at once; send smaller batches")]
    TooLarge {
        /// What was counted.
        unit: &'static str,
        /// The bound.
        max: usize,
    },
    /// The body is no protobuf.
    #[error("could not decode the body as an OTLP request")]
    Protobuf(#[from] BadMessage),
    /// The body is no such JSON.
    #[error("could not read the body as an OTLP request in JSON")]
    Json(#[source] serde_json::Error),
}

impl From<DecodeError> for OtlpError {
    fn from(error: DecodeError) -> Self {
        Self::Protobuf(error.into())
    }
}

impl OtlpError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// The HTTP status that tells the sender; none of them makes it try again.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType { .. } => 415,
            Self::TooLarge { .. } => 413,
            Self::Protobuf(_) | Self::Json(_) => 400,
        }
    }
}

/// What of a request cannot be taken, by reason, each with the last example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejections(Vec<(&'static str, u64, String)>);

impl Rejections {
    /// How many items cannot be taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count, _)| count).sum()
    }

    /// Why, in one text for the sender; empty where everything was taken.
    #[must_use]
    pub fn message(&self) -> String {
        let each = |(reason, count, example): &(&str, u64, String)| match example.as_str() {
            "" => format!("{reason} ({count})"),
            example => format!("{reason} ({count}, such as {example})"),
        };
        self.0.iter().map(each).collect::<Vec<_>>().join("; ")
    }

    fn add(&mut self, reason: &'static str, count: u64, example: &str) {
        if count == 0 {
            return;
        }
        let example = shortened(example, EXAMPLE_BYTES_MAX).to_owned();
        match self.0.iter_mut().find(|(known, ..)| *known == reason) {
            Some(known) => (known.1, known.2) = (known.1 + count, example),
            None => self.0.push((reason, count, example)),
        }
    }

    fn count_in(&self, context: &SourceContext) {
        for (reason, count, example) in &self.0 {
            context.stats.rejected(reason, *count, example);
        }
    }
}

/// The answer to a request that was taken, wholly or in part.
#[must_use]
pub fn answer(telemetry: Telemetry, encoding: Encoding, rejected: &Rejections) -> Vec<u8> {
    let (count, message) = (rejected.count() as i64, rejected.message());
    match encoding {
        Encoding::Protobuf if count == 0 => Vec::new(),
        // Export{Logs,Metrics}ServiceResponse { partial_success = 1; }, alike for both.
        Encoding::Protobuf => Partial { success: Some(PartialSuccess { rejected: count, message }) }.encode_to_vec(),
        Encoding::Json if count == 0 => b"{}".to_vec(),
        Encoding::Json => {
            let name = match telemetry {
                Telemetry::Logs => "rejectedLogRecords",
                Telemetry::Metrics => "rejectedDataPoints",
            };
            let said = serde_json::json!({"partialSuccess": {name: count.to_string(), "errorMessage": message}});
            said.to_string().into_bytes()
        }
    }
}

/// The answer to a request that was refused: `google.rpc.Status` with one of gRPC's codes.
#[must_use]
pub fn refusal(encoding: Encoding, code: u16, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => Status { code: i32::from(code), message: message.to_owned() }.encode_to_vec(),
        Encoding::Json => serde_json::json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(message, optional, tag = "1")]
    success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, OtlpError> {
    if nested_in(body) > OBJECTS_MAX {
        return Err(OtlpError::TooLarge { unit: "JSON objects and lists", max: OBJECTS_MAX });
    }
    serde_json::from_slice(body).map_err(OtlpError::Json)
}

/// Calls `each` with the bytes of every inner message that stands under a number.
fn parts<'a>(
    body: &'a [u8],
    number: u32,
    mut each: impl FnMut(&'a [u8]) -> Result<(), OtlpError>,
) -> Result<(), OtlpError> {
    let mut refused = Ok(());
    fields(body, |tag, field| {
        if let (Field::Bytes(bytes), true) = (field, tag == number && refused.is_ok()) {
            refused = each(bytes);
        }
        Ok(())
    })?;
    refused
}

/// The first inner message that stands under a number; an empty one where there is none.
fn first<T: Message + Default>(body: &[u8], number: u32) -> Result<T, OtlpError> {
    let mut found: &[u8] = &[];
    parts(body, number, |bytes| {
        found = bytes;
        Ok(())
    })?;
    if found.len() > logs::RECORD_BYTES_MAX {
        return Err(OtlpError::TooLarge { unit: "bytes that describe a sender", max: logs::RECORD_BYTES_MAX });
    }
    Ok(T::decode(found)?)
}

/// The instant that nanoseconds since the epoch name.
const fn instant(nanoseconds: u64) -> UtcMs {
    UtcMs((nanoseconds / 1_000_000) as i64)
}

#[cfg(test)]
pub(crate) mod tests;
