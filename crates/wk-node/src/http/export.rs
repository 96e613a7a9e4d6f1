//! Stored metrics and logs as Parquet.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use wk_lake::{Cancel, LakeError, MetricFileError, MetricFileWriter};
use wk_promql::parse_selector;
use wk_types::labels::METRIC_NAME;
use wk_types::series::SourceError;
use wk_types::{Matcher, UtcMs};

use super::logs::{Wanted, read_query};
use crate::http::auth::Viewer;
use crate::http::params::{Params, read_time};
use crate::http::pieces;
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::node::Node;

/// Exports at once; each holds a row group in memory.
const EXPORTS_MAX: usize = 1;
/// Bytes gathered into one piece of an answer.
const PIECE_BYTES: usize = 1 << 18;
const CONTENT_TYPE: &str = "application/vnd.apache.parquet";

static SLOTS: Semaphore = Semaphore::const_new(EXPORTS_MAX);

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Metrics(#[from] SourceError),
    #[error(transparent)]
    File(#[from] MetricFileError),
    #[error(transparent)]
    Logs(#[from] LakeError),
    #[error("could not send the file")]
    Send(#[from] std::io::Error),
}

fn slot() -> Result<SemaphorePermit<'static>, Problem> {
    SLOTS.try_acquire().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another export is running; try again when it has ended")
    })
}

/// The times between which there is something to export.
#[utoipa::path(get, path = "/api/v1/export/span", tag = "export", responses((status = 200, body = Object)))]
pub async fn span(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Json<Value> {
    let metrics = node.metrics.stats();
    let of = |range: Option<(UtcMs, UtcMs)>| range.map(|(from, to)| json!({"from": from, "to": to}));
    Json(json!({"metrics": of(metrics.oldest.zip(metrics.newest)), "logs": of(node.lake.time_range())}))
}

/// Answers samples as one Parquet file, series by series; 204 where there are none.
#[utoipa::path(get, path = "/api/v1/export/metrics", tag = "export", params(("match[]" = Option<Vec<String>>, Query, description = "Series, as PromQL selects them; all where it is missing."), ("start" = Option<String>, Query, description = "Seconds since 1970 or RFC 3339; without it, from the beginning."), ("end" = Option<String>, Query, description = "The last instant; without it, to the end."), ("label" = Option<Vec<String>>, Query, description = "Labels that get a column; those of the series where it is missing.")), responses((status = 200, content_type = "application/vnd.apache.parquet"), (status = 204), (status = 400, body = Object), (status = 409, body = Object), (status = 503, body = Object)))]
pub async fn metrics(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Result<Response, Problem> {
    let slot = slot()?;
    let time = |name, default| {
        let wrong = |why| Problem::bad_request(format!("{name}: {why}"));
        params.first(name).map_or(Ok(default), |text| read_time(text).map_err(wrong))
    };
    let (from, to) = (time("start", UtcMs::MIN)?, time("end", UtcMs::MAX)?);
    let selectors = selectors(&params)?;
    let asked: BTreeSet<String> = params.all("label").map(str::to_owned).collect();
    let walk = blocking(&node, move |node| {
        node.metrics.walk(&selectors, from, to).map_err(|error| Problem::of(error.kind(), &error))
    })
    .await?;
    let present: BTreeSet<String> =
        walk.series().flat_map(|one| one.labels.iter()).map(|(name, _)| name.to_string()).collect();
    if present.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let labels = if asked.is_empty() { present } else { asked };
    let labels: Vec<String> = labels.into_iter().filter(|label| label != METRIC_NAME).collect();
    if labels.len() > wk_lake::LABELS_MAX {
        let error = MetricFileError::TooManyLabels { found: labels.len() };
        return Err(Problem::of(error.kind(), &error));
    }
    Ok(pieces::stream(CONTENT_TYPE, move |out| -> Result<(), ExportError> {
        let _slot = slot;
        let mut out = BufWriter::with_capacity(PIECE_BYTES, out);
        let mut writer = MetricFileWriter::new(&mut out, &labels, node.vessel.as_str())?;
        walk.run(|series, samples| -> Result<(), ExportError> { Ok(writer.push(series, samples)?) })?;
        writer.finish()?;
        Ok(out.flush()?)
    }))
}

fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, Problem> {
    let selectors = params
        .all("match[]")
        .map(|text| parse_selector(text).map_err(|error| Problem::bad_request(format!("match[]: {}", chain(&error)))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(if selectors.is_empty() { vec![Vec::new()] } else { selectors })
}

/// Answers log lines as one Parquet file with the columns of the log files; 204 where there are none.
#[utoipa::path(get, path = "/api/v1/export/logs", tag = "export", params(Wanted), responses((status = 200, content_type = "application/vnd.apache.parquet"), (status = 204), (status = 400, body = Object), (status = 503, body = Object)))]
pub async fn logs(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Result<Response, Problem> {
    let slot = slot()?;
    let query = read_query(&params)?;
    let found = blocking(&node, move |node| node.lake.export(&query, &Cancel::default())).await?;
    let Some(export) = found else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    Ok(pieces::stream(CONTENT_TYPE, move |out| -> Result<(), ExportError> {
        let _slot = slot;
        let mut out = BufWriter::with_capacity(PIECE_BYTES, out);
        export.write(&mut out, node.vessel.as_str())?;
        Ok(out.flush()?)
    }))
}
