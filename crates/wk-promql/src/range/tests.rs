use proptest::prelude::*;
use wk_types::UtcMs;

use super::*;

/// Applies a function to samples 10 s apart from 10 s on, in the window `(0, end]`.
fn call(name: &str, values: &[f64], end_s: i64) -> Option<f64> {
    let samples: Vec<Sample> =
        values.iter().zip(1..).map(|(value, index)| Sample::new(UtcMs(index * 10_000), *value)).collect();
    let end = end_s * 1_000;
    (lookup(name).unwrap().apply)(&Window { samples: &samples, start: 0, end, step_time: end, operand: 0.5 })
}

#[test]
fn a_steady_counter_extrapolates_to_the_borders() {
    assert_eq!(call("increase", &[100.0, 110.0, 120.0, 130.0], 40), Some(40.0));
    assert_eq!(call("rate", &[100.0, 110.0, 120.0, 130.0], 40), Some(1.0));
}

#[test]
fn a_counter_is_not_extrapolated_below_zero() {
    assert_eq!(call("increase", &[5.0, 15.0, 25.0], 30), Some(25.0));
}

#[test]
fn far_borders_are_extrapolated_to_by_half_a_distance() {
    assert_eq!(call("delta", &[100.0, 110.0, 120.0], 60), Some(35.0));
}

#[test]
fn resets_count_what_was_counted_before() {
    assert_eq!(call("increase", &[90.0, 100.0, 5.0, 15.0], 40), Some(25.0 * (40.0 / 30.0)));
    assert_eq!(call("resets", &[90.0, 100.0, 5.0, 15.0], 40), Some(1.0));
    assert_eq!(call("irate", &[100.0, 5.0], 20), Some(0.5));
    assert_eq!(call("idelta", &[100.0, 5.0], 20), Some(-95.0));
}

#[test]
fn one_sample_has_no_slope_but_has_a_count() {
    for name in ["rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"] {
        assert_eq!(call(name, &[1.0], 10), None, "{name}");
    }
    for (name, value) in [("changes", 0.0), ("resets", 0.0), ("count_over_time", 1.0), ("stddev_over_time", 0.0)] {
        assert_eq!(call(name, &[1.0], 10), Some(value), "{name}");
    }
}

#[test]
fn changes_between_numbers_that_are_none_do_not_count() {
    assert_eq!(call("changes", &[f64::NAN, f64::NAN, 1.0, 1.0, 2.0], 50), Some(2.0));
}

#[test]
fn extremes_pass_over_values_that_are_no_number() {
    assert_eq!(call("min_over_time", &[f64::NAN, 3.0, 2.0], 30), Some(2.0));
    assert_eq!(call("max_over_time", &[3.0, f64::NAN, 2.0], 30), Some(3.0));
}

#[test]
fn a_line_is_found_and_followed() {
    let slope = call("deriv", &[0.0, 5.0, 10.0], 30).unwrap();
    assert!((slope - 0.5).abs() < 1e-12);
    // Half a second past the step at 30 s.
    let ahead = call("predict_linear", &[0.0, 5.0, 10.0], 30).unwrap();
    assert!((ahead - 10.25).abs() < 1e-12);
}

#[test]
fn a_flat_line_is_flat_unless_it_is_infinite() {
    assert_eq!(call("deriv", &[7.0, 7.0, 7.0], 30), Some(0.0));
    assert!(call("deriv", &[f64::INFINITY, f64::INFINITY], 20).unwrap().is_nan());
}

proptest! {
    #[test]
    fn a_counter_never_increases_by_less_than_nothing(values in prop::collection::vec(0.0..1e9f64, 2..40)) {
        prop_assert!(call("increase", &values, 400).unwrap() >= 0.0);
    }

    #[test]
    fn the_average_lies_between_the_extremes(values in prop::collection::vec(-1e9..1e9f64, 1..40)) {
        let [low, mean, high] =
            ["min_over_time", "avg_over_time", "max_over_time"].map(|name| call(name, &values, 400).unwrap());
        prop_assert!(low - 1e-6 <= mean && mean <= high + 1e-6);
    }
}
