//! Going through whole series, as an export does.

use super::*;

/// What a walk hands out, and in which order.
fn walked(store: &MetricStore, selectors: &[Vec<Matcher>], from: i64, to: i64) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let walk = store.walk(selectors, UtcMs(from), UtcMs(to)).unwrap();
    let mut found = Vec::new();
    walk.run(|series, samples| -> Result<(), wk_types::series::SourceError> {
        assert_eq!(series.asset, AssetId::from(series.labels.get("instance").unwrap()));
        found.push((
            series.labels.clone(),
            samples.iter().map(|sample| (sample.time.0, sample.value.to_bits())).collect(),
        ));
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn a_walk_hands_out_every_series_once_in_order_whole() {
    let mut ship = sailed(MetricOptions::default(), 14);
    // Late, in the head, and a NaN that carries something.
    let now = START + 80 * MINUTE;
    ship.append(
        now,
        vec![("b@two", vec![(START + 9, 5.0), (now, f64::from_bits(0x7ff8_dead_beef_0001))]), ("d", vec![(now, -0.0)])],
    );
    for (from, to) in [(i64::MIN, i64::MAX), (START + 7 * MINUTE, START + 33 * MINUTE), (now, now), (now + 1, i64::MAX)]
    {
        let expected: Vec<_> = ship.expected(from, to).into_iter().collect();
        assert_eq!(walked(&ship.store, &[vec![]], from, to), expected);
    }
    ship.store.maintain(UtcMs(now)).unwrap();
    ship.store.flush().unwrap();
    let expected: Vec<_> = ship.expected(i64::MIN, i64::MAX).into_iter().collect();
    assert_eq!(walked(&ship.store, &[vec![]], i64::MIN, i64::MAX), expected);
}

#[test]
fn several_selectors_give_each_series_once() {
    let ship = sailed(MetricOptions::default(), 2);
    let by = |name: &str, value: &str| vec![Matcher::new(name, wk_types::MatchOp::Equal, value)];
    let found =
        walked(&ship.store, &[by("__name__", "a"), by("instance", "one"), by("__name__", "none")], START, i64::MAX);
    let names: Vec<&str> = found.iter().map(|(labels, _)| labels.name()).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(walked(&ship.store, &[], START, i64::MAX).is_empty());
}

#[test]
fn files_that_are_joined_under_a_walk_change_nothing() {
    let ship = sailed(MetricOptions::default(), 14);
    let walk = ship.store.walk(&[vec![]], UtcMs::MIN, UtcMs::MAX).unwrap();
    assert_eq!(walk.series().count(), 3);
    ship.store.maintain(UtcMs(START + 2 * HOUR)).unwrap();
    let mut samples = 0;
    walk.run(|_, found| -> Result<(), wk_types::series::SourceError> {
        samples += found.len();
        Ok(())
    })
    .unwrap();
    assert_eq!(samples, 3 * 4 * 14);
}
