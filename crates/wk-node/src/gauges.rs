//! This machine at a glance, read from the stored series like any other question.

use serde_json::{Value, json};
use wk_promql::{Limits, Query, Value as Answer};
use wk_types::Labels;

use crate::clock::now;
use crate::node::{MetricsPlace, Node};

/// Share of the processors that is busy.
pub const CPU_RATIO: &str = r#"1 - avg(rate(node_cpu_seconds_total{job="host",mode="idle"}[1m]))"#;
const MEMORY_RATIO: &str = r#"1 - node_memory_MemAvailable_bytes{job="host"} / node_memory_MemTotal_bytes{job="host"}"#;
const LOAD: &str = r#"node_load1{job="host"}"#;
/// File systems of less than 16 MiB are the system's own, and nobody's disk.
const DISK_RATIO: &str =
    r#"1 - node_filesystem_avail_bytes{job="host"} / (node_filesystem_size_bytes{job="host"} > 16777216)"#;
const DISK_SIZE: &str = r#"node_filesystem_size_bytes{job="host"}"#;

/// Evaluates PromQL now, wherever the metrics are; labels and values of the vector.
///
/// # Errors
/// What is wrong with the query, in words.
pub fn vector(node: &Node, query: &str) -> Result<Vec<(Labels, f64)>, String> {
    match node.metrics_place() {
        MetricsPlace::Here => {}
        MetricsPlace::Outside(outside) => return outside.vector(query),
        MetricsPlace::Elsewhere(url) => {
            return Err(format!("metrics are kept outside, at {url}; start the node, or ask there"));
        }
    }
    let parsed = Query::parse(query).map_err(|error| error.to_string())?;
    match parsed.instant(&node.metrics, now(), &Limits::default()).map_err(|error| error.to_string())? {
        Answer::Vector(rows) => Ok(rows.into_iter().map(|(labels, sample)| (labels, sample.value)).collect()),
        Answer::Scalar(_, value) => Ok(vec![(Labels::default(), value)]),
        _ => Err(format!("{query} answers no numbers")),
    }
}

fn single(node: &Node, query: &str) -> Option<f64> {
    vector(node, query).ok()?.first().map(|(_, value)| *value).filter(|value| value.is_finite())
}

/// Processors, memory, load and disks of this machine; `null` where nothing is known yet.
#[must_use]
pub fn host(node: &Node) -> Value {
    let sizes = vector(node, DISK_SIZE).unwrap_or_default();
    let disks: Vec<Value> = vector(node, DISK_RATIO)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(labels, used)| {
            let mountpoint = labels.get("mountpoint")?;
            let size = sizes.iter().find(|(other, _)| other.get("mountpoint") == Some(mountpoint))?.1;
            Some(json!({"mountpoint": mountpoint, "used_ratio": used, "size_bytes": size}))
        })
        .collect();
    json!({
        "cpu_ratio": single(node, CPU_RATIO),
        "memory_ratio": single(node, MEMORY_RATIO),
        "load1": single(node, LOAD),
        "disks": disks,
    })
}

/// The file system that holds the data folder.
#[must_use]
pub fn data_disk(node: &Node) -> Value {
    let free = free_bytes(node.folder.root());
    let stores = node.intake.stats().bytes + node.metrics.stats().bytes + node.lake.stats().bytes;
    json!({"data_bytes": stores, "free_bytes": free.map(|(free, _)| free)})
}

/// Free and total bytes of the file system that holds `path`, as an ordinary user has them.
#[must_use]
pub fn free_bytes(path: &std::path::Path) -> Option<(u64, u64)> {
    let answer = rustix::fs::statvfs(path).ok()?;
    Some((answer.f_bavail * answer.f_frsize, answer.f_blocks * answer.f_frsize))
}
