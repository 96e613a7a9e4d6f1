use wk_types::MatchOp;
use wk_types::series::SourceError;

use super::*;

fn names(found: &[Arc<Series>]) -> Vec<String> {
    found.iter().map(|one| one.labels.to_string()).collect()
}

#[test]
fn series_labels_and_values_come_from_head_and_blocks() {
    let mut ship = sailed(MetricOptions::default(), 2);
    let later = START + HOUR;
    ship.append(later, vec![("d@three", vec![(later, 1.0)])]);
    let (from, to) = (UtcMs(START), UtcMs(later));
    let store = &ship.store;
    let all = store.series(&[], from, to, 10).unwrap();
    assert_eq!(
        names(&all),
        [
            r#"a{instance="one", job="test"}"#,
            r#"b{instance="two", job="test"}"#,
            r#"c{instance="one", job="test"}"#,
            r#"d{instance="three", job="test"}"#,
        ]
    );
    assert_eq!(store.series(&[], from, to, 2).unwrap().len(), 2);
    assert_eq!(store.series(&[], UtcMs(later), to, 10).unwrap().len(), 1);
    assert_eq!(store.label_names(&[], from, to).unwrap(), ["__name__", "instance", "job"]);
    assert_eq!(store.label_values("instance", &[], from, to).unwrap(), ["one", "three", "two"]);
    let not_a = Matcher::new("__name__", MatchOp::NotRegex, "a|d");
    assert_eq!(store.label_values("instance", &[not_a], from, to).unwrap(), ["one", "two"]);
    assert!(store.label_values("deck", &[], from, to).unwrap().is_empty());
    assert!(store.label_values("instance", &[], UtcMs(0), UtcMs(1)).unwrap().is_empty());
    assert!(store.label_names(&[], to, from).unwrap().is_empty());
}

#[test]
fn a_range_cuts_on_the_millisecond_across_head_and_blocks() {
    let mut ship = sailed(MetricOptions::default(), 3);
    ship.append(START + 16 * MINUTE, vec![("a", vec![(START + 16 * MINUTE, 1.0), (START + 1, 2.0)])]);
    for (from, to) in [(0, 0), (0, 1), (1, 7), (7, 16 * MINUTE), (8, 16 * MINUTE - 1), (5, 4), (5 * MINUTE, 5 * MINUTE)]
    {
        ship.check(START + from, START + to);
    }
}

#[test]
fn a_query_reads_no_more_samples_than_it_may() {
    let mut ship = sailed(MetricOptions::default(), 3);
    ship.append(START + 16 * MINUTE, vec![("a", vec![(START + 16 * MINUTE, 1.0)])]);
    let a = [Matcher::new("__name__", MatchOp::Equal, "a")];
    let select = |max| ship.store.select(&a, UtcMs::MIN, UtcMs::MAX, max);
    assert_eq!(select(13).unwrap()[0].samples.len(), 13);
    assert!(matches!(select(12), Err(SourceError::TooManySamples { max: 12 })));
    assert!(matches!(select(0), Err(SourceError::TooManySamples { max: 0 })));
}

#[test]
fn a_pattern_that_does_not_compile_is_an_error() {
    let ship = sailed(MetricOptions::default(), 1);
    let broken = [Matcher::new("job", MatchOp::Regex, "a(")];
    assert!(matches!(ship.store.select(&broken, UtcMs::MIN, UtcMs::MAX, 1), Err(SourceError::BadPattern { .. })));
}

#[test]
fn blocks_with_the_same_series_share_one_directory_of_them() {
    let mut ship = sailed(MetricOptions::default(), 2);
    ship.reopen(ship.disk.clone());
    ship.check(START, START + 4 * MINUTE);
    let one = ship.store.stats().cache_bytes;
    ship.check_all();
    let two = ship.store.stats().cache_bytes;
    assert!(two - one < one, "{one} {two}");
    assert_eq!(ship.store.stats().series_indexed, 3);
}

#[test]
fn a_small_cache_answers_the_same() {
    let mut ship = sailed(MetricOptions { cache_bytes_max: 0, ..MetricOptions::default() }, 12);
    ship.reopen(ship.disk.clone());
    for _ in 0..3 {
        ship.check_all();
    }
    ship.store.maintain(UtcMs(START)).unwrap();
    ship.check_all();
}

#[test]
fn queries_see_every_sample_while_parts_are_written_and_merged() {
    let ship = sailed(MetricOptions { block_span: DurationMs::from_mins(10), ..MetricOptions::default() }, 24);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let a = [Matcher::new("__name__", MatchOp::Equal, "a")];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..60 {
                let time = START + 2 * HOUR + at * MINUTE;
                let seq = Seq(100 + at as u64);
                ship.store.append(seq, UtcMs(time), &[series("a", &[(time, 1.0)])]).unwrap();
                ship.store.flush().unwrap();
                ship.store.maintain(UtcMs(time)).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut seen = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let found = ship.store.select(&a, UtcMs::MIN, UtcMs::MAX, usize::MAX).unwrap();
            assert!(found[0].samples.len() >= seen.max(96), "{} after {seen}", found[0].samples.len());
            seen = found[0].samples.len();
        }
    });
    assert_eq!(ship.store.select(&a, UtcMs::MIN, UtcMs::MAX, usize::MAX).unwrap()[0].samples.len(), 156);
    assert!(ship.store.stats().blocks < 40);
}
