//! Functions of labels.

use std::cmp::Ordering;
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

/// Rows by the values of `labels`, numbers within them by size, then by all labels.
pub(crate) fn sorted(mut rows: Vec<Row>, labels: &[Arc<str>], descending: bool) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let value = |row: &'_ Row, name: &str| row.labels.get(name).unwrap_or("").to_owned();
        let order = labels
            .iter()
            .map(|name| natural(&value(a, name), &value(b, name)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.labels.cmp(&b.labels));
        if descending { order.reverse() } else { order }
    });
    rows
}

/// Orders texts as people do: digits in a row are one number.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_parts, mut b_parts) = (parts(a), parts(b));
    loop {
        let order = match (a_parts.next(), b_parts.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Splits a text where digits begin or end.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_digit = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|char: char| char.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part)
    })
}

#[cfg(test)]
mod tests;
