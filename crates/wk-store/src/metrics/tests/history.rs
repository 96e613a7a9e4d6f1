//! Questions beyond the samples, beside the same ones where the samples are still there.

use wk_promql::{Limits, Query, Value};

use super::rollups::{settle, voyage};
use super::*;

/// A store that keeps everything, and one of the same records that keeps samples for a day.
fn both(hours: i64) -> (Ship, Ship) {
    let short = MetricOptions { age_max: DurationMs::from_hours(24), ..MetricOptions::default() };
    let (whole, cut) = (voyage(MetricOptions::default(), hours), voyage(short, hours));
    let now = START + hours * HOUR;
    for ship in [&whole, &cut] {
        settle(ship, now);
        ship.store.confirm_clock(UtcMs(now));
        settle(ship, now);
    }
    (whole, cut)
}

/// The values of a query's series, by labels and time.
fn evaluated(source: &dyn SeriesSource, query: &str, hours: std::ops::Range<i64>) -> BTreeMap<(Labels, i64), f64> {
    let [from, to] = [hours.start, hours.end].map(|hour| UtcMs(START + hour * HOUR));
    let query = Query::parse(query).unwrap();
    let answer = query.range(source, from, to, DurationMs::from_mins(30), &Limits::default()).unwrap();
    let Value::Matrix(series) = answer else { panic!("no matrix") };
    let points = series.into_iter().flat_map(|(labels, samples)| {
        samples.into_iter().map(move |sample| ((labels.clone(), sample.time.0), sample.value))
    });
    points.collect()
}

/// Compares by the largest difference, as a share of the largest value.
fn check(whole: &Ship, cut: &Ship, query: &str, tolerance: f64) {
    let hours = 3..58;
    let truth = evaluated(&whole.store, query, hours.clone());
    let history = cut.store.history();
    let found = evaluated(&history, query, hours);
    assert!(history.note().is_some(), "{query}");
    assert!(truth.len() > 100, "{query}");
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{query}");
    let scale = truth.values().fold(0.0_f64, |most, value| most.max(value.abs()));
    let worst = truth.iter().map(|(key, value)| (found[key] - value).abs()).fold(0.0, f64::max) / scale;
    println!("{query}: {:.3} % off at worst", worst * 100.0);
    assert!(worst <= tolerance, "{query}: {worst}");
}

#[test]
fn answers_beyond_the_samples_are_those_of_the_samples_within_a_tolerance() {
    let (whole, cut) = both(60);
    assert!(cut.store.stats().oldest.unwrap() > UtcMs(START + 12 * HOUR));
    // The counter is reset every 700 minutes; windows end within a step, whose growth is taken for even.
    check(&whole, &cut, "increase(bytes_total[2h])", 0.03);
    check(&whole, &cut, "rate(bytes_total[1h])", 0.06);
    check(&whole, &cut, "increase(octets[2h])", 0.03);
    check(&whole, &cut, "sum(rate(bytes_total[3h]))", 0.02);
    check(&whole, &cut, "bytes_total", 0.01);
    check(&whole, &cut, "avg_over_time(temp[2h])", 0.02);
    check(&whole, &cut, "limit", 0.0);
    check(&whole, &cut, "count(temp)", 0.0);
}

#[test]
fn where_there_are_samples_they_alone_answer() {
    let (whole, cut) = both(60);
    let history = cut.store.history();
    let hours = 50..58;
    let query = "rate(bytes_total[10m])";
    assert_eq!(evaluated(&history, query, hours.clone()), evaluated(&whole.store, query, hours));
    assert_eq!(history.note(), None);
}

#[test]
fn where_only_hours_are_left_they_answer() {
    let hours = 24 * 6;
    let short = MetricOptions {
        age_max: DurationMs::from_hours(24),
        rollup_5m_age_max: DurationMs::from_hours(48),
        ..MetricOptions::default()
    };
    let (whole, cut) = (voyage(MetricOptions::default(), hours), voyage(short, hours));
    let now = START + hours * HOUR;
    for ship in [&whole, &cut] {
        settle(ship, now);
        ship.store.confirm_clock(UtcMs(now));
        settle(ship, now);
    }
    let history = cut.store.history();
    for (query, tolerance) in [("increase(bytes_total[6h])", 0.05), ("avg_over_time(temp[6h])", 0.02)] {
        let truth = evaluated(&whole.store, query, 30..hours - 2);
        let found = evaluated(&history, query, 30..hours - 2);
        assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{query}");
        let scale = truth.values().fold(0.0_f64, |most, value| most.max(value.abs()));
        let worst = truth.iter().map(|(key, value)| (found[key] - value).abs()).fold(0.0, f64::max) / scale;
        println!("{query}: {:.3} % off at worst", worst * 100.0);
        assert!(worst <= tolerance, "{query}: {worst}");
    }
    assert!(history.note().unwrap().contains("5 min and 1 h"), "{:?}", history.note());
}

#[test]
fn no_more_samples_are_made_than_a_question_may_read() {
    let (_, cut) = both(60);
    let asked = cut.store.history().select(&[], UtcMs(START), UtcMs(START + 60 * HOUR), 100);
    assert!(matches!(asked, Err(wk_types::series::SourceError::TooManySamples { max: 100 })), "{asked:?}");
}
