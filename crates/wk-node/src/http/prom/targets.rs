//! Scrape targets, how they do, and what they say of their metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Value, json};
use wk_ingest::scrape::{Target, TargetHealth};

use super::answer::{Refusal, answer, success};
use super::metadata::Described;
use super::parameters::limit;
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::node::Node;

/// The time that stands for never.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Lists the targets and how they did the last time; none is ever dropped.
#[utoipa::path(get, path = "/api/v1/targets", tag = "prometheus", params(("state" = Option<String>, Query), ("scrapePool" = Option<String>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn targets(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let is_active = match params.first("state").unwrap_or("any") {
            "any" | "active" => true,
            "dropped" => false,
            other => return Err(Refusal::parameter("state", format_args!("not supported value {other:?}"))),
        };
        let pool = params.first("scrapePool").filter(|pool| !pool.is_empty());
        let active: Vec<Value> = node
            .scraper
            .iter()
            .flat_map(|scraper| scraper.health())
            .filter(|(target, _)| is_active && pool.is_none_or(|pool| pool == target.job))
            .map(|(target, health)| describe(target, &health))
            .collect();
        success(json!({"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {}}))
    })
    .await
}

fn describe(target: &Target, health: &TargetHealth) -> Value {
    let state = match (health.scraped, &health.error) {
        (None, _) => "unknown",
        (Some(_), None) => "up",
        (Some(_), Some(_)) => "down",
    };
    let (interval, timeout) = (go_duration(target.interval), go_duration(target.timeout));
    let discovered = json!({
        "__address__": target.instance(), "__metrics_path__": target.url.path(), "__scheme__": target.url.scheme(),
        "__scrape_interval__": interval, "__scrape_timeout__": timeout, "job": target.job,
    });
    json!({
        "discoveredLabels": discovered,
        "labels": labels(target),
        "scrapePool": target.job,
        "scrapeUrl": target.shown_url(),
        "globalUrl": target.shown_url(),
        "lastError": health.error.clone().unwrap_or_default(),
        "lastScrape": health.scraped.map_or_else(|| NEVER.to_owned(), |at| at.to_string()),
        "lastScrapeDuration": health.duration_ms as f64 / 1_000.0,
        "health": state,
        "scrapeInterval": interval,
        "scrapeTimeout": timeout,
    })
}

fn labels(target: &Target) -> BTreeMap<String, String> {
    let mut labels = target.labels.clone();
    labels.insert("job".to_owned(), target.job.clone());
    labels.insert("instance".to_owned(), target.instance());
    labels
}

/// A span of whole seconds or milliseconds as Go writes it in configurations.
fn go_duration(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{}ms", span.as_millis()),
    }
}

/// What each target says of its metric families.
#[utoipa::path(get, path = "/api/v1/targets/metadata", tag = "prometheus", params(("metric" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn metadata(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let most = limit(&params, "limit")?.unwrap_or(usize::MAX);
        let metric = params.first("metric").filter(|metric| !metric.is_empty());
        let mut all: Vec<Value> = Vec::new();
        for (target, families) in node.scraper.iter().flat_map(|scraper| scraper.metadata()) {
            for (family, metadata) in families.into_iter().filter(|(family, _)| metric.is_none_or(|one| one == family))
            {
                let mut entry = json!(Described::from(metadata));
                entry["target"] = json!(labels(target));
                entry["metric"] = json!(family);
                all.push(entry);
            }
        }
        all.truncate(most);
        success(all)
    })
    .await
}
