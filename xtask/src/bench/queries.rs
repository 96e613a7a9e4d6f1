//! The eight queries, checked against the peers before they are timed.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use wk_types::UtcMs;

use super::answers::{Answer, Nearness, compare, read};
use super::store::{Kind, Store};

/// The step of the ranges.
const STEP: &str = "60";
/// How long they reach back, in seconds.
const RANGE_SECONDS: f64 = 3.0 * 3_600.0;

/// One query.
pub struct Query {
    /// What it is called in the table.
    pub name: &'static str,
    expression: &'static str,
    range: bool,
    /// How near VictoriaMetrics' answer is.
    nearness: Nearness,
}

/// The queries of the research table.
pub const QUERIES: [Query; 8] = [
    Query {
        name: "instant: sum by (instance) of rates, 2,800 buckets",
        expression: "sum by (instance) (rate(http_request_duration_seconds_bucket[5m]))",
        range: false,
        nearness: Nearness::Within(0.1),
    },
    // Counters of one family each, so that no label sets are twice once names are dropped: over all 10,000, as the
    // research has it, only VictoriaMetrics answers.
    Query {
        name: "instant: sum by (instance) of rates, 6,300 counters of 7 names",
        expression: r#"sum by (instance) (rate({__name__=~"node_cpu_seconds_total|http_request_duration_seconds_(bucket|count)|ifHCInOctets|node_network_receive_bytes_total|node_disk_written_bytes_total|node_forks_total"}[5m]))"#,
        range: false,
        nearness: Nearness::Within(0.15),
    },
    Query {
        name: "3 h: avg by, 40 series",
        expression: "avg by (instance) (node_load1)",
        range: true,
        nearness: Nearness::Exact,
    },
    Query {
        name: "3 h: sum by (mode) of rates, 2,560 series",
        expression: "sum by (mode) (rate(node_cpu_seconds_total[5m]))",
        range: true,
        nearness: Nearness::Within(0.1),
    },
    Query {
        name: "3 h: quantile by, 3,000 series",
        expression: "quantile by (unit) (0.9, sensor_value)",
        range: true,
        nearness: Nearness::Exact,
    },
    Query {
        name: "3 h: histogram_quantile, 2,800 series",
        expression: "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        range: true,
        nearness: Nearness::Within(0.05),
    },
    Query {
        name: "instant: topk(10) of rates, 160 series",
        expression: "topk(10, rate(node_network_receive_bytes_total[5m]))",
        range: false,
        nearness: Nearness::ValuesWithin(0.1),
    },
    Query {
        name: "3 h: a single series",
        expression: r#"node_load1{instance="node-07:9100"}"#,
        range: true,
        nearness: Nearness::Exact,
    },
];

/// What one store did.
#[derive(Debug, Clone, Default)]
pub struct Timed {
    /// Wall times in milliseconds, rising.
    walls: Vec<f64>,
    /// CPU time of one run in milliseconds, on average.
    pub cpu_ms: f64,
}

impl Timed {
    /// A quantile of the wall times; NaN where there are none.
    pub fn wall_ms(&self, quantile: f64) -> f64 {
        let last = self.walls.len().saturating_sub(1);
        self.walls.get((last as f64 * quantile).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// Half and nearly all runs were quicker than this; with the CPU time.
    pub fn shown(&self) -> String {
        format!("{:.1} / {:.1} ({:.1})", self.wall_ms(0.5), self.wall_ms(0.95), self.cpu_ms)
    }

    /// Takes a run.
    pub fn push(&mut self, wall_ms: f64, cpu_ms: f64) {
        self.cpu_ms = (self.cpu_ms * self.walls.len() as f64 + cpu_ms) / (self.walls.len() + 1) as f64;
        self.walls.insert(self.walls.partition_point(|known| *known < wall_ms), wall_ms);
    }
}

/// Asks a store once, without its answer caches; answers the whole body.
fn ask(store: &Store, query: &Query, at: UtcMs) -> Result<String> {
    let end = at.as_secs_f64();
    let (start, now) = ((end - RANGE_SECONDS).to_string(), end.to_string());
    let mut form = vec![("query", query.expression), ("nocache", "1")];
    let path = if query.range {
        form.extend([("start", &*start), ("end", &*now), ("step", STEP)]);
        "/api/v1/query_range"
    } else {
        form.push(("time", &now));
        "/api/v1/query"
    };
    let answer = store.query(path, &form).send()?;
    let status = answer.status();
    let text = answer.text()?;
    ensure!(status.is_success(), "{status}: {}", text.chars().take(300).collect::<String>());
    Ok(text)
}

fn answer(store: &Store, query: &Query, at: UtcMs) -> Result<Answer> {
    read(&serde_json::from_str(&ask(store, query, at)?)?)
}

/// Compares our answer to each query with the peers'; answers what is said about it, or fails on a wrong one.
pub fn verify(stores: &[Store], at: UtcMs) -> Result<Vec<String>> {
    let (ours, peers) = split(stores)?;
    let mut said = Vec::new();
    for query in &QUERIES {
        let own = answer(ours, query, at).with_context(|| query.name)?;
        let mut line = format!("{} series", own.len());
        for peer in peers.clone() {
            let theirs = answer(peer, query, at).with_context(|| peer.kind.name())?;
            let nearness = if peer.kind == Kind::Prometheus { Nearness::Exact } else { query.nearness };
            let difference = compare(&own, &theirs, nearness)
                .with_context(|| format!("{}: another answer than {}'s", query.name, peer.kind.name()))?;
            line += &format!("; {} differs by at most {difference:.1e}", peer.kind.name());
        }
        said.push(line);
    }
    Ok(said)
}

fn split(stores: &[Store]) -> Result<(&Store, impl Iterator<Item = &Store> + Clone)> {
    let ours = stores.iter().find(|store| store.kind == Kind::Watchkeeper).context("ours does not run")?;
    Ok((ours, stores.iter().filter(|store| store.kind != Kind::Watchkeeper)))
}

/// Times each query on each store, in turn, beginning with another store each time; by query, then by store.
pub fn time(stores: &[Store], at: UtcMs, runs: usize) -> Result<Vec<Vec<Timed>>> {
    QUERIES.iter().map(|query| time_one(stores, query, at, runs)).collect()
}

fn time_one(stores: &[Store], query: &Query, at: UtcMs, runs: usize) -> Result<Vec<Timed>> {
    let mut timed = vec![Timed::default(); stores.len()];
    // Once without a clock, so that none is timed while it reads its files for the first time.
    for store in stores {
        ask(store, query, at)?;
    }
    for run in 0..runs {
        for turn in 0..stores.len() {
            let which = (run + turn) % stores.len();
            let store = &stores[which];
            let before = store.usage()?.cpu_seconds;
            let began = Instant::now();
            ask(store, query, at)?;
            let wall = began.elapsed().as_secs_f64();
            timed[which].push(wall * 1e3, (store.usage()?.cpu_seconds - before) * 1e3);
        }
    }
    Ok(timed)
}
