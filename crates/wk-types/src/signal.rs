//! Signals: one thing out of the ordinary about one asset.

use serde::{Deserialize, Serialize};

use crate::id::{AssetId, Seq, SignalId};
use crate::labels::Labels;
use crate::series::Sample;
use crate::severity::Severity;
use crate::time::UtcMs;

/// What kind of rule spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// A detector found the value unlike the series' own past.
    Anomaly,
    /// An alerting rule held for long enough.
    Rule,
    /// A source that used to speak has fallen silent.
    Silence,
}

/// Which rule or detector spoke.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuleRef {
    /// What kind it is.
    pub kind: RuleKind,
    /// Its name, such as `DiskFilling` or `robust-deviation`.
    pub name: String,
}

/// Which way the value went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Above what was expected.
    Up,
    /// Below what was expected.
    Down,
    /// Neither, as with silence.
    None,
}

/// The range a value was expected in, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Band {
    /// Lower end.
    #[serde(with = "crate::number")]
    pub low: f64,
    /// Upper end.
    #[serde(with = "crate::number")]
    pub high: f64,
}

/// What a signal rests on; enough to recompute it from the stored series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Evidence {
    /// The value that raised the signal, in `unit`.
    #[serde(with = "crate::number")]
    pub observed: f64,
    /// The value's unit, such as `ratio`, `bytes` or `seconds`; empty where unknown.
    pub unit: String,
    /// What was expected; `None` for rules, whose condition stands in `query`.
    pub expected: Option<Band>,
    /// One sentence for a person: what was seen, what was expected, for how long.
    pub detail: String,
    /// The PromQL that shows the same values.
    pub query: String,
    /// The last values before the signal, oldest first; at most 60.
    #[schema(value_type = Vec<Object>)]
    pub recent: Vec<Sample>,
}

/// One thing out of the ordinary about one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Signal {
    /// Derived from rule, series, asset and start.
    pub id: SignalId,
    /// Whose it is.
    pub asset: AssetId,
    /// Which rule or detector spoke.
    pub rule: RuleRef,
    /// The metric (or source) it is about.
    pub metric: String,
    /// The labels of the series, or of the alert.
    #[schema(value_type = Object)]
    pub labels: Labels,
    /// One line in plain words, naming asset and metric.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure, 0..=1.
    #[serde(with = "crate::number")]
    pub score: f64,
    /// Which way the value went.
    pub direction: Direction,
    /// When the condition began to hold.
    pub started: UtcMs,
    /// When it was raised.
    pub raised: UtcMs,
    /// When it ended; `None` while it holds.
    pub ended: Option<UtcMs>,
    /// The intake record that completed it.
    pub input: Seq,
    /// What it rests on.
    pub evidence: Evidence,
}
