//! Answers and refusals in the form of the Prometheus API.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wk_promql::QueryError;
use wk_types::ErrorKind;
use wk_types::series::SourceError;

use crate::http::problem::chain;
use crate::node::Node;

/// What Prometheus calls `errorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    BadData,
    Execution,
    Timeout,
    Unavailable,
    Upstream,
    Internal,
}

impl Reason {
    const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => Self::BadData,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Corrupt | ErrorKind::Bug => Self::Internal,
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Denied => Self::Execution,
        }
    }

    const fn told(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::Execution => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Upstream => (StatusCode::BAD_GATEWAY, "unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// Why a request was refused.
#[derive(Debug)]
pub struct Refusal {
    reason: Reason,
    message: String,
}

impl Refusal {
    /// A parameter that is missing or cannot be read.
    pub fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Self { reason: Reason::BadData, message: format!("invalid parameter \"{name}\": {message}") }
    }

    /// What took too long.
    pub fn timeout(message: &str) -> Self {
        Self { reason: Reason::Timeout, message: message.to_owned() }
    }

    /// Metrics that are kept outside, where only the running node knows the way.
    pub fn elsewhere(url: &str) -> Self {
        let message = format!("metrics are kept outside, at {url}; start the node, or ask there");
        Self { reason: Reason::Unavailable, message }
    }

    /// A store outside that does not answer, or not as it should.
    pub fn upstream(error: &dyn std::error::Error) -> Self {
        Self { reason: Reason::Upstream, message: chain(error) }
    }

    /// A failure of the kind that it says.
    pub fn of(kind: ErrorKind, error: &dyn std::error::Error) -> Self {
        Self { reason: Reason::of(kind), message: chain(error) }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let reason = match &error {
            QueryError::Cancelled => Reason::Timeout,
            QueryError::TooManySamples { .. } | QueryError::SameLabels { .. } | QueryError::Matching { .. } => {
                Reason::Execution
            }
            other => Reason::of(other.kind()),
        };
        Self { reason, message: chain(&error) }
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<wk_store::state::StateError> for Refusal {
    fn from(error: wk_store::state::StateError) -> Self {
        Self::of(error.kind(), &error)
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error_type) = self.reason.told();
        let body = Failure { status: "error", error_type, error: &self.message };
        (status, axum::Json(body)).into_response()
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    infos: &'a [String],
}

/// The body of an answer, or why there is none.
pub type Answer = Result<Vec<u8>, Refusal>;

/// Writes an answer.
pub fn success(data: impl Serialize) -> Answer {
    success_with(data, &[], &[])
}

/// Writes an answer about which something is to be said: what may be wrong with it, and with the question.
pub fn success_with(data: impl Serialize, warnings: &[String], infos: &[String]) -> Answer {
    serde_json::to_vec(&Success { status: "success", data, warnings, infos })
        .map_err(|error| Refusal::of(ErrorKind::Bug, &error))
}

/// Cuts a list at a limit and says so.
pub fn cut<T>(list: &mut Vec<T>, limit: Option<usize>) -> Vec<String> {
    match limit {
        Some(limit) if list.len() > limit => {
            list.truncate(limit);
            vec!["results truncated due to limit".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Works beside the event loop and answers.
pub async fn answer(node: Arc<Node>, work: impl FnOnce(&Node) -> Answer + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(move || work(&node)).await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(error) => Refusal::of(ErrorKind::Bug, &error).into_response(),
    }
}
