//! The shape that evaluation works on: one row per series, one value per step.

use std::collections::HashMap;

use wk_types::labels::METRIC_NAME;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{Labels, UtcMs};

use crate::error::QueryError;

/// Labels that say what a series is rather than whose: what is computed from it is something else.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Marks a step at which a row has no value. Stale markers never get past the selectors and arithmetic makes quiet
/// NaNs only, so these bits cannot be a result.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Tells whether a row has a value at a step.
pub(crate) fn is_present(value: f64) -> bool {
    value.to_bits() != STALE_NAN_BITS
}

/// The instants an expression is evaluated at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// The first instant, in milliseconds.
    pub(crate) start: i64,
    /// From one instant to the next, in milliseconds; positive.
    pub(crate) step: i64,
    /// How many instants there are.
    pub(crate) count: usize,
}

impl Steps {
    /// A single instant.
    pub(crate) fn once(at: UtcMs) -> Self {
        Self { start: at.0, step: 1, count: 1 }
    }

    /// The first of these instants alone.
    pub(crate) fn first(&self) -> Self {
        Self { count: 1, ..*self }
    }

    /// The instant of one step.
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }
}

/// The windows of a range selector, one per step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) steps: Steps,
    /// The time that all windows end at, before the offset; each step's own where there is none.
    pub(crate) fixed: Option<i64>,
    /// How much earlier than that a window ends.
    pub(crate) offset: i64,
    /// How long a window is.
    pub(crate) range: i64,
}

impl Frame {
    /// The window `(start, end]` of one step.
    pub(crate) fn window(&self, step: usize) -> (i64, i64) {
        let end = self.fixed.unwrap_or_else(|| self.steps.time(step)) - self.offset;
        (end - self.range, end)
    }

    /// Windows that reach further before their start and behind their end.
    pub(crate) fn wider(&self, before: i64, after: i64) -> Self {
        Self { offset: self.offset - after, range: self.range + before + after, ..*self }
    }

    /// The span `(after, to]` that all windows lie in.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.window(0).0, self.window(self.steps.count.saturating_sub(1)).1)
    }
}

/// One series of an instant vector over all steps.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric name is to go at the end; only set where name removal is delayed.
    pub(crate) drop_name: bool,
    /// One value per step, [`ABSENT`] where there is none.
    pub(crate) values: Vec<f64>,
}

impl Row {
    /// The same series with other values.
    pub(crate) fn with_values(&self, values: Vec<f64>) -> Self {
        Self { labels: self.labels.clone(), drop_name: self.drop_name, values }
    }

    /// Tells whether the row has a value at any step.
    pub(crate) fn is_some(&self) -> bool {
        self.values.iter().any(|value| is_present(*value))
    }
}

/// The labels without the metric name, and without those that describe the metric.
pub(crate) fn nameless(labels: &Labels) -> Labels {
    labels.filtered(|name| !METADATA.contains(&name))
}

/// Joins rows that have the same labels, in the order of their first appearance.
///
/// # Errors
/// Two of them have a value at one step.
pub(crate) fn merge(rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    if rows.len() < 2 {
        return Ok(rows);
    }
    let mut positions: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(&position) = positions.get(&row.labels) else {
            positions.insert(row.labels.clone(), merged.len());
            merged.push(row);
            continue;
        };
        let kept = &mut merged[position];
        kept.drop_name |= row.drop_name;
        for (mine, theirs) in kept.values.iter_mut().zip(&row.values) {
            if !is_present(*theirs) {
                continue;
            }
            if is_present(*mine) {
                return Err(QueryError::SameLabels { labels: row.labels });
            }
            *mine = *theirs;
        }
    }
    Ok(merged)
}

/// Takes the metric names away at once, or marks them to go at the end where that is delayed.
///
/// # Errors
/// Two rows become the same series.
pub(crate) fn drop_names(mut rows: Vec<Row>, delayed: bool) -> Result<Vec<Row>, QueryError> {
    if delayed {
        rows.iter_mut().for_each(|row| row.drop_name = true);
        return Ok(rows);
    }
    strip_names(rows)
}

/// Takes the metric names of all rows away.
pub(crate) fn strip_names(mut rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let is_same = |a: &Labels, b: &Labels| METADATA.iter().all(|name| a.get(name) == b.get(name));
    let one_name = rows.windows(2).all(|pair| is_same(&pair[0].labels, &pair[1].labels));
    for row in &mut rows {
        row.labels = nameless(&row.labels);
    }
    // Rows were distinct before: under one name they still are.
    if one_name { Ok(rows) } else { merge(rows) }
}
