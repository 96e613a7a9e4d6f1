//! Pure: PromQL evaluation over a source of series.
//!
//! Semantics are those of Prometheus 3: an instant selector looks back five minutes, and both it and a range selector
//! leave their left border out (`(t - range, t]`). Native histograms, info metrics and the experimental functions are
//! refused by name. An expression is evaluated node by node over all steps at once, so that labels are worked on once
//! per series and every series is read once per selector.

mod aggregate;
mod binary;
mod error;
mod eval;
mod histogram;
mod json;
mod label;
mod numeric;
mod plan;
mod query;
mod range;
mod row;
mod scalar;
mod syntax;

pub use error::QueryError;
pub use json::PrometheusJson;
pub use query::{Limits, Query, Selector, Value, parse_duration};
pub use syntax::{format, parse_selector, syntax_tree};
