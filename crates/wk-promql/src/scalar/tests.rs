use super::*;

fn call(name: &str, value: f64, operands: &[f64]) -> Option<f64> {
    lookup(name).unwrap().0(value, operands)
}

#[test]
fn rounding_goes_half_up_to_the_step_asked_for() {
    assert_eq!(call("round", 2.5, &[]), Some(3.0));
    assert_eq!(call("round", -2.5, &[]), Some(-2.0));
    assert_eq!(call("round", 5.36, &[0.1]), Some(5.4));
}

#[test]
fn clamping_to_an_empty_interval_takes_the_element_away() {
    assert_eq!(call("clamp", 1.0, &[5.0, -5.0]), None);
    assert_eq!(call("clamp", 7.0, &[-5.0, 5.0]), Some(5.0));
    assert!(call("clamp_min", 1.0, &[f64::NAN]).unwrap().is_nan());
}

#[test]
fn the_sign_of_zero_and_of_no_number_is_itself() {
    assert_eq!(call("sgn", -3.0, &[]), Some(-1.0));
    assert_eq!(call("sgn", 0.0, &[]), Some(0.0));
    assert!(call("sgn", f64::NAN, &[]).unwrap().is_nan());
}

#[test]
fn calendar_functions_are_utc_and_end_with_the_calendar() {
    // 2024-02-29T23:59:59Z, a Thursday.
    let leap_day = 1_709_251_199.0;
    let parts = ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"];
    let found: Vec<f64> = parts.iter().map(|part| call(part, leap_day, &[]).unwrap()).collect();
    assert_eq!(found, [59.0, 23.0, 4.0, 29.0, 60.0, 29.0, 2.0, 2024.0]);
    for value in [f64::NAN, f64::INFINITY, 1e300, -1e300] {
        assert!(call("year", value, &[]).unwrap().is_nan());
    }
}

#[test]
fn unknown_functions_are_not_found() {
    assert!(lookup("rate").is_none());
}
