use super::*;

const TEN_YEARS: i64 = 3_650 * DAY;

/// Lets `days` pass in steps of 6 h, each with one sample and one round of upkeep.
fn sail(ship: &mut Ship, from: i64, days: i64) -> i64 {
    let mut now = from;
    for step in 0..days * 4 {
        for tick in 0..6 {
            now = from + step * 6 * HOUR + tick * HOUR;
            ship.append(now, vec![("a", vec![(now, step as f64)])]);
            ship.store.maintain(UtcMs(now)).unwrap();
        }
    }
    now
}

#[test]
fn what_is_older_than_the_age_is_deleted() {
    let mut ship = Ship::new(MetricOptions::default());
    let now = sail(&mut ship, START, 40);
    let oldest = ship.store.stats().oldest.unwrap().0;
    assert!((30 * DAY..30 * DAY + 3 * HOUR).contains(&(now - oldest)), "{}", (now - oldest) / HOUR);
    ship.check(oldest, now);
    let blocks = ship.store.stats().blocks;
    assert_eq!(ship.disk.names().len(), blocks);
}

#[test]
fn the_oldest_blocks_go_when_all_together_take_too_much() {
    let mut ship = sailed(MetricOptions::default(), 10);
    let all = ship.store.stats();
    ship.options.bytes_max = all.bytes / 2;
    ship.reopen(ship.disk.clone());
    let done = ship.store.maintain(UtcMs(START + HOUR)).unwrap();
    assert_eq!((done.deleted_by_bytes, done.deleted_by_age), (6, 0));
    assert!(ship.store.stats().bytes <= ship.options.bytes_max);
    ship.check(START + 30 * MINUTE, i64::MAX);
    assert_eq!(answers(&ship.store, &[], i64::MIN, START + 30 * MINUTE - 1).len(), 0);
}

#[test]
fn the_last_block_stays_whatever_its_age() {
    let mut ship = sailed(MetricOptions { bytes_max: 0, ..MetricOptions::default() }, 3);
    ship.store.maintain(UtcMs(START)).unwrap();
    assert_eq!(ship.store.stats().blocks, 1);
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(3));
}

#[test]
fn a_clock_ten_years_ahead_and_back_deletes_nothing() {
    let mut ship = Ship::new(MetricOptions::default());
    let mut now = sail(&mut ship, START, 3);
    for _ in 0..30 {
        now += 10 * MINUTE;
        ship.append(now + TEN_YEARS, vec![("a", vec![(now + TEN_YEARS, 1.0)])]);
        let done = ship.store.maintain(UtcMs(now + TEN_YEARS)).unwrap();
        assert_eq!((done.deleted_by_age, done.retention_held), (0, true));
    }
    ship.check_all();
    // The node starts anew while the clock is still wrong, and once more when it is right again.
    ship.reopen(ship.disk.clone());
    assert_eq!(ship.store.maintain(UtcMs(now + TEN_YEARS)).unwrap().deleted_by_age, 0);
    ship.check_all();
    ship.reopen(ship.disk.clone());
    assert_eq!(ship.store.maintain(UtcMs(now + 10 * MINUTE)).unwrap().deleted_by_age, 0);
    ship.check_all();
}

#[test]
fn samples_with_the_right_time_are_kept_while_the_clock_is_ahead() {
    let mut ship = sailed(MetricOptions::default(), 2);
    ship.store.maintain(UtcMs(START + 10 * MINUTE)).unwrap();
    ship.store.maintain(UtcMs(START + TEN_YEARS)).unwrap();
    let right = START + 11 * MINUTE;
    assert_eq!(ship.append(START + TEN_YEARS, vec![("a", vec![(right, 1.0)])]).stored, 1);
    ship.check_all();
}

#[test]
fn after_days_in_port_without_power_deletion_catches_up_once_the_clock_is_confirmed() {
    let mut ship = Ship::new(MetricOptions::default());
    let left = sail(&mut ship, START, 2);
    ship.store.flush().unwrap();
    ship.reopen(ship.disk.clone());
    let back = left + 30 * DAY;
    let done = ship.store.maintain(UtcMs(back)).unwrap();
    assert_eq!((done.deleted_by_age, done.retention_held), (0, true));
    ship.store.confirm_clock(UtcMs(back));
    let done = ship.store.maintain(UtcMs(back)).unwrap();
    assert!(done.deleted_by_age > 0 && !done.retention_held);
    assert!(ship.store.stats().oldest.unwrap() >= UtcMs(back - 30 * DAY - 2 * HOUR));
}
