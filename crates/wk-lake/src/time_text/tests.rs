use proptest::prelude::*;

use super::*;

fn format(time: UtcMs) -> String {
    format_into(time, &mut [0; FORMATTED_MAX]).to_owned()
}

#[test]
fn users_forms_of_a_time_mean_the_same_instant() {
    let wanted: UtcMs = "2026-11-24T02:14:00Z".parse().unwrap();
    let forms = ["2026-11-24T02:14:00Z", "2026-11-24 02:14:00", "2026-11-24 02:14", "2026-11-24T04:14:00.000+02:00"];
    for form in forms {
        assert_eq!(parse(form), Some(Instant { floor: wanted, ceil: wanted }), "{form}");
    }
    assert_eq!(parse("2026-11-24").unwrap().floor, "2026-11-24T00:00:00Z".parse().unwrap());
    assert_eq!(parse("yesterday"), None);
}

#[test]
fn times_between_milliseconds_have_both_neighbours() {
    let instant = parse("1970-01-01 00:00:01.0005").unwrap();
    assert_eq!((instant.floor, instant.ceil), (UtcMs(1_000), UtcMs(1_001)));
}

#[test]
fn numbers_are_seconds_until_they_are_too_large() {
    let wanted = Some(UtcMs(1_795_486_440_000));
    assert_eq!(parse("1795486440").map(|instant| instant.floor), wanted);
    assert_eq!(parse("1795486440000").map(|instant| instant.floor), wanted);
    assert_eq!(parse("20261124").unwrap().floor, "2026-11-24T00:00:00Z".parse().unwrap(), "eight digits are a date");
    assert_eq!(parse("0").unwrap().floor, UtcMs(0));
    assert_eq!((parse("NaN"), parse("inf")), (None, None));
}

#[test]
fn all_forms_of_one_instant_compare_as_equal() {
    let forms = ["2026-11-24T02:14:00Z", "2026-11-24 02:14:00.000", "2026-11-24 02:14", "1795486440", "1795486440000"];
    for (a, b) in forms.iter().flat_map(|a| forms.iter().map(move |b| (a, b))) {
        assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
    }
    assert_eq!(compare("2026-11-24T02:14:00Z", "2026-11-24 02:14:00.001"), Ordering::Less);
    assert_eq!(compare("2026-11-24 02:14:00.0005", "2026-11-24 02:14:00.000"), Ordering::Greater);
    assert_eq!(compare("never", "2026-11-24"), Ordering::Greater);
}

#[test]
fn times_outside_the_calendar_are_bare_numbers() {
    assert_eq!(format(UtcMs::MAX), i64::MAX.to_string());
}

proptest! {
    #[test]
    fn writing_agrees_with_jiff(ms in FOUR_DIGIT_YEARS) {
        let expected = UtcMs(ms).to_string().replace('T', " ").replace('Z', "");
        prop_assert_eq!(format(UtcMs(ms)), expected);
    }

    #[test]
    fn comparing_is_a_total_order(texts in proptest::collection::vec(
        prop_oneof![
            (-5_i64..5).prop_map(|ms| format(UtcMs(ms))),
            (-5_i64..5).prop_map(|ms| UtcMs(ms).to_string()),
            prop::sample::select(vec!["0", "-0.001", "1970-01-01", "19700101", "x", "", "1970-01-01 00:00:00.0000001"])
                .prop_map(str::to_owned),
        ],
        3,
    )) {
        let [a, b, c] = &texts[..] else { unreachable!("three were asked for") };
        prop_assert_eq!(compare(a, b), compare(b, a).reverse());
        if compare(a, b).is_le() && compare(b, c).is_le() {
            prop_assert!(compare(a, c).is_le(), "{} {} {}", a, b, c);
        }
    }

    #[test]
    fn what_is_written_is_read(ms in -62_135_596_800_000_i64..253_402_207_200_000) {
        prop_assert_eq!(parse(&format(UtcMs(ms))).map(|instant| instant.floor), Some(UtcMs(ms)));
    }
}
