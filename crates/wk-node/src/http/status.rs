//! How the node and the ship are: status, pipeline, diagnosis, liveness, the node's own metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use wk_store::state::{IncidentFilter, SpoolCounts};
use wk_types::{IncidentState, Seq, Severity};

use crate::clock::now;
use crate::http::auth::Viewer;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;
use crate::outside_logs::OutsideLogs;
use crate::{doctor, gauges, trace};

/// Most open incidents counted.
const OPEN_MAX: usize = 10_000;

/// Answers 200 while the process lives.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers 200 once the node takes in and answers queries, 503 before.
#[utoipa::path(get, path = "/readyz", tag = "node", responses((status = 200), (status = 503)))]
pub async fn readyz(Shared(node): Shared<Arc<Node>>) -> (StatusCode, &'static str) {
    if node.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "reading the intake log\n")
    }
}

/// The ship at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "console", responses((status = 200, body = Object)))]
pub async fn status(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Result<Json<Value>, Problem> {
    blocking(&node, |node| -> Result<_, Problem> {
        let open = open_by_severity(node)?;
        let silent = node.sources.silent(now());
        let mail: SpoolCounts = node.state.spool_counts()?;
        let host = gauges::host(node);
        let state = match open {
            [critical, _, _] if critical > 0 || !node.health.ailments().is_empty() => "trouble",
            [_, major, minor] if major + minor > 0 || !silent.is_empty() || mail.dead > 0 => "attention",
            // Nothing is green by default: without a source that has spoken, nobody knows.
            _ if !node.sources.have_spoken() => "unknown",
            _ => "well",
        };
        Ok(Json(json!({
            "vessel": {"id": node.vessel.as_str(), "name": node.config.name},
            "version": env!("CARGO_PKG_VERSION"),
            "now": now(),
            "started": node.started,
            "state": state,
            "open": {"critical": open[0], "major": open[1], "minor": open[2]},
            "assets": node.state.assets()?.len(),
            "sources": {"total": node.sources.heard(), "silent": silent.len(), "silent_names": silent},
            "mail": {"configured": node.config.mail.is_some(), "queued": mail.queued, "dead": mail.dead},
            "host": host,
            "disk": gauges::data_disk(node),
            "ailments": node.health.ailments(),
        })))
    })
    .await
}

/// Incidents that are not resolved: critical, major, minor.
fn open_by_severity(node: &Node) -> Result<[usize; 3], Problem> {
    let states = vec![IncidentState::Open, IncidentState::Acknowledged];
    let open = node.state.incidents(&IncidentFilter { states, limit: OPEN_MAX, ..IncidentFilter::default() })?;
    let count = |severity| open.iter().filter(|incident| incident.severity == severity).count();
    Ok([count(Severity::Critical), count(Severity::Major), count(Severity::Minor)])
}

/// What each stage received, stored, refused and lost.
#[utoipa::path(get, path = "/api/v1/pipeline", tag = "console", responses((status = 200, body = Object)))]
pub async fn pipeline(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Result<Json<Value>, Problem> {
    blocking(&node, |node| -> Result<_, Problem> { Ok(Json(describe_pipeline(node)?)) }).await
}

/// How many records a reader has yet to read. Positions have gaps where the node was started again, so the count of
/// what is not yet in the reader's own files bounds it.
fn lag(reached: Option<Seq>, durable: Seq, unwritten: u64) -> u64 {
    reached.map_or(unwritten, |reached| unwritten.min(durable.0.saturating_sub(reached.0)))
}

fn describe_pipeline(node: &Node) -> Result<Value, Problem> {
    let intake = node.intake.stats();
    let (metrics, lake) = (node.metrics.stats(), node.lake.stats());
    let (counts, engine) = (node.stages.counts(), node.stages.engine());
    let head = node.state.head()?;
    let mail = node.state.spool_counts()?;
    let durable = intake.last;
    let reached = node.stages.all_reached();
    let readers: Vec<Value> = intake
        .readers
        .iter()
        .map(|reader| {
            json!({
                "name": reader.name, "cursor": reader.cursor, "reached": reached.get(reader.name.as_str()),
                "lag_records": lag(reached.get(reader.name.as_str()).copied(), durable, reader.lag_records),
                "unwritten_records": reader.lag_records,
            })
        })
        .collect();
    Ok(json!({
        "intake": {
            "first": intake.first, "last": durable, "bytes": intake.bytes, "segments": intake.segments,
            "bytes_max": node.config.storage.intake_bytes_max, "readers": readers,
            "damaged_records": intake.damaged_records, "refused": intake.refused_records, "failed": intake.failed_records, "queued": intake.queued_records,
            "queued_bytes": intake.queued_bytes, "fsyncs": intake.syncs, "fsync_errors": intake.sync_errors,
        },
        "sources": node.sources.describe(now()),
        "metrics": {
            "series": metrics.series_indexed, "samples_head": metrics.samples_head, "blocks": metrics.blocks,
            "bytes": metrics.bytes, "stored": metrics.appended.stored, "late": metrics.appended.late,
            "duplicate": metrics.appended.duplicate, "future": metrics.appended.future,
            "too_old": metrics.appended.too_old, "over_limit": metrics.appended.over_limit,
        },
        "logs": {
            "rows_buffered": lake.buffered_rows, "files": lake.files, "bytes": lake.bytes, "stored": lake.appended,
        },
        "outside_logs": node.outside_logs.as_ref().map(OutsideLogs::describe),
        "engine": {
            "refused": {
                "series": engine.series_refused, "window": engine.window_refused,
                "speakers": engine.speakers_refused, "signals": engine.signals_refused,
                "incidents": engine.incidents_refused,
            },
            "series": engine.series, "signals_open": engine.signals_open, "incidents_open": engine.incidents_open,
            "facts": counts.facts, "step_seconds_total": counts.step_seconds_total, "rules": engine.rules,
        },
        "journal": {"entries": *node.watch_journal().borrow(), "sealed": head.entries},
        "notify": {"queued": mail.queued, "delivered": mail.delivered, "dead": mail.dead, "superseded": mail.superseded, "untold": mail.untold},
        "unknown_senders": node.state.unknown_senders()?,
        "ailments": node.health.ailments(),
    }))
}

/// What is wrong with the node, and the command that mends it.
#[utoipa::path(get, path = "/api/v1/doctor", tag = "node", responses((status = 200, body = Object)))]
pub async fn diagnose(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Result<Json<Value>, Problem> {
    blocking(&node, |node| -> Result<_, Problem> { Ok(Json(json!({"findings": doctor::examine(node)?}))) }).await
}

/// One event through every stage, with times.
#[utoipa::path(get, path = "/api/v1/trace/{id}", tag = "node", params(("id" = String, Path)), responses((status = 200, body = Object), (status = 404, body = Object)))]
pub async fn show_trace(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> {
        Ok(Json(json!({"id": id, "stages": trace::follow(node, &id)?})))
    })
    .await
}

/// The node's own metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, content_type = "text/plain")))]
pub async fn metrics(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Result<impl IntoResponse, Problem> {
    let text = blocking(&node, |node| -> Result<_, Problem> { Ok(crate::own_metrics::text(node)) }).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
