//! How a request is refused: a status and `{"error": …}` that says what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wk_store::state::StateError;
use wk_types::ErrorKind;

/// Why a request was refused.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub message: String,
    /// Further fields of the answer.
    pub extra: Value,
}

impl Problem {
    /// A refusal with a status of one's own.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), extra: json!({}) }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401.
    pub fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403.
    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The refusal that fits an error's kind.
    pub fn of(kind: ErrorKind, error: &dyn std::error::Error) -> Self {
        let status = match kind {
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::Corrupt | ErrorKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, chain(error))
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::TooManyAttempts { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, chain(&error)),
            _ => Self::of(error.kind(), &error),
        }
    }
}

impl From<wk_lake::LakeError> for Problem {
    fn from(error: wk_lake::LakeError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<wk_ingest::Refused> for Problem {
    fn from(error: wk_ingest::Refused) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.extra;
        body["error"] = Value::String(self.message);
        let mut response = (self.status, Json(body)).into_response();
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
