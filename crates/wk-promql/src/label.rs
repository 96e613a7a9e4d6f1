//! Functions of labels.

use std::sync::Arc;

use regex::Regex;
use wk_types::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::row::{Row, merge};

/// How `label_replace` makes the new value.
pub(crate) struct Replacement<'a> {
    pub(crate) replacement: &'a str,
    pub(crate) source: &'a str,
    /// Anchored at both ends.
    pub(crate) pattern: &'a Regex,
}

/// Sets `target` on each row whose source label matches.
///
/// # Errors
/// Two rows become the same series.
pub(crate) fn replace(mut rows: Vec<Row>, target: &str, how: &Replacement<'_>) -> Result<Vec<Row>, QueryError> {
    for row in &mut rows {
        let Some(captures) = how.pattern.captures(row.labels.get(how.source).unwrap_or("")) else { continue };
        let mut value = String::new();
        captures.expand(how.replacement, &mut value);
        set(row, target, &value);
    }
    merge(rows)
}

/// Sets `target` to the values of `sources`, joined by `separator`.
///
/// # Errors
/// Two rows become the same series.
pub(crate) fn join(
    mut rows: Vec<Row>,
    target: &str,
    separator: &str,
    sources: &[Arc<str>],
) -> Result<Vec<Row>, QueryError> {
    for row in &mut rows {
        let values: Vec<&str> = sources.iter().map(|name| row.labels.get(name).unwrap_or("")).collect();
        let value = values.join(separator);
        set(row, target, &value);
    }
    merge(rows)
}

fn set(row: &mut Row, target: &str, value: &str) {
    row.labels = row.labels.with(target, value);
    if target == METRIC_NAME {
        // A name that was given on purpose stays.
        row.drop_name = false;
    }
}
