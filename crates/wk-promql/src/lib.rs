//! Pure: PromQL evaluation over a source of series.
//!
//! Semantics are those of Prometheus 3: an instant selector looks back five minutes, and both it and a range selector
//! leave their left border out (`(t - range, t]`). All of its functions and grammar are there, also those it keeps
//! behind feature flags, except native histograms: `histogram_avg`, `histogram_count`, `histogram_sum`,
//! `histogram_stddev` and `histogram_stdvar` are refused by name. An expression is evaluated node by node over all
//! steps at once, so that labels are worked on once per series and every series is read once per selector; windows
//! that overlap carry what they can from step to step.

mod aggregate;
mod binary;
mod error;
mod eval;
mod histogram;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod info;
mod json;
mod label;
mod matcher;
mod notes;
mod numeric;
mod parallel;
mod plan;
mod query;
mod range;
mod row;
mod scalar;
mod syntax;

pub use error::QueryError;
pub use json::PrometheusJson;
pub use notes::Notes;
pub use query::{Answer, Limits, Query, Selector, Value, format, parse_duration, parse_selector};
