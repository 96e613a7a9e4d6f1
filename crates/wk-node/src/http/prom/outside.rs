//! Questions about metrics that are kept outside: handed on to the store there.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use wk_connect::metrics::{Answer, AskError, Question};

use super::answer::Refusal;
use super::evaluate::{QUERIES_MAX, QUERY_MAX};
use crate::http::params::Params;
use crate::node::{MetricsPlace, Node};

/// Answers are held whole before they are handed on, so that only so many are asked for at once.
static SLOTS: Semaphore = Semaphore::const_new(QUERIES_MAX);

/// What is asked, behind `api/v1`, and whether it may be long.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    /// The parts of the path.
    pub parts: &'a [&'a str],
    /// Whether its parameters go as a form by POST.
    pub is_form: bool,
}

impl<'a> Path<'a> {
    /// A path that takes forms.
    pub const fn form(parts: &'a [&'a str]) -> Self {
        Self { parts, is_form: true }
    }

    /// A path that takes its parameters in the address only.
    pub const fn plain(parts: &'a [&'a str]) -> Self {
        Self { parts, is_form: false }
    }
}

/// The answer of the store outside; `None` where metrics are kept here.
pub async fn forwarded(node: &Arc<Node>, path: Path<'_>, params: &Params) -> Option<Response> {
    Some(match asked(node, path, params).await.transpose()? {
        Ok(Answer { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(refusal) => refusal.into_response(),
    })
}

/// Asks the store outside; `None` where metrics are kept here.
pub async fn asked(node: &Arc<Node>, path: Path<'_>, params: &Params) -> Result<Option<Answer>, Refusal> {
    let outside = match node.metrics_place() {
        MetricsPlace::Here => return Ok(None),
        MetricsPlace::Elsewhere(url) => return Err(Refusal::elsewhere(url)),
        MetricsPlace::Outside(outside) => outside,
    };
    let until = Instant::now() + QUERY_MAX;
    let Ok(Ok(_slot)) = tokio::time::timeout_at(until.into(), SLOTS.acquire()).await else {
        return Err(Refusal::timeout("the query waited for others until its time was over"));
    };
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params.iter()).finish();
    let question = Question { path: path.parts, form, is_form: path.is_form, time_max: QUERY_MAX };
    outside.store.ask(&question).await.map(Some).map_err(|error| match error {
        AskError::TimeOut { .. } => Refusal::timeout(&error.to_string()),
        AskError::TooLarge => Refusal::of(error.kind(), &error),
        AskError::Away { .. } | AskError::Misfit { .. } | AskError::Secret(_) => Refusal::upstream(&error),
    })
}
