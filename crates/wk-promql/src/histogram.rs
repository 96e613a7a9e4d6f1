//! `histogram_quantile` over classic buckets.

use std::collections::HashMap;

use wk_types::Labels;

use crate::error::QueryError;
use crate::row::{ABSENT, Row, is_present, strip_names};

/// The label that holds a bucket's upper bound.
const BUCKET_LABEL: &str = "le";
/// Relative differences below this between neighbouring buckets are rounding, not counts.
const SMALL_DELTA: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// One histogram: its buckets' bounds and the rows that hold their counts.
struct Histogram<'a> {
    labels: Labels,
    drop_name: bool,
    buckets: Vec<(f64, &'a Row)>,
}

/// The quantile of each histogram at each step; rows without a bound that reads as a number are left out.
///
/// # Errors
/// Two histograms become the same series once their name is gone.
pub(crate) fn quantiles(quantile: &[f64], rows: &[Row]) -> Result<Vec<Row>, QueryError> {
    let mut positions: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram<'_>> = Vec::new();
    for row in rows {
        let Some(upper) = row.labels.get(BUCKET_LABEL).and_then(bound) else { continue };
        let labels = row.labels.filtered(|name| name != BUCKET_LABEL);
        let position = *positions.entry(labels.clone()).or_insert_with(|| {
            histograms.push(Histogram { labels, drop_name: row.drop_name, buckets: Vec::new() });
            histograms.len() - 1
        });
        histograms[position].buckets.push((upper, row));
    }
    let answers = histograms.into_iter().map(|histogram| {
        let at_step = |(step, q): (usize, &f64)| {
            let counted = histogram.buckets.iter().filter(|(_, row)| is_present(row.values[step]));
            let buckets: Vec<Bucket> =
                counted.map(|(upper, row)| Bucket { upper: *upper, count: row.values[step] }).collect();
            if buckets.is_empty() { ABSENT } else { bucket_quantile(*q, buckets) }
        };
        let values = quantile.iter().enumerate().map(at_step).collect();
        Row { labels: histogram.labels, drop_name: histogram.drop_name, values }
    });
    strip_names(answers.collect())
}

fn bound(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Source: `BucketQuantile` of Prometheus 3.
fn bucket_quantile(q: f64, mut buckets: Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    buckets = coalesced(&buckets);
    make_monotonic(&mut buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return f64::NAN;
    }
    let rank = q * observations;
    let found = buckets[..last].iter().position(|bucket| bucket.count >= rank).unwrap_or(last);
    if found == last {
        return buckets[last - 1].upper;
    }
    let Bucket { upper, count } = buckets[found];
    match found.checked_sub(1).map(|below| buckets[below]) {
        None if upper <= 0.0 => upper,
        None => upper * (rank / count),
        Some(below) => below.upper + (upper - below.upper) * ((rank - below.count) / (count - below.count)),
    }
}

/// Adds up buckets of the same bound.
fn coalesced(buckets: &[Bucket]) -> Vec<Bucket> {
    let mut kept: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match kept.last_mut() {
            Some(last) if last.upper == bucket.upper => last.count += bucket.count,
            _ => kept.push(*bucket),
        }
    }
    kept
}

/// Takes away decreases, which scrapes that are not atomic leave behind, and differences that are rounding.
fn make_monotonic(buckets: &mut [Bucket]) {
    let mut highest = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count < highest || almost_equal(highest, bucket.count) {
            bucket.count = highest;
        } else {
            highest = bucket.count;
        }
    }
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

#[cfg(test)]
mod tests;
