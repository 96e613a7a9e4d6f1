//! The sources of a node: their registry, and starting them as the configuration says.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use wk_assist::SilentSource;
use wk_ingest::{SourceContext, SourceSnapshot, SourceStats};
use wk_types::{SourceName, UtcMs};

use crate::clock::wall;
use crate::node::Node;
use crate::own_metrics::SILENT_AFTER;
use crate::pipeline::bridge::IntakeBridge;

mod sockets;
mod start;

pub use sockets::Sockets;
pub use start::{Prepared, scraper, start};

/// The source of Prometheus remote write over HTTP.
pub const REMOTE_WRITE: &str = "remote-write";
/// The source of JSON logs over HTTP.
pub const JSON_LOGS: &str = "json-logs";

/// The source of OpenTelemetry over HTTP and gRPC.
pub const OTLP: &str = "otlp";
/// The source of lines as they are sent to Loki.
pub const LOKI: &str = "loki";
/// The source of documents as they are sent to Elasticsearch.
pub const ELASTICSEARCH: &str = "elasticsearch";

/// The sources and their counters, in the order they were started.
#[derive(Debug, Default)]
pub struct SourceRegistry(Mutex<Vec<Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    name: SourceName,
    /// Whether it speaks at fixed times, so that silence means something.
    periodic: bool,
    stats: Arc<SourceStats>,
}

impl SourceRegistry {
    /// Adds a source, or finds it again by its name.
    pub fn add(&self, name: &str, periodic: bool) -> Arc<SourceStats> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries.iter().find(|entry| entry.name.as_str() == name) {
            return Arc::clone(&known.stats);
        }
        let stats = Arc::new(SourceStats::default());
        entries.push(Entry { name: name.into(), periodic, stats: Arc::clone(&stats) });
        stats
    }

    /// How many sources have spoken since the start.
    pub fn heard(&self) -> usize {
        self.snapshots().iter().filter(|(_, counts)| counts.last_received.is_some()).count()
    }

    /// Tells whether any source but the node itself has brought anything since the start.
    pub fn have_spoken(&self) -> bool {
        let others = |entry: &Entry| entry.name.as_str() != crate::own_metrics::SOURCE;
        self.entries().iter().filter(|entry| others(entry)).any(|entry| entry.stats.snapshot().accepted > 0)
    }

    fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every source's counters.
    pub fn snapshots(&self) -> Vec<(SourceName, SourceSnapshot)> {
        self.entries().into_iter().map(|entry| (entry.name, entry.stats.snapshot())).collect()
    }

    /// Periodic sources that spoke once and have been silent for too long.
    pub fn silent(&self, now: UtcMs) -> Vec<SourceName> {
        let is_silent = |entry: &Entry| {
            let last = entry.stats.snapshot().last_received;
            entry.periodic && last.is_some_and(|last| now.since(last) > SILENT_AFTER)
        };
        self.entries().into_iter().filter(is_silent).map(|entry| entry.name).collect()
    }

    /// The silent ones with when they were last heard, for questions.
    pub fn silent_sources(&self, now: UtcMs) -> Vec<SilentSource> {
        let silent = self.silent(now);
        self.snapshots()
            .into_iter()
            .filter(|(name, _)| silent.contains(name))
            .map(|(name, counts)| SilentSource {
                name: name.to_string(),
                asset: None,
                last_heard: counts.last_received,
            })
            .collect()
    }

    /// What sources lost: name, reason, count.
    pub fn losses(&self) -> Vec<(SourceName, String, u64)> {
        self.snapshots()
            .into_iter()
            .flat_map(|(name, snapshot)| {
                snapshot.lost.into_iter().map(move |(reason, count)| (name.clone(), reason, count.count))
            })
            .collect()
    }

    /// Every source's counters as the pipeline page shows them.
    pub fn describe(&self, now: UtcMs) -> Vec<Value> {
        self.snapshots()
            .into_iter()
            .map(|(name, snapshot)| {
                let reasons = |counts: &std::collections::BTreeMap<String, wk_ingest::ReasonCount>| -> Vec<Value> {
                    let each = |(reason, count): (&String, &wk_ingest::ReasonCount)| {
                        json!({"reason": reason, "count": count.count, "example": count.example})
                    };
                    counts.iter().map(each).collect()
                };
                json!({
                    "name": name, "received": snapshot.received, "accepted": snapshot.accepted,
                    "bytes": snapshot.bytes, "late": snapshot.late, "last_received": snapshot.last_received,
                    "lag_ms": snapshot.last_received.map(|last| now.since(last).0),
                    "rejected": reasons(&snapshot.rejected), "lost": reasons(&snapshot.lost),
                    "flagged": reasons(&snapshot.flagged),
                })
            })
            .collect()
    }
}

/// What a source of this name is given.
pub fn context(node: &Node, name: &str, periodic: bool) -> SourceContext {
    SourceContext {
        name: name.into(),
        intake: Arc::new(IntakeBridge(node.intake.clone())),
        identity: Arc::clone(&node.identity) as Arc<dyn wk_ingest::Identity>,
        stats: node.sources.add(name, periodic),
        clock: wall(),
    }
}
