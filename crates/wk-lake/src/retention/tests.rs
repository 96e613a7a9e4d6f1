use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_795_000_000_000;

fn hours(count: i64) -> Duration {
    Duration::from_secs(count.unsigned_abs() * 3_600)
}

fn at(hour: i64) -> UtcMs {
    UtcMs(START + hour * HOUR)
}

#[test]
fn a_steady_clock_is_believed() {
    let mut clock = RetentionClock::new(Some(at(0)));
    for hour in 0..50 {
        assert_eq!(clock.observe(at(hour), hours(hour)), Some(at(hour)));
    }
}

#[test]
fn a_forward_jump_pauses_until_as_much_time_has_passed() {
    let mut clock = RetentionClock::new(Some(at(0)));
    clock.observe(at(0), hours(0));
    assert_eq!(clock.observe(at(25), hours(1)), None, "24 hours ahead");
    assert_eq!(clock.held_at(), Some(at(1)));
    for hour in 2..25 {
        assert_eq!(clock.observe(at(hour + 24), hours(hour)), None, "hour {hour}");
    }
    assert_eq!(clock.observe(at(49), hours(25)), Some(at(49)));
}

#[test]
fn a_clock_that_goes_back_is_believed_again() {
    let mut clock = RetentionClock::new(Some(at(0)));
    clock.observe(at(0), hours(0));
    assert_eq!(clock.observe(at(9_000), hours(1)), None);
    assert_eq!(clock.observe(at(2), hours(2)), Some(at(2)));
}

#[test]
fn a_person_can_confirm_a_jump() {
    let mut clock = RetentionClock::new(Some(at(0)));
    assert_eq!(clock.observe(at(9_000), hours(0)), None);
    clock.confirm();
    assert_eq!(clock.observe(at(9_001), hours(1)), Some(at(9_001)));
}

#[test]
fn a_long_time_switched_off_pauses_at_first() {
    let mut clock = RetentionClock::new(Some(at(0)));
    assert_eq!(clock.observe(at(3), hours(0)), None);
    assert_eq!(clock.observe(at(5), hours(2)), None);
    assert_eq!(clock.observe(at(6), hours(3)), Some(at(6)));
}

#[test]
fn an_empty_store_believes_any_clock() {
    assert_eq!(RetentionClock::new(None).observe(at(9_000), hours(0)), Some(at(9_000)));
}

#[test]
fn files_go_by_age_and_by_bytes_but_the_newest_stays() {
    let files: Vec<Aged> = (0..4).map(|hour| Aged { received: at(hour), bytes: 100 }).collect();
    assert_eq!(expired(&files, Some(at(2)), u64::MAX), 2);
    assert_eq!(expired(&files, None, u64::MAX), 0);
    assert_eq!(expired(&files, None, 250), 2);
    assert_eq!(expired(&files, Some(at(99)), 0), 3);
    assert_eq!(expired(&[], Some(at(99)), 0), 0);
}

proptest! {
    #[test]
    fn what_is_believed_never_runs_ahead_of_the_monotonic_clock_by_more_than_it_has_shown(
        steps in proptest::collection::vec((-3_i64..30, 0_i64..4), 1..60),
    ) {
        let mut clock = RetentionClock::new(Some(at(0)));
        let (mut wall, mut monotonic) = (0, 0);
        for (jump, progress) in steps {
            wall = (wall + progress + if jump > 26 { jump } else { 0 }).max(0);
            monotonic += progress;
            if let Some(believed) = clock.observe(at(wall), hours(monotonic)) {
                prop_assert!(believed.since(at(0)).0 <= (2 * monotonic + 1) * HOUR, "{wall} {monotonic}");
            }
        }
    }
}
