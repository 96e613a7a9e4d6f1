use proptest::prelude::*;
use wk_types::UtcMs;

use super::*;
use crate::row::{Frame, Steps, is_present};

fn samples_of(values: &[f64]) -> Vec<Sample> {
    values.iter().zip(1..).map(|(value, index)| Sample::new(UtcMs(index * 10_000), *value)).collect()
}

/// Applies a function at each step.
fn walk(name: &str, samples: &[Sample], frame: &Frame) -> Vec<Option<f64>> {
    let half = vec![0.5; frame.steps.count];
    let slide_over = Slide { samples, starts: &[], frame, stop: &|| false };
    let function = RangeFunction::named(name).unwrap();
    let slid = slide(function, &slide_over, [Some(&half), Some(&half)], None).unwrap();
    slid.values.into_iter().map(|value| is_present(value).then_some(value)).collect()
}

/// Applies a function to samples 10 s apart from 10 s on, in the window `(0, end]`.
fn call(name: &str, values: &[f64], end_s: i64) -> Option<f64> {
    let end = end_s * 1_000;
    let steps = Steps { start: end, step: 1, count: 1 };
    walk(name, &samples_of(values), &Frame { steps, fixed: None, offset: 0, range: end })[0]
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

    #[test]
    fn what_is_carried_from_step_to_step_is_what_each_window_answers(
        gaps in prop::collection::vec(1i64..60, 1..120),
        values in prop::collection::vec(prop_oneof![
            8 => -1e6..1e6f64,
            2 => (0u8..5).prop_map(f64::from),
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(-1e300),
            1 => Just(1e300),
        ], 120),
        (range, step) in (1i64..2_000, 1i64..200),
    ) {
        let mut time = 0;
        let samples: Vec<Sample> = gaps.iter().zip(&values).map(|(gap, value)| {
            time += gap;
            Sample::new(UtcMs(time), *value)
        }).collect();
        let steps = Steps { start: 0, step, count: usize::try_from(time / step + 3).unwrap() };
        let frame = Frame { steps, fixed: None, offset: 0, range };
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || ((a - b) / b).abs() < 1e-12;
        for name in ["sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "quantile_over_time",
            "ts_of_max_over_time", "ts_of_min_over_time", "changes", "resets", "rate", "increase", "delta"] {
            let carried = walk(name, &samples, &frame);
            for (index, found) in carried.into_iter().enumerate() {
                let once = Steps { start: steps.time(index), step: 1, count: 1 };
                let afresh = walk(name, &samples, &Frame { steps: once, ..frame })[0];
                let agree = found.is_some() == afresh.is_some() && found.zip(afresh).is_none_or(|(a, b)| same(a, b));
                prop_assert!(agree, "{} at {}: {:?} instead of {:?}", name, index, found, afresh);
            }
        }
    }

    #[test]
    fn a_carried_sum_is_the_sum_in_the_order_of_time(values in prop::collection::vec(-1e9..1e9f64, 8..100)) {
        let samples = samples_of(&values);
        let found = call("sum_over_time", &values, 2_000).unwrap();
        prop_assert!((found - sum(&samples)).abs() <= found.abs() * 1e-15);
    }
}
