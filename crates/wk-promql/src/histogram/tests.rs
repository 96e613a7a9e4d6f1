use wk_types::UtcMs;

use super::*;
use crate::plan::Place;
use crate::query::Limits;

const PLACE: Place = Place { line: 1, column: 1 };

/// Reads nothing.
struct Nothing;

impl wk_types::SeriesSource for Nothing {
    fn select(
        &self,
        _: &[wk_types::Matcher],
        _: UtcMs,
        _: UtcMs,
        _: usize,
    ) -> Result<Vec<wk_types::SeriesData>, wk_types::series::SourceError> {
        Ok(Vec::new())
    }
}

fn quantiles_of(q: f64, rows: &[Row]) -> (Vec<Row>, Notes) {
    let limits = Limits::default();
    let mut evaluator = Evaluator::new(&Nothing, &limits, (UtcMs(0), UtcMs(0)), false);
    let histograms = gather(rows, &mut evaluator.notes, PLACE);
    let found = quantiles(&mut evaluator, &histograms, &[q], PLACE).unwrap();
    (found, evaluator.notes)
}

fn fraction(lower: f64, upper: f64, buckets: &[(&str, f64)]) -> f64 {
    let rows: Vec<Row> = buckets.iter().map(|(le, count)| row(le, *count)).collect();
    let histograms = gather(&rows, &mut Notes::default(), PLACE);
    fractions(&histograms, &Fraction { lower: &[lower], upper: &[upper] })[0].values[0]
}

fn row(le: &str, count: f64) -> Row {
    Row {
        labels: Labels::metric("latency_bucket", &[("job", "api"), ("le", le)]),
        drop_name: false,
        values: vec![count],
    }
}

fn check(q: f64, buckets: &[(&str, f64)], expected: f64) {
    let rows: Vec<Row> = buckets.iter().map(|(le, count)| row(le, *count)).collect();
    let (found, _) = quantiles_of(q, &rows);
    assert_eq!(found[0].labels, Labels::metric("latency_bucket", &[("job", "api")]));
    let value = found[0].values[0];
    assert!(value == expected || (value.is_nan() && expected.is_nan()), "{value} instead of {expected}");
}

#[test]
fn quantiles_interpolate_within_their_bucket() {
    let buckets = [("0.1", 2.0), ("0.2", 8.0), ("+Inf", 10.0)];
    check(0.5, &buckets, 0.1 + 0.1 * (3.0 / 6.0));
    check(0.1, &buckets, 0.05);
    check(0.99, &buckets, 0.2);
}

#[test]
fn quantiles_need_an_infinite_bucket_and_observations() {
    check(0.5, &[("0.1", 2.0), ("0.2", 8.0)], f64::NAN);
    check(0.5, &[("0.1", 0.0), ("+Inf", 0.0)], f64::NAN);
    check(0.5, &[("+Inf", 5.0)], f64::NAN);
}

#[test]
fn quantiles_outside_the_unit_interval_are_infinite() {
    check(-1.0, &[("1", 1.0), ("+Inf", 2.0)], f64::NEG_INFINITY);
    check(2.0, &[("1", 1.0), ("+Inf", 2.0)], f64::INFINITY);
}

#[test]
fn decreasing_buckets_are_levelled() {
    check(1.0, &[("1", 5.0), ("2", 4.0), ("+Inf", 5.0)], 1.0);
}

#[test]
fn a_lowest_bucket_below_zero_answers_its_bound() {
    check(0.1, &[("-1", 5.0), ("1", 9.0), ("+Inf", 10.0)], -1.0);
}

#[test]
fn rows_without_a_readable_bound_are_left_out() {
    let (found, notes) = quantiles_of(0.5, &[row("fast", 1.0)]);
    assert!(found.is_empty());
    assert_eq!(
        notes.warnings(),
        ["PromQL warning: bucket label \"le\" is missing or has a malformed value of \"fast\" for metric name \
          \"latency_bucket\" (1:1)"]
    );
}

#[test]
fn a_share_counts_what_lies_between_its_bounds() {
    let buckets = [("1", 2.0), ("2", 8.0), ("+Inf", 10.0)];
    assert_eq!(fraction(1.0, 2.0, &buckets), 0.6);
    assert_eq!(fraction(0.0, 0.5, &buckets), 0.1);
    assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &buckets), 1.0);
    assert_eq!(fraction(2.0, 1.0, &buckets), 0.0);
    assert!(fraction(f64::NAN, 1.0, &buckets).is_nan());
}
