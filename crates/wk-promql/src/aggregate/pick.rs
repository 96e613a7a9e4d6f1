//! Aggregations that pick elements of each group instead of making one of them.

use xxhash_rust::xxh64::xxh64;

use super::{Group, columns};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::numeric::{nan_last, plain_text};
use crate::row::{ABSENT, Row, is_present};

/// How many elements to take at each step.
pub(super) fn sizes(parameter: &[f64], rows: usize) -> Result<Vec<usize>, QueryError> {
    let size = |value: f64| {
        if value.is_nan() {
            return Err(QueryError::Parameter { reason: "Parameter value is NaN".to_owned() });
        }
        if value.abs() >= i64::MAX as f64 {
            let reason = format!("Scalar value {} overflows int64", plain_text(value));
            return Err(QueryError::Parameter { reason });
        }
        Ok(if value < 1.0 { 0 } else { (value as usize).min(rows) })
    };
    parameter.iter().map(|value| size(*value)).collect()
}

/// The largest or smallest elements of each group; at a single step they come in the order of their values.
///
/// # Errors
/// The caller's hook says stop.
pub(super) fn extremes(
    evaluator: &Evaluator<'_>,
    groups: &[Group<'_>],
    largest: bool,
    sizes: &[usize],
) -> Result<Vec<Row>, QueryError> {
    let mut chosen = Vec::new();
    for group in groups {
        let mut rows: Vec<Vec<f64>> = vec![vec![ABSENT; sizes.len()]; group.rows.len()];
        let mut order: Vec<usize> = (0..group.rows.len()).collect();
        for (step, mut column) in columns(group, sizes.len()).into_iter().enumerate() {
            let by_value = |(a, _): &(f64, usize), (b, _): &(f64, usize)| match largest && !a.is_nan() && !b.is_nan() {
                true => nan_last(b, a),
                false => nan_last(a, b),
            };
            evaluator.check_cancelled()?;
            column.sort_by(by_value);
            column.truncate(sizes[step]);
            for (value, position) in &column {
                rows[*position][step] = *value;
            }
            if sizes.len() == 1 {
                order = column.iter().map(|(_, position)| *position).collect();
            }
        }
        let picked = order.into_iter().map(|at| group.rows[at].with_values(std::mem::take(&mut rows[at])));
        chosen.extend(picked.filter(Row::is_some));
    }
    Ok(chosen)
}

/// The first elements of each group that there are at each step.
pub(super) fn first(groups: &[Group<'_>], sizes: &[usize]) -> Vec<Row> {
    let mut chosen = Vec::new();
    for group in groups {
        let mut left = sizes.to_vec();
        for row in &group.rows {
            let mut take = |(value, left): (&f64, &mut usize)| {
                if !is_present(*value) || *left == 0 {
                    return ABSENT;
                }
                *left -= 1;
                *value
            };
            let picked = row.with_values(row.values.iter().zip(&mut left).map(&mut take).collect());
            if picked.is_some() {
                chosen.push(picked);
            }
        }
    }
    chosen
}

/// The elements whose labels' hash lies in the share asked for; a negative ratio takes what its complement leaves.
pub(super) fn share(groups: &[Group<'_>], ratios: &[f64]) -> Vec<Row> {
    let mut chosen = Vec::new();
    for row in groups.iter().flat_map(|group| &group.rows) {
        let place = hash(row) as f64 / u64::MAX as f64;
        let takes = |ratio: f64| (ratio >= 0.0 && place < ratio) || (ratio < 0.0 && place >= 1.0 + ratio);
        let pairs = row.values.iter().zip(ratios);
        let picked = row.with_values(pairs.map(|(value, ratio)| if takes(*ratio) { *value } else { ABSENT }).collect());
        if picked.is_some() {
            chosen.push(picked);
        }
    }
    chosen
}

/// The hash that Prometheus has of a series' labels, so that both pick the same series (Source: `labels.Labels.Hash`
/// over `stringlabels`: XXH64 of names and values, each behind its length).
fn hash(row: &Row) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in row.labels.iter() {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < 255 => bytes.push(length),
                _ => {
                    bytes.push(255);
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
                }
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh64(&bytes, 0)
}
