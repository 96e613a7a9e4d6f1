//! What the node is and how it is set up, as Prometheus tells it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Value, json};
use wk_ingest::scrape::shown_url;
use wk_promql::Limits;
use wk_types::{DurationMs, ErrorKind, Labels, UtcMs};

use super::answer::{Answer, Refusal, answer, success};
use super::evaluate::{QUERIES_MAX, QUERY_MAX};
use super::outside::{Path, forwarded};
use super::parameters::limit;
use crate::clock::now;
use crate::http::auth::{Admin, Viewer};
use crate::http::params::Params;
use crate::node::Node;

/// The Prometheus whose API and semantics these are, by which clients decide what they may ask.
const PROMETHEUS_VERSION: &str = "3.0.0";
/// How far back a series counts as active.
const ACTIVE: DurationMs = DurationMs::from_hours(2);
/// Entries of each list about the stored series where the caller names no number.
const ENTRIES_DEFAULT: usize = 10;

/// Answers the version of Prometheus whose API this is, and the node's own as `revision`.
#[utoipa::path(get, path = "/api/v1/status/buildinfo", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn build_info(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Response {
    answer(node, |_| {
        success(json!({
            "version": PROMETHEUS_VERSION, "revision": concat!("watchkeeper ", env!("CARGO_PKG_VERSION")),
            "application": "watchkeeper", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
        }))
    })
    .await
}

/// Answers how the process runs; threads stand for goroutines.
#[utoipa::path(get, path = "/api/v1/status/runtimeinfo", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn runtime_info(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Response {
    answer(node, |node| {
        let stats = node.metrics.stats();
        success(json!({
            "startTime": node.started.to_string(), "serverTime": now().to_string(),
            "CWD": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
            "hostname": node.own_asset.as_str(),
            "reloadConfigSuccess": true, "lastConfigTime": node.started.to_string(),
            "corruptionCount": stats.blocks_damaged + stats.chunks_damaged,
            "goroutineCount": threads(),
            "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "GOGC": "", "GODEBUG": "", "storageRetention": retention(node),
        }))
    })
    .await
}

fn threads() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

fn retention(node: &Node) -> String {
    let storage = &node.config.storage;
    format!("{}d or {}B", storage.metrics_days, storage.metrics_bytes_max)
}

/// Answers the configuration in force, written as JSON, which is YAML too.
#[utoipa::path(get, path = "/api/v1/status/config", tag = "prometheus", responses((status = 200, body = Object), (status = 403, body = Object)))]
pub async fn config(Shared(node): Shared<Arc<Node>>, _: Admin) -> Response {
    answer(node, |node| {
        let mut config = node.config.clone();
        for target in &mut config.scrape {
            target.url = target.url.parse().map_or_else(|_| String::new(), |url| shown_url(&url));
        }
        let yaml = serde_json::to_string_pretty(&config).map_err(|error| Refusal::of(ErrorKind::Bug, &error))?;
        success(json!({ "yaml": yaml }))
    })
    .await
}

/// Answers bounds under the names of Prometheus' flags, each as text.
#[utoipa::path(get, path = "/api/v1/status/flags", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn flags(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Response {
    answer(node, |node| {
        let (storage, limits) = (&node.config.storage, Limits::default());
        success(json!({
            "query.lookback-delta": "5m",
            "query.max-concurrency": QUERIES_MAX.to_string(),
            "query.max-samples": limits.samples_max.to_string(),
            "query.timeout": format!("{}s", QUERY_MAX.as_secs()),
            "storage.tsdb.path": node.folder.metrics().display().to_string(),
            "storage.tsdb.retention.time": format!("{}d", storage.metrics_days),
            "storage.tsdb.retention.size": format!("{}B", storage.metrics_bytes_max),
            "web.enable-remote-write-receiver": "true",
            "web.listen-address": node.config.http.listen.to_string(),
        }))
    })
    .await
}

/// Counts the series of the last two hours: by metric, by label and by pair, and how much their values take.
#[utoipa::path(get, path = "/api/v1/status/tsdb", tag = "prometheus", params(("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn tsdb(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    if let Some(answer) = forwarded(&node, Path::plain(&["status", "tsdb"]), &params).await {
        return answer;
    }
    answer(node, move |node| cardinality(node, limit(&params, "limit")?.unwrap_or(ENTRIES_DEFAULT))).await
}

fn cardinality(node: &Node, entries: usize) -> Answer {
    let from = now() - ACTIVE;
    let series = node.metrics.series(&[], from, UtcMs::MAX, usize::MAX)?;
    let counts = Cardinality::of(series.iter().map(|one| &one.labels));
    let stats = node.metrics.stats();
    let values = counts.values.iter();
    success(json!({
        "headStats": {
            "numSeries": series.len(), "numLabelPairs": counts.by_pair.len(), "chunkCount": stats.series_head,
            "minTime": stats.oldest.map_or(from, |oldest| oldest.max(from)), "maxTime": stats.newest.unwrap_or(from),
        },
        "seriesCountByMetricName": top(&counts.by_metric, entries),
        "labelValueCountByLabelName": top(&values.clone().map(|(name, (count, _))| (*name, *count)).collect(), entries),
        "memoryInBytesByLabelName": top(&values.map(|(name, (_, bytes))| (*name, *bytes)).collect(), entries),
        "seriesCountByLabelValuePair": top(
            &counts.by_pair.iter().map(|((name, value), count)| (format!("{name}={value}"), *count)).collect(),
            entries,
        ),
    }))
}

/// Counts over label sets.
#[derive(Default)]
struct Cardinality<'a> {
    by_metric: HashMap<&'a str, usize>,
    by_pair: HashMap<(&'a str, &'a str), usize>,
    /// By label: how many values it has, and how many bytes these take.
    values: HashMap<&'a str, (usize, usize)>,
}

impl<'a> Cardinality<'a> {
    fn of(series: impl Iterator<Item = &'a Labels>) -> Self {
        let mut counts = Self::default();
        for labels in series {
            *counts.by_metric.entry(labels.name()).or_default() += 1;
            for (name, value) in labels.iter() {
                *counts.by_pair.entry((&**name, &**value)).or_default() += 1;
            }
        }
        for (name, value) in counts.by_pair.keys() {
            let (count, bytes) = counts.values.entry(*name).or_default();
            (*count, *bytes) = (*count + 1, *bytes + value.len());
        }
        counts
    }
}

/// The largest counts, largest first.
fn top<N: AsRef<str>>(counts: &HashMap<N, usize>, entries: usize) -> Vec<Value> {
    let mut counts: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
    counts.sort_by_key(|(name, count)| (Reverse(*count), *name));
    counts.truncate(entries);
    counts.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}
