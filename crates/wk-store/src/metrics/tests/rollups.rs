use wk_types::{RollupRow, RollupSource};

use super::*;

const NAMES: [&str; 5] = ["bytes_total", "limit", "octets@two", "temp", "temp@one#aft"];

/// A value of each series of [`NAMES`] at minute `at`: a counter with resets, a constant, what only ascends, gauges.
fn value(which: usize, at: i64) -> f64 {
    match which {
        0 => (at % 700) as f64 * 12.5,
        1 => 85.0,
        2 => (at * 1_000 + at * at % 97) as f64,
        _ => 20.0 + ((at * at + which as i64) % 61) as f64 / 10.0,
    }
}

/// A ship with one sample in two minutes for `hours`, and as many rounds of upkeep as there are parts.
pub(super) fn voyage(options: MetricOptions, hours: i64) -> Ship {
    let mut ship = Ship::new(options);
    for part in 0..hours * 2 {
        let minutes = || (part * 30..part * 30 + 30).step_by(2);
        let now = START + (part * 30 + 30) * MINUTE;
        let of = |which: usize| minutes().map(|at| (START + at * MINUTE + 7, value(which, at))).collect();
        ship.append(now, NAMES.iter().enumerate().map(|(which, name)| (*name, of(which))).collect());
        ship.store.flush().unwrap();
    }
    ship
}

type Rows = BTreeMap<(Labels, i64), RollupRow>;

fn rows(store: &MetricStore, from: i64, to: i64, resolution: Resolution) -> Rows {
    let mut found = Rows::new();
    for one in store.rollups(&[], UtcMs(from), UtcMs(to), resolution).unwrap() {
        let one = one.unwrap();
        for row in one.rows {
            assert!(found.insert((one.series.labels.clone(), row.time.0), row).is_none(), "a row comes twice");
        }
    }
    found
}

/// What a plain loop makes of all samples.
fn expected(ship: &Ship, resolution: Resolution) -> Rows {
    let mut rows = Rows::new();
    for (labels, samples) in ship.expected(i64::MIN, i64::MAX) {
        let counts = labels.name().ends_with("_total") || labels.name() == "octets";
        let mut before: Option<f64> = None;
        let mut sums: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (time, bits) in samples {
            let (step, value) = (UtcMs(time).floor_to(resolution.step()).0, f64::from_bits(bits));
            let grown = before.map_or(0.0, |before| if value < before { value } else { value - before });
            before = Some(value);
            let row = rows.entry((labels.clone(), step)).or_insert(RollupRow {
                time: UtcMs(step),
                avg: None,
                min: Some(value),
                max: Some(value),
                last: value,
                count: 0,
                increase: counts.then_some(0.0),
            });
            let values = sums.entry(step).or_default();
            values.push(value);
            row.avg = Some(values.iter().sum::<f64>() / values.len() as f64);
            row.min = row.min.map(|min| min.min(value));
            row.max = row.max.map(|max| max.max(value));
            (row.last, row.count) = (value, row.count + 1);
            row.increase = row.increase.map(|increase| increase + grown);
        }
    }
    for ((labels, _), row) in &mut rows {
        if labels.name().ends_with("_total") {
            (row.avg, row.min, row.max) = (None, None, None);
        }
    }
    rows
}

fn check_rows(found: &Rows, expected: &Rows) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, row) in expected {
        let mine = found[key];
        let spread = row.max.zip(row.min).map_or(0.0, |(max, min)| max - min);
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= spread / 200.0 + 1e-9,
            (a, b) => a == b,
        };
        assert!(close(mine.avg, row.avg) && close(mine.increase, row.increase), "{key:?}: {mine:?}, not {row:?}");
        assert_eq!(RollupRow { avg: row.avg, increase: row.increase, ..mine }, *row, "{key:?}");
    }
}

/// Both resolutions say what the samples say.
pub(super) fn check(ship: &Ship) {
    for resolution in Resolution::ALL {
        check_rows(&rows(&ship.store, i64::MIN, i64::MAX, resolution), &expected(ship, resolution));
    }
}

/// Lets upkeep do all that is due.
pub(super) fn settle(ship: &Ship, now: i64) {
    for _ in 0..100 {
        let done = ship.store.maintain(UtcMs(now)).unwrap();
        if (Maintained { retention_held: false, ..done }) == Maintained::default() {
            return;
        }
    }
    panic!("upkeep has no end");
}

#[test]
fn rollups_say_what_the_samples_say_stored_or_not() {
    let mut ship = voyage(MetricOptions::default(), 40);
    check(&ship);
    settle(&ship, START + 40 * HOUR);
    let stats = ship.store.stats();
    // START is three hours into a stretch of six and fifteen into a day; two hours more must have passed.
    assert_eq!(stats.rollups, 6 + 2);
    assert!(stats.bytes_rollups > 0 && stats.bytes_rollups < stats.bytes);
    check(&ship);
    let report = ship.reopen(ship.disk.after_cut());
    assert_eq!((report.rollups, report.superseded), (8, 0));
    check(&ship);
    assert_eq!(ship.disk.names().len(), ship.files());
}

#[test]
fn a_range_and_matchers_choose_rows() {
    let ship = voyage(MetricOptions::default(), 20);
    settle(&ship, START + 20 * HOUR);
    let (from, to) = (START + 3 * HOUR, START + 15 * HOUR);
    for resolution in Resolution::ALL {
        let all = expected(&ship, resolution);
        let within: Rows = all.into_iter().filter(|((_, time), _)| (from..=to).contains(time)).collect();
        check_rows(&rows(&ship.store, from, to, resolution), &within);
    }
    let temp = Matcher::new("__name__", wk_types::MatchOp::Equal, "temp");
    let found = ship.store.rollups(&[temp], UtcMs(from), UtcMs(to), Resolution::Hour).unwrap();
    assert!(found.map(|one| one.unwrap()).all(|one| one.series.labels.name() == "temp"));
    let broken = Matcher::new("job", wk_types::MatchOp::Regex, "a(");
    assert!(ship.store.rollups(&[broken], UtcMs(from), UtcMs(to), Resolution::Hour).is_err());
}

#[test]
fn a_late_sample_makes_its_rollups_be_made_anew() {
    let mut ship = voyage(MetricOptions::default(), 40);
    let now = START + 40 * HOUR;
    settle(&ship, now);
    ship.append(now + MINUTE, vec![("temp", vec![(START + 5 * HOUR + 1, -7.0), (now + MINUTE, 1.0)])]);
    ship.store.flush().unwrap();
    settle(&ship, now + 2 * MINUTE);
    let stale = rows(&ship.store, START + 5 * HOUR, START + 5 * HOUR, Resolution::FiveMinutes);
    assert!(stale.values().all(|row| row.min != Some(-7.0)), "it waits for more");
    settle(&ship, now + 2 * MINUTE);
    settle(&ship, now + 2 * HOUR);
    check(&ship);
    assert_eq!(ship.store.stats().rollups, 8);
    ship.reopen(ship.disk.after_cut());
    check(&ship);
}

#[test]
fn rollups_outlive_their_samples_and_late_ones_do_not_replace_them() {
    let options = MetricOptions { age_max: DurationMs::from_hours(24), ..MetricOptions::default() };
    let mut ship = voyage(options, 60);
    let now = START + 60 * HOUR;
    settle(&ship, now);
    ship.store.confirm_clock(UtcMs(now));
    settle(&ship, now);
    assert!(ship.store.stats().oldest.unwrap() > UtcMs(START + 12 * HOUR));
    check(&ship);
    // The samples of its step are gone, but for this one; what they said stays.
    let time = ship.store.stats().oldest.unwrap().0 - HOUR;
    let before = rows(&ship.store, i64::MIN, time, Resolution::FiveMinutes);
    ship.append(time + 20 * HOUR, vec![("temp", vec![(time + 20 * HOUR, 1.0), (time, -9.0)])]);
    ship.store.flush().unwrap();
    settle(&ship, now + MINUTE);
    settle(&ship, now + 2 * HOUR);
    assert_eq!(rows(&ship.store, i64::MIN, time, Resolution::FiveMinutes), before);
}

#[test]
fn damaged_rollups_are_set_aside_and_made_again() {
    let mut ship = voyage(MetricOptions::default(), 20);
    settle(&ship, START + 20 * HOUR);
    let rollups: Vec<String> = ship.disk.names().into_iter().filter(|name| name.starts_with("rollup-5m")).collect();
    assert_eq!(rollups.len(), 3);
    ship.disk.edit(&rollups[0], |bytes| *bytes.last_mut().unwrap() ^= 1);
    ship.disk.edit(&rollups[1], |bytes| {
        let directory = bytes.len() - wk_block::HEADER_BYTES - 1;
        bytes[directory] ^= 1;
    });
    let report = ship.reopen(ship.disk.clone());
    assert_eq!((report.damaged.len(), report.rollups), (1, 3));
    check(&ship);
    assert_eq!(ship.store.stats().blocks_damaged, 2);
    settle(&ship, START + 20 * HOUR);
    assert_eq!(ship.store.stats().rollups, 4);
    check(&ship);
    assert_eq!(ship.disk.names().iter().filter(|name| name.ends_with(".damaged")).count(), 2);
}

#[test]
fn a_damaged_part_of_rollups_costs_no_more_than_its_rows() {
    let mut ship = voyage(MetricOptions::default(), 20);
    settle(&ship, START + 20 * HOUR);
    let names = ship.disk.names();
    let rollup = names.iter().find(|name| name.starts_with("rollup-5m")).unwrap();
    ship.disk.edit(rollup, |bytes| bytes[20] ^= 1);
    ship.reopen(ship.disk.clone());
    let found = rows(&ship.store, i64::MIN, i64::MAX, Resolution::FiveMinutes);
    assert!(!found.is_empty() && found.len() < expected(&ship, Resolution::FiveMinutes).len());
    assert!(ship.store.stats().chunks_damaged > 0);
}

#[test]
fn a_clock_ten_years_ahead_leaves_no_trace_in_rollups() {
    let mut ship = voyage(MetricOptions::default(), 4);
    settle(&ship, START + 4 * HOUR);
    let ahead = START + 4 * HOUR + 3_650 * DAY;
    ship.append(ahead, vec![("temp", vec![(ahead, 1.0), (START + 4 * HOUR, 2.0)])]);
    ship.store.flush().unwrap();
    settle(&ship, ahead);
    assert!(ship.store.stats().rollups < 4, "{}", ship.store.stats().rollups);
    for part in 8..40 {
        let now = START + part * 30 * MINUTE + HOUR;
        ship.append(now, vec![("temp", vec![(now, (part * 7 % 5) as f64)])]);
        ship.store.flush().unwrap();
    }
    settle(&ship, START + 21 * HOUR);
    settle(&ship, START + 23 * HOUR);
    check_rows(
        &rows(&ship.store, i64::MIN, START + DAY, Resolution::FiveMinutes),
        &expected(&ship, Resolution::FiveMinutes).into_iter().filter(|((_, time), _)| *time < START + DAY).collect(),
    );
}
