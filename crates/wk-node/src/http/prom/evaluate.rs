//! Queries: evaluated at an instant or over a range, formatted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use wk_promql::{Limits, Query, Value};
use wk_types::DurationMs;

use super::answer::{Refusal, answer, cut, success, success_with};
use super::outside::{Path, forwarded};
use super::parameters::{limit, needed, read_span, span, time, time_or_now};
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::node::Node;

/// Longest time a query may take.
pub const QUERY_MAX: Duration = Duration::from_secs(30);
/// Most queries evaluated at once; further ones wait.
pub const QUERIES_MAX: usize = 8;
/// How long a sample counts as the present value of its series, as Prometheus has it by default.
const LOOKBACK: DurationMs = DurationMs::from_mins(5);

static SLOTS: Semaphore = Semaphore::const_new(QUERIES_MAX);

/// Evaluates PromQL at one instant.
#[utoipa::path(get, path = "/api/v1/query", tag = "prometheus", params(("query" = String, Query), ("time" = Option<String>, Query), ("timeout" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object), (status = 422, body = Object), (status = 503, body = Object)))]
pub async fn query(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    if let Some(answer) = forwarded(&node, Path::form(&["query"]), &params).await {
        return answer;
    }
    evaluated(node, params, |node, params, limits| {
        let at = time_or_now(params, "time")?;
        let history = node.metrics.history();
        Ok((parsed(params)?.answer_instant(&history, at, limits)?, history.note()))
    })
    .await
}

/// Evaluates PromQL at every step of a range.
#[utoipa::path(get, path = "/api/v1/query_range", tag = "prometheus", params(("query" = String, Query), ("start" = String, Query), ("end" = String, Query), ("step" = String, Query), ("timeout" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object), (status = 422, body = Object), (status = 503, body = Object)))]
pub async fn query_range(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    if let Some(answer) = forwarded(&node, Path::form(&["query_range"]), &params).await {
        return answer;
    }
    evaluated(node, params, |node, params, limits| {
        let (start, end) = (time(params, "start")?, time(params, "end")?);
        let step = read_span("step", needed(params, "step")?)?;
        if end < start {
            return Err(Refusal::parameter("end", "it lies before start"));
        }
        let history = node.metrics.history();
        Ok((parsed(params)?.answer_range(&history, start, end, step, limits)?, history.note()))
    })
    .await
}

/// Answers that there are no exemplars, for none are kept.
#[utoipa::path(get, path = "/api/v1/query_exemplars", tag = "prometheus", params(("query" = String, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn query_exemplars(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |_| {
        span(&params)?;
        parsed(&params)?;
        success([(); 0])
    })
    .await
}

/// Writes a query in the usual form.
#[utoipa::path(get, path = "/api/v1/format_query", tag = "prometheus", params(("query" = String, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn format_query(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |_| success(wk_promql::format(needed(&params, "query")?)?)).await
}

fn parsed(params: &Params) -> Result<Query, Refusal> {
    Ok(Query::parse(needed(params, "query")?)?)
}

/// Set when the client no longer waits, so that its query ends as well.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An answer, and what is to be said of where it comes from.
type Evaluated = (wk_promql::Answer, Option<String>);

/// Evaluates once there is a slot, until the time is over or the client has gone.
async fn evaluated(
    node: Arc<Node>,
    params: Params,
    work: impl FnOnce(&Node, &Params, &Limits<'_>) -> Result<Evaluated, Refusal> + Send + 'static,
) -> Response {
    let until = match deadline(&params) {
        Ok(until) => until,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(Ok(slot)) = tokio::time::timeout_at(until.into(), SLOTS.acquire()).await else {
        return Refusal::timeout("the query waited for others until its time was over").into_response();
    };
    let client = Abandoned::default();
    let gone = Arc::clone(&client.0);
    answer(node, move |node| {
        let _slot = slot;
        let cancelled = || Instant::now() > until || gone.load(Ordering::Relaxed);
        let limits = Limits { cancelled: &cancelled, ..Limits::default() };
        let series_max = limit(&params, "limit")?;
        let (wk_promql::Answer { mut value, notes }, origin) = work(node, &params, &limits)?;
        let mut warnings = notes.warnings();
        warnings.extend(match &mut value {
            Value::Vector(elements) => cut(elements, series_max),
            Value::Matrix(rows) => cut(rows, series_max),
            Value::Scalar(..) | Value::String(..) => Vec::new(),
        });
        let infos: Vec<String> = notes.infos().into_iter().chain(origin).collect();
        success_with(value.to_prometheus_json(), &warnings, &infos)
    })
    .await
}

/// When the query must have ended.
fn deadline(params: &Params) -> Result<Instant, Refusal> {
    let lookback = params.first("lookback_delta").map(|text| read_span("lookback_delta", text)).transpose()?;
    if lookback.is_some_and(|lookback| lookback != LOOKBACK) {
        return Err(Refusal::parameter("lookback_delta", "only 5m is supported"));
    }
    let wanted = params.first("timeout").map(|text| read_span("timeout", text)).transpose()?;
    let allowed = wanted.map_or(QUERY_MAX, |wanted| wanted.to_std().min(QUERY_MAX));
    Ok(Instant::now() + allowed)
}
