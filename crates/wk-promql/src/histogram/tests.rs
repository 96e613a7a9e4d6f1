use super::*;

fn row(le: &str, count: f64) -> Row {
    Row {
        labels: Labels::metric("latency_bucket", &[("job", "api"), ("le", le)]),
        drop_name: false,
        values: vec![count],
    }
}

fn check(q: f64, buckets: &[(&str, f64)], expected: f64) {
    let rows: Vec<Row> = buckets.iter().map(|(le, count)| row(le, *count)).collect();
    let found = quantiles(&[q], &rows).unwrap();
    assert_eq!(found[0].labels, Labels::new([("job", "api")]));
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
    assert!(quantiles(&[0.5], &[row("fast", 1.0)]).unwrap().is_empty());
}
