//! One request of remote write, and what its answer means.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use wk_types::{ErrorKind, UtcMs};

use super::{OutsideStore, WRITE_MAX};
use crate::endpoint::chain;

/// How much of an answer is read to tell why it is one.
const SAID_BYTES_MAX: usize = 1_024;

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It may be taken later: the store is away, busy or set up wrongly.
    #[error("{what}")]
    Later {
        /// What happened.
        what: String,
        /// How long the store asks to be left alone.
        after: Option<Duration>,
        /// Whether the store may have taken it all the same.
        uncertain: bool,
        /// Whether nobody listened, or the connection broke: the store may have been killed.
        is_away: bool,
    },
    /// It will never be taken as it is.
    #[error("the store answered {status}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in one of a few words.
        reason: &'static str,
        /// What the store said.
        said: String,
    },
}

impl WriteError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Later { .. } => ErrorKind::Unavailable,
            Self::Refused { .. } => ErrorKind::InvalidInput,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Later { .. })
    }
}

impl OutsideStore {
    /// Sends one body of remote write 1.0.
    pub(super) async fn write(&self, body: Vec<u8>, now: UtcMs) -> Result<(), WriteError> {
        let request = self.writing.request(Method::POST, self.kind.write_path(), None);
        let request = request.map_err(|error| later(chain(&error), false, false))?;
        let sent = request
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .timeout(WRITE_MAX)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(judge(response, now).await),
            Err(error) => {
                let (uncertain, is_away) = (!error.is_connect(), !error.is_timeout());
                Err(later(chain(&error.without_url()), uncertain, is_away))
            }
        }
    }
}

fn later(what: String, uncertain: bool, is_away: bool) -> WriteError {
    WriteError::Later { what, after: None, uncertain, is_away }
}

/// What an answer other than success means. The specification has every 4xx but 429 dropped; but 401, 403, 404 and
/// their like speak of how the store was set up and say nothing about the samples, which then wait until that is mended.
async fn judge(response: Response, now: UtcMs) -> WriteError {
    let status = response.status();
    let after = retry_after(response.headers(), now);
    let said = said(response).await;
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check user, password, token and tenant",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "; check the address, and that the store takes remote write"
        }
        _ if status.is_redirection() => "; redirects are not followed, write the address it points to",
        _ => "",
    };
    if !matches!(status.as_u16(), 400 | 409 | 413 | 422) {
        // A busy or failing store may have kept some of it.
        return WriteError::Later {
            what: format!("the store answered {status}: {said}{hint}"),
            after,
            uncertain: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            is_away: false,
        };
    }
    WriteError::Refused { status: status.as_u16(), reason: reason(status, &said), said }
}

async fn said(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(SAID_BYTES_MAX - bytes.len())]);
        if bytes.len() >= SAID_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "it did not say why".to_owned() } else { line }
}

/// The wait that an answer asks for, as seconds or as a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: UtcMs) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let left = date.timestamp().as_millisecond() - now.0;
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

/// A refusal in one of a few words, by which refusals are counted.
fn reason(status: StatusCode, said: &str) -> &'static str {
    let said = said.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        "too large"
    } else if names(&["out of order", "out-of-order"]) {
        "out of order"
    } else if names(&["duplicate"]) {
        "duplicate"
    } else if names(&["out of bounds", "too old", "too far in the past", "too-far-in-past"]) {
        "too old"
    } else if names(&["limit", "too many"]) {
        "over limit"
    } else {
        "refused"
    }
}
