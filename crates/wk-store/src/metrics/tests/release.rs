//! Blocks that somebody else has by now.

use super::*;

#[test]
fn what_lies_wholly_before_an_instant_is_released_and_the_rest_stays() {
    let mut ship = sailed(MetricOptions::default(), 4);
    let cut = START + 7 * MINUTE;
    assert_eq!(ship.store.release(UtcMs(cut)).unwrap(), 1, "the second part reaches beyond the cut");
    let left: BTreeMap<_, Vec<_>> = ship.expected(START + 5 * MINUTE, i64::MAX);
    assert_eq!(answers(&ship.store, &[], i64::MIN, i64::MAX), left);
    ship.disk = ship.disk.after_cut();
    let (store, report) = open(&ship.disk, &ship.options).unwrap();
    assert_eq!((answers(&store, &[], i64::MIN, i64::MAX), report.damaged.len()), (left, 0), "after a start as well");
    assert_eq!(store.release(UtcMs::MAX).unwrap(), 3);
    assert!(answers(&store, &[], i64::MIN, i64::MAX).is_empty());
}

#[test]
fn what_comes_after_a_release_is_kept() {
    let mut ship = sailed(MetricOptions::default(), 1);
    ship.store.release(UtcMs::MAX).unwrap();
    let begin = START + HOUR;
    ship.append(begin, vec![("a", vec![(begin, 1.0)])]);
    ship.store.flush().unwrap();
    ship.disk = ship.disk.after_cut();
    let (store, _) = open(&ship.disk, &ship.options).unwrap();
    let kept: Vec<_> = answers(&store, &[], i64::MIN, i64::MAX).into_values().collect();
    assert_eq!(kept, [[(begin, 1.0_f64.to_bits())]]);
}
