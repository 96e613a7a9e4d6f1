//! The Prometheus HTTP API: `query`, `query_range`, `labels`, `label/…/values`, `series`.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wk_promql::{Limits, Query};
use wk_types::{DurationMs, ErrorKind, Matcher, UtcMs};

use crate::clock::now;
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::http::problem::{Problem, chain};
use crate::node::Node;

/// Longest time a query may take.
const QUERY_MAX: Duration = Duration::from_secs(30);
/// Most series answered by `series`.
const SERIES_MAX: usize = 50_000;

/// Why a query of the Prometheus API failed, in its own form of answer.
struct Refusal {
    kind: ErrorKind,
    message: String,
}

impl Refusal {
    fn bad_data(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidInput, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, name) = match self.kind {
            ErrorKind::InvalidInput => (StatusCode::BAD_REQUEST, "bad_data"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
        };
        (status, Json(json!({"status": "error", "errorType": name, "error": self.message}))).into_response()
    }
}

async fn answer(node: Arc<Node>, work: impl FnOnce(&Node) -> Result<Value, Refusal> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(move || work(&node)).await {
        Ok(Ok(data)) => Json(json!({"status": "success", "data": data})).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(error) => Problem::of(ErrorKind::Bug, &error).into_response(),
    }
}

/// Evaluates PromQL at one instant.
#[utoipa::path(get, path = "/api/v1/query", tag = "prometheus", params(("query" = String, Query), ("time" = Option<String>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn query(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let at = params.first("time").map_or_else(|| Ok(now()), |text| read_time("time", text))?;
        instant(node, needed(&params, "query")?, at)
    })
    .await
}

fn instant(node: &Node, text: &str, at: UtcMs) -> Result<Value, Refusal> {
    let query = Query::parse(text).map_err(refusal)?;
    let cancelled = deadline();
    let limits = Limits { cancelled: &cancelled, ..Limits::default() };
    json_of(&query.instant(&node.metrics, at, &limits).map_err(refusal)?)
}

/// Evaluates PromQL at every step of a range.
#[utoipa::path(get, path = "/api/v1/query_range", tag = "prometheus", params(("query" = String, Query), ("start" = String, Query), ("end" = String, Query), ("step" = String, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn query_range(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let start = read_time("start", needed(&params, "start")?)?;
        let end = read_time("end", needed(&params, "end")?)?;
        let step = read_span("step", needed(&params, "step")?)?;
        if end < start {
            return Err(Refusal::bad_data("end lies before start"));
        }
        let query = Query::parse(needed(&params, "query")?).map_err(refusal)?;
        let cancelled = deadline();
        let limits = Limits { cancelled: &cancelled, ..Limits::default() };
        json_of(&query.range(&node.metrics, start, end, step, &limits).map_err(refusal)?)
    })
    .await
}

/// Tells whether a query that begins now has taken too long.
fn deadline() -> impl Fn() -> bool {
    let began = Instant::now();
    move || began.elapsed() > QUERY_MAX
}

fn json_of(value: &wk_promql::Value) -> Result<Value, Refusal> {
    serde_json::to_value(value.to_prometheus_json())
        .map_err(|error| Refusal { kind: ErrorKind::Bug, message: error.to_string() })
}

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err")]
fn refusal(error: wk_promql::QueryError) -> Refusal {
    Refusal { kind: error.kind(), message: chain(&error) }
}

/// Lists label names.
#[utoipa::path(get, path = "/api/v1/labels", tag = "prometheus", params(("match[]" = Option<Vec<String>>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query)), responses((status = 200, body = Object)))]
pub async fn labels(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let (from, to) = span(&params)?;
        let mut names = std::collections::BTreeSet::new();
        for matchers in selections(&params)? {
            names.extend(node.metrics.label_names(&matchers, from, to).map_err(source_refusal)?);
        }
        Ok(json!(names))
    })
    .await
}

/// Lists the values of one label.
#[utoipa::path(get, path = "/api/v1/label/{name}/values", tag = "prometheus", params(("name" = String, Path), ("match[]" = Option<Vec<String>>, Query)), responses((status = 200, body = Object)))]
pub async fn label_values(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Path(name): Path<String>,
    params: Params,
) -> Response {
    answer(node, move |node| {
        let (from, to) = span(&params)?;
        let mut values = std::collections::BTreeSet::new();
        for matchers in selections(&params)? {
            values.extend(node.metrics.label_values(&name, &matchers, from, to).map_err(source_refusal)?);
        }
        Ok(json!(values))
    })
    .await
}

/// Lists series by their labels.
#[utoipa::path(get, path = "/api/v1/series", tag = "prometheus", params(("match[]" = Vec<String>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query)), responses((status = 200, body = Object)))]
pub async fn series(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let (from, to) = span(&params)?;
        if params.all("match[]").next().is_none() {
            return Err(Refusal::bad_data("no match[] parameter given"));
        }
        let mut found = std::collections::BTreeSet::new();
        for matchers in selections(&params)? {
            let series = node.metrics.series(&matchers, from, to, SERIES_MAX).map_err(source_refusal)?;
            found.extend(series.iter().map(|one| one.labels.clone()));
        }
        Ok(json!(found))
    })
    .await
}

/// Answers the version, in the form by which Grafana recognises a Prometheus.
#[utoipa::path(get, path = "/api/v1/status/buildinfo", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn build_info(_: Viewer) -> Json<Value> {
    Json(json!({"status": "success", "data": {"version": env!("CARGO_PKG_VERSION"), "application": "watchkeeper"}}))
}

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err")]
fn source_refusal(error: wk_types::series::SourceError) -> Refusal {
    Refusal { kind: error.kind(), message: error.to_string() }
}

/// The matchers of each `match[]`; one empty selection where there is none.
fn selections(params: &Params) -> Result<Vec<Vec<Matcher>>, Refusal> {
    let mut all = Vec::new();
    for text in params.all("match[]") {
        let query = Query::parse(text).map_err(refusal)?;
        all.extend(query.selectors().into_iter().map(|selector| selector.matchers));
    }
    Ok(if all.is_empty() { vec![Vec::new()] } else { all })
}

fn span(params: &Params) -> Result<(UtcMs, UtcMs), Refusal> {
    let read = |name, default| params.first(name).map_or(Ok(default), |text| read_time(name, text));
    Ok((read("start", UtcMs::MIN)?, read("end", UtcMs::MAX)?))
}

fn needed<'a>(params: &'a Params, name: &'a str) -> Result<&'a str, Refusal> {
    params.first(name).ok_or_else(|| Refusal::bad_data(format!("the parameter {name} is missing")))
}

fn read_time(name: &str, text: &str) -> Result<UtcMs, Refusal> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(UtcMs::from_secs_f64(seconds));
    }
    text.parse()
        .map_err(|_| Refusal::bad_data(format!("{name}: {text:?} is no time; give seconds since 1970 or RFC 3339")))
}

/// A span in seconds, or as PromQL writes it (`1m`, `1h30m`).
fn read_span(name: &str, text: &str) -> Result<DurationMs, Refusal> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => seconds * 1_000.0,
        Err(_) => wk_promql::parse_duration(text).map_or(f64::NAN, |span| span.0 as f64),
    };
    if (1.0..1e15).contains(&ms) {
        Ok(DurationMs(ms as i64))
    } else {
        Err(Refusal::bad_data(format!("{name}: {text:?} is no span of time above zero; write 15, 15s or 1h30m")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(read_time("time", "1700000000.5").ok(), Some(UtcMs(1_700_000_000_500)));
        assert_eq!(read_time("time", "2023-11-14T22:13:20Z").ok(), Some(UtcMs(1_700_000_000_000)));
        assert!(read_time("time", "noon").is_err() && read_time("time", "NaN").is_err());
    }

    #[test]
    fn steps_are_seconds_or_promql_spans_above_zero() {
        assert_eq!(read_span("step", "15").ok(), Some(DurationMs(15_000)));
        assert_eq!(read_span("step", "0.5").ok(), Some(DurationMs(500)));
        assert_eq!(read_span("step", "1h30m").ok(), Some(DurationMs(5_400_000)));
        for wrong in ["0", "-1", "often", "NaN", "inf"] {
            assert!(read_span("step", wrong).is_err(), "{wrong}");
        }
    }
}
