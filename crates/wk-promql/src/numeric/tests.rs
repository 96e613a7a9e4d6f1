use proptest::prelude::*;

use super::*;

#[test]
fn a_sum_keeps_small_terms_beside_large_ones() {
    let terms = [1e100, 1.0, -1e100, 1.0];
    assert_eq!(terms.into_iter().fold(Sum::default(), Sum::plus).total(), 2.0);
}

#[test]
fn a_sum_of_infinities_is_infinite() {
    let terms = [1.0, f64::INFINITY, 2.0];
    assert_eq!(terms.into_iter().fold(Sum::default(), Sum::plus).total(), f64::INFINITY);
}

#[test]
fn a_mean_survives_values_whose_sum_overflows() {
    let mut mean = Mean::default();
    [f64::MAX, f64::MAX, f64::MAX / 2.0].into_iter().for_each(|value| mean.add(value));
    let expected = f64::MAX / 6.0 * 5.0;
    assert!((mean.mean() - expected).abs() / expected < 1e-12);
}

#[test]
fn quantiles_outside_the_unit_interval_are_infinite() {
    assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
    assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
    assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
    assert!(quantile(0.5, &mut []).is_nan());
}

#[test]
fn quantiles_interpolate_between_neighbours() {
    assert_eq!(quantile(0.5, &mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    assert_eq!(quantile(1.0, &mut [4.0, 1.0, f64::NAN]), 4.0);
}

#[test]
fn plain_text_never_has_an_exponent() {
    let texts: Vec<String> =
        [1e21, 1e-7, 0.1, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().map(plain_text).collect();
    assert_eq!(texts, ["1000000000000000000000", "0.0000001", "0.1", "-0", "NaN", "+Inf", "-Inf"]);
}

proptest! {
    #[test]
    fn a_quantile_lies_between_the_extremes(mut values in prop::collection::vec(-1e9..1e9f64, 1..50), q in 0.0..=1.0f64) {
        let found = quantile(q, &mut values);
        prop_assert!(values[0] <= found && found <= values[values.len() - 1]);
    }

    #[test]
    fn variance_does_not_depend_on_the_order(mut values in prop::collection::vec(-1e3..1e3f64, 1..50)) {
        let variance = |values: &[f64]| {
            let mut spread = Spread::default();
            values.iter().for_each(|value| spread.add(*value));
            spread.variance()
        };
        let before = variance(&values);
        values.sort_by(nan_last);
        prop_assert!((before - variance(&values)).abs() <= 1e-9 * before.max(1.0));
    }
}
