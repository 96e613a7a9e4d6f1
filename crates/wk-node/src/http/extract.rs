//! Bodies, parameters and paths, refused in the same form as everything else.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;

/// A JSON body.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// Parameters of the address.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// Gives a refusal without a body, such as of a method or a time limit, the form of the others.
pub async fn explain(response: Response) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    if !is_refusal || response.headers().contains_key(axum::http::header::CONTENT_TYPE) {
        return response;
    }
    let mut explained = Problem::new(status, reason(status)).into_response();
    explained.headers_mut().extend(response.headers().clone());
    explained
}

fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "this address takes other methods; /openapi.json lists them",
        StatusCode::REQUEST_TIMEOUT => "the request took too long; ask for less at once",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the content encoding is not taken; send plain or gzip",
        other => other.canonical_reason().unwrap_or("the request was refused"),
    }
}
