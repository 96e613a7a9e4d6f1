use jiff::civil::Time;
use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> UtcMs {
    text.parse().unwrap()
}

#[test]
fn a_time_within_reach_is_taken_as_sent() {
    let received = utc("2026-06-01T12:00:00Z");
    for sent in ["2026-06-02T12:00:00Z", "2026-05-02T12:00:00Z", "2026-06-01T11:59:00Z"] {
        assert_eq!(settle(Some(utc(sent)), received), Settled { time: utc(sent), set_aside: None });
    }
}

#[test]
fn a_clock_that_was_never_set_does_not_date_the_message() {
    let received = utc("2026-06-01T12:00:00Z");
    for sent in ["1970-01-01T00:00:07Z", "2026-06-02T12:00:00.001Z", "2038-01-19T03:14:07Z"] {
        assert_eq!(settle(Some(utc(sent)), received), Settled { time: received, set_aside: Some(utc(sent)) });
    }
    assert_eq!(settle(None, received).time, received);
}

#[test]
fn epochs_are_told_apart_by_size() {
    let expected = utc("2026-06-01T12:00:00.250Z");
    for number in [1_780_315_200.25, 1_780_315_200_250.0, 1_780_315_200_250_000.0, 1_780_315_200_250_000_000.0] {
        assert_eq!(read_epoch(number), Some(expected), "{number}");
    }
    for number in [f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(read_epoch(number), None, "{number}");
    }
}

#[test]
fn a_time_without_year_falls_into_the_nearest_one() {
    let zone = TimeZone::UTC;
    let at = |month, day, near: &str| {
        in_nearest_year(month, day, Time::midnight(), utc(near), &zone).map(|instant| instant.to_string())
    };
    assert_eq!(at(12, 31, "2026-01-01T00:10:00Z").as_deref(), Some("2025-12-31T00:00:00.000Z"));
    assert_eq!(at(1, 1, "2026-12-31T23:59:00Z").as_deref(), Some("2027-01-01T00:00:00.000Z"));
    assert_eq!(at(6, 1, "2026-06-01T12:00:00Z").as_deref(), Some("2026-06-01T00:00:00.000Z"));
    assert_eq!(at(2, 29, "2025-03-01T00:00:00Z").as_deref(), Some("2024-02-29T00:00:00.000Z"));
    assert_eq!(at(2, 30, "2025-03-01T00:00:00Z"), None);
}

#[test]
fn local_times_follow_their_zone_also_where_the_clock_jumps() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let summer = jiff::civil::date(2026, 7, 1).at(12, 0, 0, 0);
    assert_eq!(in_zone(summer, &zone), Some(utc("2026-07-01T10:00:00Z")));
    let skipped = jiff::civil::date(2026, 3, 29).at(2, 30, 0, 0);
    assert_eq!(in_zone(skipped, &zone), Some(utc("2026-03-29T01:30:00Z")));
}

#[test]
fn fractions_of_any_length_are_read() {
    let read: Vec<_> = ["5", "250", "123456", "1234567891", "", "1x"].into_iter().map(fraction).collect();
    let expected = [Some(500_000_000), Some(250_000_000), Some(123_456_000), Some(123_456_789), None, None];
    assert_eq!(read, expected);
}

proptest! {
    #[test]
    fn any_number_and_text_is_answered(number in any::<f64>(), text in "\\PC{0,30}", near in any::<i64>()) {
        let _ = (read_epoch(number), read_rfc3339(&text), fraction(&text));
        let _ = in_nearest_year(2, 29, Time::midnight(), UtcMs(near), &TimeZone::UTC);
        let _ = settle(Some(UtcMs(near)), UtcMs(number as i64));
    }
}

#[test]
fn a_zone_answers_the_same_whatever_it_was_asked_for_before() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let zone = Zone::new(berlin.clone());
    // Through both changes of the clock, a new year and a leap day, each minute asked for twice.
    for near in ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z", "2026-12-31T22:50:00Z", "2028-02-28T22:50:00Z"] {
        let near: Timestamp = near.parse().unwrap();
        for seconds in (0..3 * 3_600).step_by(20) {
            let now = UtcMs(near.as_millisecond() + seconds * 1_000);
            let local = Timestamp::from_millisecond(now.0).unwrap().to_zoned(berlin.clone()).datetime();
            let (date, time) = (local.date(), local.time());
            let known = zone.in_nearest_year(date.month(), date.day(), time, now);
            assert_eq!(known, in_nearest_year(date.month(), date.day(), time, now, &berlin));
        }
    }
}

proptest::proptest! {
    #[test]
    fn usual_times_are_read_as_the_library_reads_them(
        parts in (1950_i32..2120, 0_u8..15, 0_u8..33, 0_u8..26, 0_u8..62, 0_u8..62),
        fraction in "|\\.[0-9]{0,10}",
        offset in "Z|z||[+-][0-2][0-9]:[0-7][0-9]|[+-][0-9]{2}",
    ) {
        let (year, month, day, hour, minute, second) = parts;
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
        let expected = text.parse::<Timestamp>().ok().map(|instant| UtcMs(instant.as_millisecond()));
        if let Some(usual) = read_usual(text.as_bytes()) {
            proptest::prop_assert_eq!(Some(usual), expected);
        }
        proptest::prop_assert_eq!(read_rfc3339(&text), expected);
    }
}
