//! Classic histograms: quantiles of, and shares of observations in, buckets that are series.

use std::collections::HashMap;

use wk_types::Labels;

use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::notes::Notes;
use crate::numeric::open_metrics_text;
use crate::parallel;
use crate::plan::Place;
use crate::row::{ABSENT, Row, is_present};

/// The label that holds a bucket's upper bound.
const BUCKET_LABEL: &str = "le";
/// Relative differences below this between neighbouring buckets are rounding, not counts.
const SMALL_DELTA: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// One histogram: its buckets' bounds, ascending, and the rows that hold their counts.
pub(crate) struct Histogram<'a> {
    /// Without the bound, the metric name among them.
    labels: Labels,
    drop_name: bool,
    buckets: Vec<(f64, &'a Row)>,
}

impl Histogram<'_> {
    fn row(&self, values: Vec<f64>) -> Row {
        Row { labels: self.labels.clone(), drop_name: self.drop_name, values }
    }

    /// Collects the buckets of a step, those of one bound added up; false where there is none.
    fn at(&self, step: usize, buckets: &mut Vec<Bucket>) -> bool {
        buckets.clear();
        for (upper, row) in self.buckets.iter().filter(|(_, row)| is_present(row.values[step])) {
            let count = row.values[step];
            match buckets.last_mut() {
                Some(last) if last.upper == *upper => last.count += count,
                _ => buckets.push(Bucket { upper: *upper, count }),
            }
        }
        !buckets.is_empty()
    }
}

/// The two bounds of a share, one value per step.
pub(crate) struct Fraction<'a> {
    pub(crate) lower: &'a [f64],
    pub(crate) upper: &'a [f64],
}

/// Sorts rows into histograms; rows without a bound that reads as a number are left out and noted.
pub(crate) fn gather<'a>(rows: &'a [Row], notes: &mut Notes, place: Place) -> Vec<Histogram<'a>> {
    let mut positions: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram<'_>> = Vec::new();
    for row in rows {
        let written = row.labels.get(BUCKET_LABEL).unwrap_or("");
        let Ok(upper) = written.parse::<f64>() else {
            notes.bad_bucket(&row.labels, written, place);
            continue;
        };
        let labels = row.labels.filtered(|name| name != BUCKET_LABEL);
        let position = *positions.entry(labels.clone()).or_insert_with(|| {
            histograms.push(Histogram { labels, drop_name: row.drop_name, buckets: Vec::new() });
            histograms.len() - 1
        });
        histograms[position].buckets.push((upper, row));
    }
    for histogram in &mut histograms {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    histograms
}

/// The quantile of each histogram at each step.
///
/// # Errors
/// The caller's hook says stop.
pub(crate) fn quantiles(
    evaluator: &mut Evaluator<'_>,
    histograms: &[Histogram<'_>],
    quantile: &[f64],
    place: Place,
) -> Result<Vec<Row>, QueryError> {
    let work = histograms.iter().map(|histogram| histogram.buckets.len() * quantile.len()).sum();
    let found = parallel::map(histograms, work, evaluator.cancelled(), |histogram, _| {
        let (mut buckets, mut forced) = (Vec::with_capacity(histogram.buckets.len()), false);
        let at_step = |(step, q): (usize, &f64)| {
            if !histogram.at(step, &mut buckets) {
                return ABSENT;
            }
            let (value, levelled) = bucket_quantile(*q, &mut buckets);
            forced |= levelled;
            value
        };
        let values = quantile.iter().enumerate().map(at_step).collect();
        Ok((histogram.row(values), forced))
    })?;
    for (row, _) in found.iter().filter(|(_, forced)| *forced) {
        evaluator.notes.forced_monotonicity(&row.labels, place);
    }
    Ok(found.into_iter().map(|(row, _)| row).collect())
}

/// Rows with the quantile they hold as a label; a quantile that changes from step to step makes rows of its own.
pub(crate) fn labelled(rows: Vec<Row>, label: &str, quantile: &[f64]) -> Vec<Row> {
    let mut shown: Vec<u64> = Vec::new();
    for q in quantile.iter().map(|q| q.to_bits()) {
        if !shown.contains(&q) {
            shown.push(q);
        }
    }
    let mut found = Vec::with_capacity(rows.len() * shown.len());
    for row in &rows {
        for q in &shown {
            let pairs = row.values.iter().zip(quantile);
            let values = pairs.map(|(value, other)| if other.to_bits() == *q { *value } else { ABSENT }).collect();
            let labels = row.labels.with(label, &open_metrics_text(f64::from_bits(*q)));
            found.push(Row { labels, drop_name: row.drop_name, values });
        }
    }
    found
}

/// The share of observations between two bounds, of each histogram at each step.
pub(crate) fn fractions(histograms: &[Histogram<'_>], bounds: &Fraction<'_>) -> Vec<Row> {
    let mut buckets = Vec::new();
    let of_histogram = |histogram: &Histogram<'_>| {
        let at_step = |(step, (lower, upper)): (usize, (&f64, &f64))| {
            if histogram.at(step, &mut buckets) { bucket_fraction(*lower, *upper, &mut buckets) } else { ABSENT }
        };
        let values = bounds.lower.iter().zip(bounds.upper).enumerate().map(at_step).collect();
        histogram.row(values)
    };
    histograms.iter().map(of_histogram).collect()
}

/// The quantile, and whether decreasing counts had to be levelled (Source: `BucketQuantile` of Prometheus 3).
fn bucket_quantile(q: f64, buckets: &mut [Bucket]) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (f64::NAN, false);
    }
    let levelled = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, false);
    }
    let rank = q * observations;
    let found = buckets[..last].partition_point(|bucket| bucket.count < rank);
    if found == last {
        return (buckets[last - 1].upper, levelled);
    }
    let Bucket { upper, count } = buckets[found];
    let value = match found.checked_sub(1).map(|below| buckets[below]) {
        None if upper <= 0.0 => upper,
        None => upper * (rank / count),
        Some(below) => below.upper + (upper - below.upper) * ((rank - below.count) / (count - below.count)),
    };
    (value, levelled)
}

/// Source: `BucketFraction` of Prometheus 3.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut [Bucket]) -> f64 {
    let Some(last) = buckets.last().filter(|last| last.upper == f64::INFINITY) else { return f64::NAN };
    let count = last.count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / count
}

/// How many observations lie at or below a value.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let found = buckets.partition_point(|bucket| bucket.upper < value);
    let Some(bucket) = buckets.get(found) else { return buckets[buckets.len() - 1].count };
    if bucket.upper == value {
        return bucket.count;
    }
    let below = found.checked_sub(1).map(|below| buckets[below]);
    let count_below = below.map_or(0.0, |below| below.count);
    let lower = match below {
        Some(below) => below.upper,
        // The lowest bucket begins at zero where its bound is above, and has no beginning otherwise.
        None if bucket.upper > 0.0 => 0.0,
        None => f64::NEG_INFINITY,
    };
    if value <= lower || bucket.upper == f64::INFINITY {
        return count_below;
    }
    if lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    count_below + (bucket.count - count_below) * ((value - lower) / (bucket.upper - lower))
}

/// Takes away decreases, which scrapes that are not atomic leave behind, and differences that are rounding; true where
/// there were decreases.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut highest = buckets[0].count;
    let mut levelled = false;
    for bucket in &mut buckets[1..] {
        if bucket.count == highest {
            continue;
        }
        if almost_equal(highest, bucket.count) {
            bucket.count = highest;
        } else if bucket.count < highest {
            bucket.count = highest;
            levelled = true;
        } else {
            highest = bucket.count;
        }
    }
    levelled
}

fn almost_equal(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

#[cfg(test)]
mod tests;
